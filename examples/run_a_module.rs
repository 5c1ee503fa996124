//! How does firmware run a module, without any LwM2M?
//!
//!     cargo run --release -- compile motion --target nrf52840 -o motion.module
//!     cargo run --release --example run_a_module motion.module motion
//!
//! `tinsmith_module` is no_std and has no heap: this is what runs on a microcontroller, where the
//! image lies in flash and the arena is a static array. Both must be aligned to 32 bytes.

use anyhow::{Context, Result, bail};
use lwm2m_objects::compute::read_descriptors;
use tinsmith_build::Zoo;
use tinsmith_module::kernels::RESIDENT;
use tinsmith_module::{ABI_VERSION, Host, IMAGE_ALIGN, Module};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, file, model] = &arguments[..] else {
        bail!("usage: run_a_module FILE MODEL; MODEL is the shipped model in FILE");
    };
    let mut image_memory = Vec::new();
    let image = aligned(&mut image_memory, &std::fs::read(file)?);

    // Every offset is checked here, once; nothing of the image is trusted.
    let module = Module::parse(image)?;
    let mut arena_memory = Vec::new();
    let arena = aligned(&mut arena_memory, &vec![0; module.arena_bytes()]);
    module.check_host(&Host {
        abi: ABI_VERSION,
        kernels: RESIDENT,
        instruction_sets: 0,
        arena_bytes: arena.len(),
        stack_bytes: tinsmith_module::kernels::STACK_BYTES as usize,
    })?;
    println!(
        "{} bytes, arena {} bytes, {} layers",
        image.len(),
        arena.len(),
        module.layer_count()
    );

    // The golden inputs inside the module give the outputs that the compiler's reference gave.
    module.self_test(arena)?;
    println!(
        "self test passed on {} golden inputs",
        module.golden_count()
    );

    let test = Zoo::shipped().find(model)?.test()?.context("no test set")?;
    let input = &read_descriptors(module.input_descriptor())?[0];
    let place = module.input_range(0).context("the module has no input")?;
    let labels: Vec<&str> = module.labels().collect();
    let mut correct = 0;
    for (index, (sample, wanted)) in test.x.iter().zip(&test.y).enumerate() {
        // A sensor driver writes these bytes: int8, channels last.
        arena[place.clone()].copy_from_slice(&input.quantize(sample)?);
        let class = module.run(arena)?.context("this model is no classifier")?;
        correct += usize::from(f64::from(class.index) == *wanted);
        if index < 3 {
            let label = labels.get(class.index as usize).unwrap_or(&"?");
            println!("sample {index}: {label}, score {:.2}", class.score);
        }
    }
    let all = test.x.len();
    println!(
        "{correct} of {all} right: accuracy {:.4}",
        correct as f64 / all as f64
    );
    Ok(())
}

/// A copy of `bytes` at an address that is a multiple of `IMAGE_ALIGN`.
fn aligned<'m>(memory: &'m mut Vec<u8>, bytes: &[u8]) -> &'m mut [u8] {
    memory.resize(bytes.len() + IMAGE_ALIGN, 0);
    let start = memory.as_ptr().align_offset(IMAGE_ALIGN);
    let place = &mut memory[start..start + bytes.len()];
    place.copy_from_slice(bytes);
    place
}
