//! Turns the target file into what the linker and the firmware need, and the environment into settings.

use std::error::Error;

use tinsmith_embassy::build::{Target, write_settings};

fn main() -> Result<(), Box<dyn Error>> {
    write_settings()?;
    Target::read("../targets/nrf52840-dk.json")?.write("", "")
}
