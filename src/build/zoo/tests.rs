//! The zoo in memory and in a store.

use futures_executor::block_on;
use lwm2m_objects::hex;
use tinsmith_store as store;

use super::stored::SCHEMA;
use super::*;
use tinsmith_store::Key;

#[test]
fn every_shipped_model_has_readable_data_that_fits_its_card() {
    let zoo = Zoo::shipped();
    assert!(zoo.list().len() >= 3);
    for model in zoo.list() {
        let calibration = model.calibration().unwrap();
        assert_eq!(
            calibration.arrays[0].shape, model.card.inputs[0].shape,
            "{}",
            model.card.name
        );
        let test = model.test().unwrap().unwrap();
        assert_eq!(test.x.arrays, calibration.arrays);
        assert!(test.x.len() >= 800);
    }
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    let error = Zoo::shipped().find("moton").unwrap_err().to_string();
    assert!(
        error.contains("'moton'") && error.contains("motion"),
        "{error}"
    );
}

/// `{0: "{}", 1: 32 bytes, 2: 32 bytes, 3: null}`, as the version before schema 2 wrote it.
const OLD: &str = "0001a400627b7d015820\
    0101010101010101010101010101010101010101010101010101010101010101025820\
    020202020202020202020202020202020202020202020202020202020202020203f6";
const NEW: &str = "\
    0002a46463617264627b7d646f6e6e785820010101010101010101010101010101010101010101010101\
    01010101010101016b63616c6962726174696f6e58200202020202020202020202020202020202020202\
    0202020202020202020202026474657374f6";

#[test]
fn the_bytes_of_both_schemas() {
    let record = Stored {
        card: "{}".into(),
        onnx: Digest([1; 32]),
        calibration: Digest([2; 32]),
        test: None,
        facts: None,
        allow_low_sqnr: false,
    };
    let bytes = store::encode(SCHEMA, &record).unwrap();
    assert_eq!(hex::encode(&bytes), NEW);
    let old: Stored = store::decode(1..=SCHEMA, &hex::decode(OLD).unwrap()).unwrap();
    assert_eq!(store::encode(SCHEMA, &old).unwrap(), bytes);
}

#[test]
fn an_unreadable_model_is_shown_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path()).unwrap();
    let store = Arc::new(store::MemoryStore::new());
    let key = Key::new(Kind::MODEL, "mine");
    let foreign = vec![0, 9, 0xa0];
    let batch = Batch::put(key.clone(), foreign.clone());
    store.commit_now(&batch).unwrap();
    let zoo = block_on(Zoo::open(store.clone(), files)).unwrap();
    assert!(zoo.unreadable()["mine"].contains("schema 9"));
    assert!(matches!(zoo.find("mine"), Err(ZooError::Unreadable { .. })));
    let mut model = (*zoo.find("motion").unwrap()).clone();
    model.card.name = "mine".into();
    let added = block_on(zoo.add(model.clone()));
    assert!(matches!(added, Err(ZooError::Unreadable { .. })));
    assert_eq!(store.records(Kind::MODEL)[0].1.bytes, foreign);
    model.card.name = "other".into();
    block_on(zoo.add(model)).unwrap();
}

#[test]
fn a_damaged_model_stays_listed_until_it_is_added_again() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path()).unwrap();
    let store = Arc::new(store::MemoryStore::new());
    let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
    let mut model = (*zoo.find("motion").unwrap()).clone();
    model.card.name = "mine".into();
    model.shipped = false;
    block_on(zoo.add(model.clone())).unwrap();
    // As long as before.
    let path = files.path(&model.source);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
    assert!(
        zoo.damaged()["mine"].contains("content"),
        "{:?}",
        zoo.damaged()
    );
    assert!(matches!(zoo.find("mine"), Err(ZooError::Damaged { .. })));
    block_on(zoo.add(model)).unwrap();
    assert!(zoo.damaged().is_empty());
    let zoo = block_on(Zoo::open(store, files)).unwrap();
    assert!(zoo.find("mine").is_ok());
}

/// `motion` under another name and version.
fn mine(zoo: &Zoo, version: &str) -> Model {
    let mut model = (*zoo.find("motion").unwrap()).clone();
    model.card.name = "mine".into();
    model.card.version = version.into();
    model.shipped = false;
    model
}

fn opened() -> (tempfile::TempDir, Arc<store::MemoryStore>, Files, Zoo) {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::open(folder.path()).unwrap();
    let store = Arc::new(store::MemoryStore::new());
    let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
    (folder, store, files, zoo)
}

#[test]
fn a_version_is_never_changed() {
    let (_folder, store, files, zoo) = opened();
    let (_, new) = block_on(zoo.add(mine(&zoo, "1.0"))).unwrap();
    assert!(new);
    let (_, new) = block_on(zoo.add(mine(&zoo, "1.0"))).unwrap();
    assert!(!new);
    let mut other = mine(&zoo, "1.0");
    other.card.labels.reverse();
    let refused = block_on(zoo.add(other.clone())).unwrap_err();
    assert!(
        matches!(&refused, ZooError::Immutable { version, .. } if version == "1.0"),
        "{refused}"
    );
    other.card.version = "1.1".into();
    block_on(zoo.add(other.clone())).unwrap();
    for zoo in [zoo, block_on(Zoo::open(store, files)).unwrap()] {
        assert_eq!(zoo.versions("mine"), ["1.0", "1.1"]);
        assert_eq!(zoo.find("mine").unwrap().card.labels, other.card.labels);
        let first = zoo.find_version("mine", Some("1.0")).unwrap();
        assert_ne!(first.card.labels, other.card.labels);
        let source = first.source;
        assert_eq!(zoo.exact("mine", "1.0", &source).unwrap().card, first.card);
        assert!(zoo.exact("mine", "1.0", &Digest([0; 32])).is_err());
        let error = zoo.find_version("mine", Some("2")).unwrap_err().to_string();
        assert!(error.contains("'mine 2'") && error.contains("1.0, 1.1"));
    }
}

#[test]
fn a_version_is_removed_with_the_files_that_no_other_has() {
    let (_folder, store, files, zoo) = opened();
    let first = mine(&zoo, "1");
    let mut second = mine(&zoo, "2");
    second.test = None;
    let (onnx, test) = (first.source, Digest::of(first.test.as_deref().unwrap()));
    for model in [first, second] {
        block_on(zoo.add(model)).unwrap();
    }
    assert!(files.contains(&test));
    block_on(zoo.remove("mine", "1")).unwrap();
    assert_eq!(zoo.versions("mine"), ["2"]);
    assert!(files.contains(&onnx) && !files.contains(&test));
    let again = block_on(zoo.remove("mine", "1"));
    assert!(matches!(again, Err(ZooError::Unknown { .. })));
    block_on(zoo.remove("mine", "2")).unwrap();
    assert!(files.list().unwrap().is_empty());
    assert!(store.records(Kind::MODEL).is_empty());
    assert!(matches!(zoo.find("mine"), Err(ZooError::Unknown { .. })));
    let shipped = block_on(zoo.remove("motion", "1.0.0"));
    assert!(matches!(shipped, Err(ZooError::Shipped(_))));
}

#[test]
fn a_record_of_the_version_before_has_no_version_in_its_key() {
    let (_folder, store, files, zoo) = opened();
    let mut old = mine(&zoo, "7.1");
    old.old_key = true;
    block_on(zoo.add(old)).unwrap();
    let (key, record) = store.records(Kind::MODEL).remove(0);
    let old_key = Key::new(Kind::MODEL, "mine");
    let ops = vec![Op::Delete(key), Op::Put(old_key.clone(), record.bytes)];
    let expect = Vec::new();
    store.commit_now(&Batch { expect, ops }).unwrap();

    let zoo = block_on(Zoo::open(store.clone(), files.clone())).unwrap();
    assert_eq!(zoo.versions("mine"), ["7.1"]);
    assert!(!block_on(zoo.add(mine(&zoo, "7.1"))).unwrap().1);
    block_on(zoo.add(mine(&zoo, "8"))).unwrap();
    assert_eq!(zoo.versions("mine"), ["7.1", "8"]);
    // When it is written again, it gets a key with its version.
    let model = zoo.find_version("mine", Some("7.1")).unwrap();
    block_on(zoo.keep(&model)).unwrap();
    let keys: Vec<_> = store
        .records(Kind::MODEL)
        .into_iter()
        .map(|(k, _)| k.id)
        .collect();
    assert_eq!(keys, [b"mine@7.1".to_vec(), b"mine@8".to_vec()]);
    block_on(zoo.remove("mine", "7.1")).unwrap();
    let zoo = block_on(Zoo::open(store, files)).unwrap();
    assert_eq!(zoo.versions("mine"), ["8"]);
}
