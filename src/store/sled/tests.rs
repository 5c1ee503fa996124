//! On a disk.

use futures_executor::block_on;

use super::*;
use crate::{Op, Version};

fn commit(store: &SledStore, batch: Batch) -> Result<Version, StoreError> {
    let (tx, rx) = mpsc::channel();
    store.commit_with(batch, Box::new(move |result| tx.send(result).unwrap()));
    rx.recv().unwrap()
}

fn page(
    store: &SledStore,
    kind: Kind,
    prefix: &[u8],
    after: Option<&Key>,
    limit: usize,
) -> Vec<(Key, Stored)> {
    block_on(store.scan(kind, prefix, after, limit)).unwrap()
}

fn key(id: &str) -> Key {
    Key::new(Kind::DEVICE, id)
}

#[test]
fn keeps_records_over_a_restart_and_checks_expectations() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let v1 = commit(&store, Batch::put(key("a"), vec![0, 1, 5])).unwrap();
    let batch = Batch {
        expect: vec![(key("a"), Some(v1)), (key("b"), None)],
        ops: vec![Op::Delete(key("a")), Op::Put(key("b"), vec![0, 1])],
    };
    let v2 = commit(&store, batch.clone()).unwrap();
    assert_eq!(
        commit(&store, batch),
        Err(StoreError::Conflict {
            expected: Some(v1),
            found: None
        })
    );
    assert!(store.syncs() >= 2);
    drop(store);
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(page(&store, Kind::DEVICE, b"", None, 10).len(), 1);
    let v3 = commit(&store, Batch::put(key("c"), vec![0, 1])).unwrap();
    assert!(v3 > v2);
}

#[test]
fn pages_in_order_and_within_the_kind() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    for i in 0..25 {
        commit(&store, Batch::put(key(&format!("x{i:02}")), vec![0, 1])).unwrap();
    }
    commit(&store, Batch::put(Key::new(Kind::MODEL, "x"), vec![0, 1])).unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let page = page(&store, Kind::DEVICE, b"x", after.as_ref(), 10);
        after = page.last().map(|(k, _)| k.clone());
        let end = page.len() < 10;
        seen.extend(page);
        if end {
            break;
        }
    }
    assert_eq!(seen.len(), 25);
    assert!(seen.windows(2).all(|w| w[0].0 < w[1].0));
}

#[test]
fn queued_batches_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let (tx, rx) = mpsc::channel();
    for i in 0..2000 {
        let tx = tx.clone();
        let batch = Batch::put(key(&format!("{i}")), vec![0, 1, 2, 3]);
        store.commit_with(batch, Box::new(move |r| tx.send(r.is_ok()).unwrap()));
    }
    assert!((0..2000).all(|_| rx.recv().unwrap()));
    assert!(store.syncs() < 1000, "{} syncs", store.syncs());
    let page = page(&store, Kind::DEVICE, b"", None, 5000);
    assert_eq!(page.len(), 2000);
}

#[test]
fn a_batch_may_expect_what_is_not_durable_yet() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let (tx, rx) = mpsc::channel();
    for n in 0..1000 {
        let tx = tx.clone();
        let batch = Batch {
            expect: vec![(key("a"), (n > 0).then_some(Version(n)))],
            ops: vec![
                Op::Put(key("a"), vec![0, 1]),
                Op::Put(key("a"), n.to_be_bytes().to_vec()),
            ],
        };
        store.commit_with(batch, Box::new(move |result| tx.send(result).unwrap()));
    }
    for n in 0..1000 {
        assert_eq!(rx.recv().unwrap(), Ok(Version(n + 1)));
    }
    let page = page(&store, Kind::DEVICE, b"", None, 10);
    assert_eq!(page[0].1.bytes, 999u64.to_be_bytes());
}

#[test]
fn a_killed_process_leaves_all_of_it_over_turns_of_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    let store = SledStore::open(&open).unwrap();
    let (tx, rx) = mpsc::channel();
    for n in 0..3000 {
        let tx = tx.clone();
        let batch = Batch::put(key(&format!("{}", n % 700)), vec![n as u8; 5000]);
        store.commit_with(batch, Box::new(move |r| tx.send(r.is_ok()).unwrap()));
        // Groups of some size.
        if n % 50 == 49 {
            assert!((0..50).all(|_| rx.recv().unwrap()));
        }
    }
    let expected = page(&store, Kind::DEVICE, b"", None, 5000);
    let killed = dir.path().join("killed");
    for part in ["records", "journal"] {
        std::fs::create_dir_all(killed.join(part)).unwrap();
        for entry in std::fs::read_dir(open.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let to = killed.join(part).join(path.file_name().unwrap());
                std::fs::copy(path, to).unwrap();
            }
        }
    }
    std::fs::copy(open.join("proof"), killed.join("proof")).unwrap();
    let journal: u64 = ["0", "1"]
        .map(|file| open.join("journal").join(file).metadata().unwrap().len())
        .iter()
        .sum();
    assert!(journal < 4 * journal::FULL, "{journal} bytes");
    let store = SledStore::open(&killed).unwrap();
    assert_eq!(page(&store, Kind::DEVICE, b"", None, 5000), expected);
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let big = Batch::put(key("a"), vec![0; crate::MAX_RECORD + 1]);
    assert!(matches!(commit(&store, big), Err(StoreError::TooBig(_))));
}
