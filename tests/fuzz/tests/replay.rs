//! Every corpus is replayed through the functions that the fuzzer calls, and each of its files
//! with some bytes changed. `TINSMITH_MUTATIONS` says how often a file is changed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use tinsmith_fuzz::{TARGETS, Target};

const MUTATIONS: u64 = 100;

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

/// Where something is done to the bytes, and what: changed, cut off, doubled, exchanged.
fn mutate(data: &mut Vec<u8>, random: &mut u64) {
    let mut next = |below: usize| {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        (*random % below.max(1) as u64) as usize
    };
    for _ in 0..=next(4) {
        if data.is_empty() {
            return;
        }
        let at = next(data.len());
        match next(6) {
            0 => data[at] = [0, 1, 0x7f, 0x80, 0xff][next(5)],
            1 => data.truncate(at),
            2 => data.insert(at, next(256) as u8),
            3 => drop(data.remove(at)),
            4 => {
                let end = at + next(16).min(data.len() - at);
                let copy = data[at..end].to_vec();
                data.splice(at..at, copy);
            }
            _ => data[at] ^= 1 << next(8),
        }
    }
}

fn try_on(target: Target, data: &[u8], what: &str) {
    let result = catch_unwind(AssertUnwindSafe(|| target(data)));
    let bytes: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(result.is_ok(), "{what} panicked on {bytes}");
}

fn replay(name: &str, target: Target, mutations: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let files = files(&folder);
    assert!(!files.is_empty(), "{name} has no corpus");
    try_on(target, &[], name);
    for file in files {
        let data = std::fs::read(&file).expect("a file can be read");
        let what = format!("{name}/{}", file.file_name().unwrap_or_default().display());
        try_on(target, &data, &what);
        for seed in 1..=mutations {
            let mut changed = data.clone();
            mutate(&mut changed, &mut (seed << 16 | 1));
            try_on(target, &changed, &what);
        }
    }
}

#[test]
fn every_corpus() {
    let mutations = std::env::var("TINSMITH_MUTATIONS");
    let mutations = mutations.map_or(MUTATIONS, |n| n.parse().expect("a number"));
    std::thread::scope(|scope| {
        for (name, target) in TARGETS {
            scope.spawn(move || replay(name, *target, mutations));
        }
    });
}

#[test]
fn every_corpus_has_a_target() {
    let folders = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    let names = folders.iter().filter_map(|f| f.file_name()?.to_str());
    let targets = TARGETS.iter().map(|(name, _)| *name);
    assert_eq!(
        names.collect::<BTreeSet<_>>(),
        targets.collect::<BTreeSet<_>>()
    );
}
