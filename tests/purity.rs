//! The protocol cores are pure: `(now, input)` in, outputs out. This holds their sources to it;
//! that the crates of the device build without an operating system is checked by `test.sh`.

use std::path::{Path, PathBuf};

/// Folders of the cores.
const CORES: &[&str] = &[
    "src/lwm2m",
    "src/update",
    "lwm2m-objects/src",
    "device-client/coap/src",
    "device-client/module/src",
    "device-client/package/src",
    "device-client/client/src",
];

/// What would reach for a socket, a clock, a file, randomness, a thread or a task.
const FORBIDDEN: &[&str] = &[
    "tokio",
    "UdpSocket",
    "TcpStream",
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "getrandom",
    "thread_rng",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file: without comments and without the tests at its end.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let tests = text.find("\nmod tests {").unwrap_or(text.len());
    text[..tests]
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or_default()))
}

#[test]
fn cores_touch_no_socket_clock_file_or_task() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for core in CORES {
        sources(&root.join(core), &mut files);
    }
    files.retain(|file| !file.components().any(|part| part.as_os_str() == "tests"));
    assert!(files.len() > CORES.len(), "the cores moved");
    let mut faults = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source file is text");
        for (number, line) in code(&text) {
            for word in FORBIDDEN.iter().filter(|word| line.contains(*word)) {
                faults.push(format!("{}:{number}: {word}", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
