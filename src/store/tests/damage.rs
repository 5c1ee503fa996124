//! Whatever happens to the files of a store: it opens with all that was durable, or it says what
//! is missing and does not open.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use futures_executor::block_on;
use tinsmith_store::{Batch, Key, Kind, Loss, Op, SledStore, Store, StoreError, Stored};

const KINDS: [Kind; 3] = [Kind::REGISTRATION, Kind::DEVICE, Kind::BUILD];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

type Records = BTreeMap<Key, Stored>;

fn times(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

fn commit(store: &SledStore, batch: Batch) -> Result<(), StoreError> {
    let (tx, rx) = mpsc::channel();
    store.commit_with(batch, Box::new(move |result| tx.send(result).unwrap()));
    rx.recv().unwrap().map(|_| ())
}

fn key(n: u64) -> Key {
    Key::new(KINDS[n as usize % KINDS.len()], format!("device-{n:04}"))
}

/// Records, written, changed and removed, all durable.
fn change(store: &SledStore, random: &mut Random, batches: u64) {
    for _ in 0..batches {
        let mut batch = Batch::default();
        for _ in 0..=random.below(8) {
            let key = key(random.below(200));
            if random.below(5) == 0 {
                batch.ops.push(Op::Delete(key));
            } else {
                let value = vec![random.below(256) as u8; 20 + random.below(900) as usize];
                batch.ops.push(Op::Put(key, value));
            }
        }
        commit(store, batch).unwrap();
    }
}

fn records(store: &SledStore) -> Result<Records, StoreError> {
    let mut all = Records::new();
    for kind in KINDS {
        let store: &dyn Store = store;
        all.extend(block_on(store.load(kind))?);
    }
    Ok(all)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// All files of the store with anything in them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if fs::read(&path).unwrap().iter().any(|byte| *byte != 0) {
            all.push(path);
        }
    }
    all.sort();
    all
}

/// Opens a damaged store: true if it was whole; panics if something is gone without a word.
fn open(folder: &Path, expected: &Records, what: &str) -> bool {
    match SledStore::open(folder) {
        Ok(store) => {
            assert_eq!(records(&store).as_ref(), Ok(expected), "{what}");
            true
        }
        Err(StoreError::Lost(loss)) => {
            assert!(!loss.to_string().is_empty());
            let store = SledStore::open_with_loss(folder).unwrap_or_else(|e| panic!("{what}: {e}"));
            let left = records(&store).unwrap();
            drop(store);
            // What can't be read may be wanted all the same.
            assert!(folder.join("journal.damaged-1").is_dir(), "{what}");
            // Told once.
            let store = SledStore::open(folder).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(records(&store).unwrap(), left, "{what}");
            false
        }
        Err(error) => panic!("{what}: {error}"),
    }
}

struct Rig {
    folder: tempfile::TempDir,
    expected: Records,
    random: Random,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random(seed);
        let open = folder.path().join("open");
        let mut store = SledStore::open(&open).unwrap();
        change(&store, &mut random, 40);
        drop(store);
        store = SledStore::open(&open).unwrap();
        change(&store, &mut random, 40);
        // As it is when the process is killed: the database has only a part of it yet.
        copy(&open, &folder.path().join("store"));
        let expected = records(&store).unwrap();
        assert!(expected.len() > 50);
        Self {
            folder,
            expected,
            random,
        }
    }

    /// A copy of the store for one damage.
    fn copy(&self) -> PathBuf {
        let target = self.folder.path().join("copy");
        let _ = fs::remove_dir_all(&target);
        copy(&self.folder.path().join("store"), &target);
        target
    }
}

#[test]
fn a_flipped_bit_is_never_a_silent_loss() {
    let mut rig = Rig::new(1);
    let (mut whole, mut refused) = (0, 0);
    for n in 0..times("TINSMITH_FLIPS", 60) {
        let folder = rig.copy();
        let files = files(&folder);
        let path = &files[rig.random.below(files.len() as u64) as usize];
        let mut bytes = fs::read(path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        let (at, bit) = (rig.random.below(used) as usize, rig.random.below(8));
        bytes[at] ^= 1 << bit;
        fs::write(path, bytes).unwrap();
        let what = format!("{n}: bit {bit} of byte {at} of {}", path.display());
        if open(&folder, &rig.expected, &what) {
            whole += 1;
        } else {
            refused += 1;
        }
    }
    println!("{whole} whole, {refused} refused");
    assert!(refused > 0);
}

#[test]
fn a_file_that_is_cut_emptied_or_gone_is_told() {
    let mut rig = Rig::new(2);
    let count = files(&rig.copy()).len();
    for index in 0..count {
        for cut in 0..6 {
            let folder = rig.copy();
            let path = files(&folder)[index].clone();
            let bytes = fs::read(&path).unwrap();
            let keep = match cut {
                0 => 0,
                1 => bytes.len() - 1,
                2 => bytes.len() / 2,
                _ => rig.random.below(bytes.len() as u64) as usize,
            };
            fs::write(&path, &bytes[..keep]).unwrap();
            let what = format!("{} cut to {keep} bytes", path.display());
            open(&folder, &rig.expected, &what);
        }
        let folder = rig.copy();
        let path = files(&folder)[index].clone();
        fs::remove_file(&path).unwrap();
        open(&folder, &rig.expected, &format!("no {}", path.display()));
    }
}

/// As the disk may be after the power went: of what was not synced any page is there or not.
#[test]
fn a_power_cut_loses_nothing() {
    const PAGE: usize = 4096;
    let (mut rounds, mut whole) = (0, 0);
    for seed in 0..times("TINSMITH_POWER_CUTS", 3) {
        let mut random = Random(seed);
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        let database = || fs::read(open.join("records/db")).unwrap();
        let store = SledStore::open(&open).unwrap();
        change(&store, &mut random, 60);
        drop(store);
        let store = SledStore::open(&open).unwrap();
        let mut synced = database();
        for _ in 0..600 {
            change(&store, &mut random, 1);
            // Between two writes of the database: a segment of it is on the way.
            let written = database();
            if written == synced {
                continue;
            }
            let expected = records(&store).unwrap();
            let cut = folder.path().join("cut");
            let _ = fs::remove_dir_all(&cut);
            copy(&open, &cut);
            for _ in 0..3 {
                let mut pages = written.clone();
                for (at, page) in pages.chunks_mut(PAGE).enumerate() {
                    if random.below(2) == 0 {
                        match synced.get(at * PAGE..at * PAGE + page.len()) {
                            Some(old) => page.copy_from_slice(old),
                            None => page.fill(0),
                        }
                    }
                }
                let store = folder.path().join("store");
                let _ = fs::remove_dir_all(&store);
                copy(&cut, &store);
                fs::write(store.join("records/db"), pages).unwrap();
                let what = format!("seed {seed}, {rounds}");
                whole += u64::from(self::open(&store, &expected, &what));
                rounds += 1;
            }
            synced = written;
        }
    }
    println!("{whole} of {rounds} are whole");
    assert!(rounds > 10);
    // sled may have written twice between two looks, which it can't always do with.
    assert!(whole * 100 >= rounds * 80);
}

#[test]
fn an_older_database_under_a_newer_proof_tells_how_much_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let write = |n| {
        let store = SledStore::open(&store).unwrap();
        commit(&store, Batch::put(key(n), vec![0, 1])).unwrap();
    };
    write(0);
    let parts = ["records", "journal"];
    let old = folder.path().join("old");
    copy(&store, &old);
    (1..4).for_each(write);
    // The journal alone has it all.
    let records_now = {
        let store = SledStore::open(&store).unwrap();
        records(&store).unwrap()
    };
    fs::remove_dir_all(store.join("records")).unwrap();
    copy(&old.join("records"), &store.join("records"));
    let opened = SledStore::open(&store).unwrap();
    assert_eq!(records(&opened).unwrap(), records_now);
    drop(opened);
    for part in parts {
        fs::remove_dir_all(store.join(part)).unwrap();
        copy(&old.join(part), &store.join(part));
    }
    let (missing, last) = (3, 1);
    let loss = Loss::Commits { missing, last };
    assert_eq!(SledStore::check(&store).unwrap().1, Some(loss.clone()));
    let error = SledStore::open(&store).err();
    assert_eq!(error, Some(StoreError::Lost(loss)));
    // What is written then has a number of its own.
    let accepted = SledStore::open_with_loss(&store).unwrap();
    commit(&accepted, Batch::put(key(9), vec![0, 1])).unwrap();
    let versions: Vec<_> = records(&accepted)
        .unwrap()
        .values()
        .map(|s| s.version.0)
        .collect();
    assert_eq!(versions, [1, 5]);
    drop(accepted);
    let (mark, loss) = SledStore::check(&store).unwrap();
    assert_eq!((mark.sequence, mark.content.records, loss), (5, 2, None));
}

#[test]
fn a_store_that_is_given_up_in_a_moment_can_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let opened = SledStore::open(&store).unwrap();
    commit(&opened, Batch::put(key(1), vec![0, 1])).unwrap();
    // Its last thread may live a little longer than it.
    let giving_up = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(250));
        drop(opened);
    });
    assert_eq!(SledStore::check(&store).unwrap().1, None);
    giving_up.join().unwrap();
}

#[test]
fn a_backup_of_an_open_store_is_the_store() {
    let rig = Rig::new(3);
    let source = rig.folder.path().join("store");
    let store = SledStore::open(&source).unwrap();
    let files = tinsmith_store::Files::open(&source.join("files")).unwrap();
    let module = files.put(b"a module").unwrap();
    let damaged = files.put(b"another").unwrap();
    fs::write(files.path(&damaged), b"anothex").unwrap();
    let records_of = tinsmith_store::archive::Records::new(&source).unwrap();
    let exported = block_on(store.export(records_of)).unwrap();
    let mut archive = Vec::new();
    let written = tinsmith_store::archive::write(exported, &files, &mut archive).unwrap();
    assert_eq!((written.files, written.damaged), (1, 1));

    let target = rig.folder.path().join("restored");
    let restored = SledStore::restore(&archive[..], &target).unwrap();
    assert_eq!((restored.mark, restored.files), (written.mark, 1));
    assert!(
        SledStore::restore(&archive[..], &target).is_err(),
        "not empty"
    );
    let files = tinsmith_store::Files::open(&target.join("files")).unwrap();
    assert_eq!(files.get(&module).unwrap(), b"a module");
    let again = SledStore::open(&target).unwrap();
    assert_eq!(records(&again).unwrap(), rig.expected);

    let other = rig.folder.path().join("other");
    for at in (0..archive.len()).step_by(archive.len() / 50) {
        let mut bad = archive.clone();
        bad[at] ^= 1;
        assert!(SledStore::restore(&bad[..], &other).is_err(), "byte {at}");
        assert!(SledStore::restore(&archive[..at], &other).is_err());
        assert!(!other.exists());
    }
}
