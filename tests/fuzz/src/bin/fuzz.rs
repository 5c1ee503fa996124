//! The fuzzer of one target, whose name is in `TINSMITH_FUZZ`. See `tests/fuzz/run.sh`.
#![no_main]

use std::sync::LazyLock;

use tinsmith_fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("TINSMITH_FUZZ").unwrap_or_default();
    target(&name).unwrap_or_else(|| panic!("TINSMITH_FUZZ={name} is no target"))
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
