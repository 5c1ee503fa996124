#![no_main]

use libfuzzer_sys::fuzz_target;
use tinsmith_module::{IMAGE_ALIGN, Module};

/// What a run may cost, so that the fuzzer stays fast.
const MAX_ARENA: usize = 1 << 18;
const MAX_MACS: u64 = 1 << 24;

/// Executed in place, an image begins at a multiple of this.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
struct Line([u8; IMAGE_ALIGN]);

fuzz_target!(|data: &[u8]| {
    let mut lines = vec![Line([0; IMAGE_ALIGN]); data.len().div_ceil(IMAGE_ALIGN)];
    for (line, chunk) in lines.iter_mut().zip(data.chunks(IMAGE_ALIGN)) {
        line.0[..chunk.len()].copy_from_slice(chunk);
    }
    // The image is padded with zeros, as a slot is.
    let bytes: &[u8] =
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * IMAGE_ALIGN) };
    let Ok(module) = Module::parse(bytes) else {
        return;
    };
    let _ = (
        module.layer_count(),
        module.labels().count(),
        module.goldens().count(),
    );
    let _ = (
        module.input_descriptor(),
        module.output_descriptor(),
        module.kernels().count(),
    );
    if module.arena_bytes() > MAX_ARENA || module.macs() > MAX_MACS {
        return;
    }
    // What the loader accepts runs, whatever comes out.
    let mut arena = vec![0u8; module.arena_bytes() + 4096];
    let offset = arena.as_ptr().align_offset(4096);
    let arena = &mut arena[offset..][..module.arena_bytes()];
    let _ = module.run(arena);
    let _ = module.self_test(arena);
});
