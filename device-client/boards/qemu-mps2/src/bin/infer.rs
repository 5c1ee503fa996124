//! Runs a module on many inputs, without a network: `tests/infer.py` puts both into PSRAM and
//! takes the outputs out of it. Shows that this core computes what the specification says, and how
//! long it takes.
//!
//! | Offset in PSRAM | What, little endian |
//! |---|---|
//! | 0 | the module, executed in place |
//! | 0x200000 | u32 [`MAGIC`], bytes of the module, number of inputs; then what is answered: u32 [`DONE`], bytes of an output, u64 clock ticks of all runs, u64 of the shortest |
//! | 0x201000 | inputs without gaps |
//! | 0xa00000 | outputs without gaps |
#![no_std]
#![no_main]

use board::{clock, layout, println, semihosting, stack};
use static_cell::ConstStaticCell;
use tinsmith_module::format::isa;
use tinsmith_module::{ABI_VERSION, Host, Module, kernels};

/// "TSIN".
const MAGIC: u32 = 0x4e49_5354;
/// "DONE".
const DONE: u32 = 0x454e_4f44;

const BASE: usize = layout::FLASH_START;
const CONTROL: usize = 0x20_0000;
const INPUTS: usize = 0x20_1000;
const OUTPUTS: usize = 0xa0_0000;
const END: usize = 0xff_0000;

#[repr(C)]
struct Control {
    magic: u32,
    module_bytes: u32,
    count: u32,
    done: u32,
    output_bytes: u32,
    _reserved: u32,
    ticks: u64,
    shortest: u64,
}

#[repr(C, align(32))]
struct Arena([u8; layout::ARENA_BYTES]);

#[cortex_m_rt::entry]
fn main() -> ! {
    static ARENA: ConstStaticCell<Arena> = ConstStaticCell::new(Arena([0; layout::ARENA_BYTES]));
    board::init();
    // SAFETY: PSRAM that no section of this program covers; the four ranges do not overlap, each is
    // borrowed once, and any bytes are valid for their types.
    let (control, image, inputs, outputs) = unsafe {
        (
            &mut *((BASE + CONTROL) as *mut Control),
            core::slice::from_raw_parts(BASE as *const u8, CONTROL),
            core::slice::from_raw_parts((BASE + INPUTS) as *const u8, OUTPUTS - INPUTS),
            core::slice::from_raw_parts_mut((BASE + OUTPUTS) as *mut u8, END - OUTPUTS),
        )
    };
    if control.magic != MAGIC {
        println!("nothing to do: start with tests/infer.py");
        semihosting::exit(false);
    }
    let ok = match run(control, image, inputs, outputs, &mut ARENA.take().0) {
        Ok(()) => true,
        Err(why) => {
            println!("{why}");
            false
        }
    };
    semihosting::exit(ok)
}

fn run(
    control: &mut Control,
    image: &[u8],
    inputs: &[u8],
    outputs: &mut [u8],
    arena: &mut [u8],
) -> Result<(), &'static str> {
    let image = image
        .get(..control.module_bytes as usize)
        .ok_or("the module is too long")?;
    let module = Module::parse(image).map_err(|error| {
        println!("{error}");
        "the module does not load"
    })?;
    let host = Host {
        abi: ABI_VERSION,
        kernels: kernels::RESIDENT,
        instruction_sets: isa::THUMB | isa::THUMB2 | isa::DSP | isa::FP_SINGLE,
        arena_bytes: arena.len(),
        stack_bytes: layout::MODULE_STACK_BYTES,
    };
    module.check_host(&host).map_err(|refusal| {
        println!("{refusal}");
        "this board cannot run the module"
    })?;
    let begin = clock::ticks();
    module.self_test(arena).map_err(|error| {
        println!("{error}");
        "the self test failed"
    })?;
    println!(
        "self test: {} golden inputs, {} ticks",
        module.golden_count(),
        clock::ticks() - begin
    );

    let input = module.input_range(0).ok_or("the model has no input")?;
    let output = module.output_range(0).ok_or("the model has no output")?;
    let count = control.count as usize;
    let inputs = count
        .checked_mul(input.len())
        .and_then(|len| inputs.get(..len));
    let outputs = count
        .checked_mul(output.len())
        .and_then(|len| outputs.get_mut(..len));
    let (Some(inputs), Some(outputs)) = (inputs, outputs) else {
        return Err("too many inputs for the memory");
    };
    control.ticks = 0;
    control.shortest = u64::MAX;
    for (given, taken) in inputs
        .chunks_exact(input.len())
        .zip(outputs.chunks_exact_mut(output.len()))
    {
        arena[input.clone()].copy_from_slice(given);
        let begin = clock::ticks();
        module.run(arena).map_err(|_| "the arena is too small")?;
        let took = clock::ticks() - begin;
        control.ticks += took;
        control.shortest = control.shortest.min(took);
        taken.copy_from_slice(&arena[output.clone()]);
    }
    println!("at most {} bytes of stack", stack::peak());
    control.output_bytes = output.len() as u32;
    control.done = DONE;
    Ok(())
}
