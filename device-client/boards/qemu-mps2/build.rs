//! Turns the target file into what the linker and the firmware need, and places the emulated flash.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

use tinsmith_embassy::build::Target;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=device.x");
    fs::copy(
        "device.x",
        Path::new(&env::var("OUT_DIR")?).join("device.x"),
    )?;
    let target = Target::read("../targets/qemu-mps2-an386.json")?;
    let flash = target.flash()?;
    let (start, size, retained) = (flash.start, flash.size, flash.start + flash.size);
    let memory = format!(
        "\x20 EMULATED : ORIGIN = {start:#x}, LENGTH = {size:#x}\n\
         \x20 RETAINED : ORIGIN = {retained:#x}, LENGTH = 0x10000\n"
    );
    target.write(
        &memory,
        "SECTIONS\n{\n\
         \x20 .flash (NOLOAD) : { KEEP(*(.flash)); } > EMULATED\n\
         \x20 .retained (NOLOAD) : { KEEP(*(.retained)); } > RETAINED\n\
         } INSERT AFTER .got;\n",
    )
}
