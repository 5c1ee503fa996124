//! A module image: what the loader accepts runs in its arena.

use tinsmith_module::{IMAGE_ALIGN, Module};

/// What a run may cost, so that the fuzzer stays fast.
const MAX_ARENA: usize = 1 << 18;
const MAX_MACS: u64 = 1 << 24;

pub(crate) fn run(data: &[u8]) {
    // Executed in place, an image begins at a multiple of IMAGE_ALIGN; padded with zeros.
    let padded = data.len().next_multiple_of(IMAGE_ALIGN);
    let mut memory = vec![0u8; padded + IMAGE_ALIGN];
    let start = memory.as_ptr().align_offset(IMAGE_ALIGN);
    memory[start..][..data.len()].copy_from_slice(data);
    let bytes = &memory[start..][..padded];
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
}
