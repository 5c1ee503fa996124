//! Turns the target file into what the linker and the firmware need: `memory.x`, the layout of the
//! flash, and the capability records.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use lwm2m_objects::OwnedValue;
use lwm2m_objects::capability::{Capability, Region};
use lwm2m_objects::compute::RegionRole;
use lwm2m_objects::ids::{self, compute_platform as platform, compute_unit};

const TARGET: &str = "../targets/qemu-mps2-an386.json";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={TARGET}");
    println!("cargo:rerun-if-changed=device.x");
    let capability = tinsmith_targets::parse(&fs::read_to_string(TARGET)?)?;
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::copy("device.x", out.join("device.x"))?;
    fs::write(out.join("memory.x"), memory(&capability)?)?;
    fs::write(out.join("layout.rs"), layout(&capability)?)?;
    fs::write(out.join("capability.rs"), records(&capability)?)?;
    println!("cargo:rustc-link-search={}", out.display());
    Ok(())
}

fn region(capability: &Capability, role: RegionRole) -> Result<&Region, Box<dyn Error>> {
    let found = capability
        .regions
        .iter()
        .find(|region| region.roles.contains(&(role as i64)));
    found.ok_or_else(|| format!("{TARGET}: no memory region has the role {role:?}").into())
}

/// The emulated flash is one range: the model store, then the boot state.
fn flash(capability: &Capability) -> Result<(&Region, &Region), Box<dyn Error>> {
    let models = region(capability, RegionRole::ModelStore)?;
    let state = region(capability, RegionRole::BootState)?;
    if models.start + models.size != state.start || models.write_unit != state.write_unit {
        return Err(format!("{TARGET}: {} does not follow {}", state.name, models.name).into());
    }
    Ok((models, state))
}

fn memory(capability: &Capability) -> Result<String, Box<dyn Error>> {
    let code = region(capability, RegionRole::ActiveImage)?;
    let ram = region(capability, RegionRole::Arena)?;
    let (models, state) = flash(capability)?;
    let start = models.start;
    let size = models.size + state.size;
    let retained = start + size;
    Ok(format!(
        "MEMORY\n{{\n\
         \x20 FLASH    : ORIGIN = {:#x}, LENGTH = {:#x}\n\
         \x20 RAM      : ORIGIN = {:#x}, LENGTH = {:#x}\n\
         \x20 EMULATED : ORIGIN = {start:#x}, LENGTH = {size:#x}\n\
         \x20 RETAINED : ORIGIN = {retained:#x}, LENGTH = 0x10000\n\
         }}\n\
         SECTIONS\n{{\n\
         \x20 .flash (NOLOAD) : {{ KEEP(*(.flash)); }} > EMULATED\n\
         \x20 .retained (NOLOAD) : {{ KEEP(*(.retained)); }} > RETAINED\n\
         }} INSERT AFTER .got;\n",
        code.start, code.size, ram.start, ram.size,
    ))
}

fn layout(capability: &Capability) -> Result<String, Box<dyn Error>> {
    let (models, state) = flash(capability)?;
    let platform = &capability.platform;
    let unit = |region: &Region| region.erase_unit.ok_or("flash without an erase unit");
    let write_unit = models.write_unit.ok_or("flash without a write unit")?;
    let slot = models.size / platform.model_slots;
    let mut text = String::new();
    for (doc, name, value) in [
        (
            "Address of the emulated flash.",
            "FLASH_START",
            models.start,
        ),
        (
            "Emulated flash, bytes.",
            "FLASH_BYTES",
            models.size + state.size,
        ),
        (
            "Bytes that are programmed at once.",
            "WRITE_UNIT",
            write_unit,
        ),
        (
            "Erase unit of the slots, bytes.",
            "SLOT_ERASE_UNIT",
            unit(models)?,
        ),
        ("Bytes of one slot.", "SLOT_BYTES", slot),
        ("Offset of the journal.", "JOURNAL_OFFSET", models.size),
        ("Bytes of the journal.", "JOURNAL_BYTES", state.size),
        (
            "Erase unit of the journal, bytes.",
            "JOURNAL_ERASE_UNIT",
            unit(state)?,
        ),
        ("Arena, bytes.", "ARENA_BYTES", platform.arena_total),
        (
            "Slots in the target file.",
            "TARGET_SLOTS",
            platform.model_slots,
        ),
    ] {
        writeln!(text, "/// {doc}\npub const {name}: usize = {value};")?;
    }
    for (doc, name, value) in [
        (
            "Board name (27300/0/0).",
            "PLATFORM_NAME",
            &platform.platform_name,
        ),
        ("Part number (27300/0/1).", "SOC_PART", &platform.soc_part),
    ] {
        writeln!(text, "/// {doc}\npub const {name}: &str = {value:?};")?;
    }
    let class = tinsmith_package::module_class_id(&capability.digest());
    writeln!(
        text,
        "/// Class identifier of modules.\npub const MODULE_CLASS: [u8; 16] = {class:?};"
    )?;
    Ok(text)
}

/// What the client knows for itself: arena free, storage free, digest and kernels.
const fn is_computed(object: u16, resource: u16) -> bool {
    match object {
        ids::COMPUTE_PLATFORM => matches!(
            resource,
            platform::ARENA_FREE | platform::MODEL_STORAGE_FREE | platform::CAPABILITY_DIGEST
        ),
        ids::COMPUTE_UNIT => resource == compute_unit::OPERATORS,
        _ => false,
    }
}

fn records(capability: &Capability) -> Result<String, Box<dyn Error>> {
    let mut text = String::from("&[\n");
    for (path, value) in capability.records() {
        if let &[object, _, resource, ..] = path.ids()
            && is_computed(object, resource)
        {
            continue;
        }
        let path = match *path.ids() {
            [o, i, r] => format!("Path::resource({o}, {i}, {r})"),
            [o, i, r, ri] => format!("Path::resource_instance({o}, {i}, {r}, {ri})"),
            _ => return Err(format!("{path} is no resource").into()),
        };
        let value = match value {
            OwnedValue::String(v) => format!("String({v:?})"),
            OwnedValue::Integer(v) => format!("Integer({v})"),
            OwnedValue::UnsignedInteger(v) => format!("UnsignedInteger({v})"),
            OwnedValue::Float(v) => format!("Float({v:?})"),
            OwnedValue::Boolean(v) => format!("Boolean({v})"),
            OwnedValue::Opaque(v) => format!("Opaque(&{v:?})"),
            other => return Err(format!("{path}: no record for {other:?}").into()),
        };
        writeln!(text, "    ({path}, Value::{value}),")?;
    }
    text.push(']');
    Ok(text)
}
