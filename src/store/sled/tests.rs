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
    let journal: u64 = std::fs::read_dir(open.join("journal"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(journal < 8 * segments::FULL, "{journal} bytes");
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

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            // The journal may remove it meanwhile.
            drop(std::fs::copy(path, target));
        }
    }
}

fn registration(n: u64) -> Key {
    Key::new(Kind::REGISTRATION, format!("device-{n:03}"))
}

fn both(store: &SledStore) -> Vec<(Key, Stored)> {
    let mut all = page(store, Kind::REGISTRATION, b"", None, 5000);
    all.extend(page(store, Kind::DEVICE, b"", None, 5000));
    all
}

#[test]
fn files_of_the_journal_are_few_and_what_is_removed_stays_removed() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    let mut store = SledStore::open(&open).unwrap();
    // Never written again, so it is moved from file to file.
    for n in 0..20 {
        commit(
            &store,
            Batch::put(registration(900 + n), vec![n as u8; 100]),
        )
        .unwrap();
    }
    commit(&store, Batch::put(key("a"), vec![7; 100])).unwrap();
    for round in 0..12u64 {
        for n in 0..60 {
            let key = registration(n);
            let batch = if (n + round) % 7 == 0 {
                Batch::delete(key)
            } else {
                Batch::put(key, vec![round as u8; 60_000])
            };
            commit(&store, batch).unwrap();
        }
        let files = std::fs::read_dir(open.join("journal")).unwrap().count();
        assert!(files <= 9, "{files} files");
        let expected = both(&store);
        assert!(expected.len() > 60);
        let killed = dir.path().join(format!("killed-{round}"));
        copy(&open, &killed);
        let (_, loss) = SledStore::check(&killed).unwrap();
        assert_eq!(loss, None, "round {round}");
        assert_eq!(both(&SledStore::open(&killed).unwrap()), expected);
        if round % 5 == 4 {
            drop(store);
            store = SledStore::open(&open).unwrap();
        }
    }
}

#[test]
fn many_starts_leave_few_files() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..30 {
        let store = SledStore::open(dir.path()).unwrap();
        commit(&store, Batch::put(registration(n), vec![0, 1])).unwrap();
    }
    let files = std::fs::read_dir(dir.path().join("journal")).unwrap();
    let files = files.count();
    assert!(files <= 8, "{files} files");
    let store = SledStore::open(dir.path()).unwrap();
    assert_eq!(both(&store).len(), 30);
}

/// As the version before left it: everything in the database, and two files that took turns.
#[test]
fn a_store_of_the_version_before_is_taken_over() {
    for replayed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let value = |version: u64, byte| [&version.to_be_bytes()[..], &[byte; 50]].concat();
        let records = open::records(dir.path());
        crate::private::folder(&records).unwrap();
        let db = ::sled::open(&records).unwrap();
        let mut mark = Mark::default();
        let journal = dir.path().join("journal");
        std::fs::create_dir(&journal).unwrap();
        let mut expected = Vec::new();
        let mut groups = [Vec::new(), Vec::new()];
        for n in 1..=6 {
            let (key, value) = (registration(n), value(n, 9));
            mark.sequence = n;
            mark.content.add(&key.to_bytes(), &value);
            let mut group = journal::Group::default();
            group.change(&key.to_bytes(), Some(&value));
            groups[usize::from(n < 3)].extend_from_slice(group.finish(n, &mark));
            // What is written last is only in the journal.
            if n < 5 || replayed {
                db.insert(key.to_bytes(), value.clone()).unwrap();
            }
            expected.push((key, split(&value).unwrap()));
        }
        db.insert(value::sequence_key(), &mark.to_bytes()[..])
            .unwrap();
        drop(db);
        for (number, bytes) in groups.iter().enumerate() {
            std::fs::write(journal.join(number.to_string()), bytes).unwrap();
        }
        crate::proof::ProofFile::create(&open::proof(dir.path()), &mark).unwrap();
        assert_eq!(SledStore::check(dir.path()).unwrap(), (mark, None));
        let store = SledStore::open(dir.path()).unwrap();
        assert_eq!(both(&store), expected);
        commit(&store, Batch::delete(registration(1))).unwrap();
        commit(&store, Batch::put(registration(2), vec![0; 5])).unwrap();
        drop(store);
        let kept = journal.read_dir().unwrap();
        let kept: Vec<_> = kept.map(|file| file.unwrap().file_name()).collect();
        assert!(
            kept.iter().all(|name| name != "0" && name != "1"),
            "{kept:?}"
        );
        let store = SledStore::open(dir.path()).unwrap();
        assert_eq!(both(&store).len(), 5);
        drop(store);
        let db = ::sled::open(&records).unwrap();
        assert!(db.iter().all(|item| !table::holds(&item.unwrap().0)));
    }
}

#[test]
fn a_disk_that_was_full_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("journal");
    let segments = segments::Segments::start(&folder, 2).unwrap();
    assert_eq!(segments.next().unwrap().number, 2);
    // Made ahead.
    assert_eq!(segments.next().unwrap().number, 3);
    segments.remove(2);
    assert_eq!(segments.next().unwrap().number, 4);
    assert_eq!(segments.next().unwrap().number, 5);
    assert!(!folder.join("2").exists());
    // One more may be made meanwhile.
    while folder.exists() {
        let _ = std::fs::remove_dir_all(&folder);
    }
    let _ = segments.next();
    assert!(segments.next().is_err());
    std::fs::create_dir(&folder).unwrap();
    assert!(segments.next().unwrap().number > 5);
}

#[test]
fn a_page_has_what_each_record_has() {
    let dir = tempfile::tempdir().unwrap();
    let store = SledStore::open(dir.path()).unwrap();
    let mut batch = Batch::default();
    for n in 0..9000u64 {
        // In another order than that of the keys, some of them twice.
        let key = registration(n.wrapping_mul(7919) % 4001);
        let length = 2 + n.wrapping_mul(2_654_435_761) % 700;
        batch.ops.push(Op::Put(key, vec![n as u8; length as usize]));
        if n % 100 == 0 {
            commit(&store, std::mem::take(&mut batch)).unwrap();
        }
    }
    commit(&store, batch).unwrap();
    let page = page(&store, Kind::REGISTRATION, b"", None, MAX_PAGE);
    assert_eq!(page.len(), 4001);
    for (key, stored) in page {
        assert_eq!(block_on(store.get(&key)).unwrap(), Some(stored), "{key:?}");
    }
}
