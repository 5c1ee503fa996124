//! The protocol cores are pure: `(now, input)` in, outputs out. This holds their sources to it;
//! that the crates of the device build without an operating system is checked by `test.sh`.

use tinsmith_structure::source::{code, files};
use tinsmith_structure::{none, read, root};

/// Folders of the cores.
const CORES: &[&str] = &[
    "src/lwm2m",
    "src/update",
    "lwm2m-objects/src",
    "device-client/coap/src",
    "device-client/dtls/src",
    "device-client/oscore/src",
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

#[test]
fn cores_touch_no_socket_clock_file_or_task() {
    let mut sources = Vec::new();
    for core in CORES {
        sources.extend(files(&root().join(core), "rs"));
    }
    sources.retain(|file| !file.components().any(|part| part.as_os_str() == "tests"));
    assert!(sources.len() > CORES.len(), "the cores moved");
    let mut faults = Vec::new();
    for file in sources {
        let text = read(&file);
        for (number, line) in code(&text) {
            for word in FORBIDDEN.iter().filter(|word| line.contains(*word)) {
                faults.push(format!("{}:{number}: {word}", file.display()));
            }
        }
    }
    none(&faults);
}
