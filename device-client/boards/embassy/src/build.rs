//! For build scripts: what a target file means for linker and firmware.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use lwm2m_objects::OwnedValue;
use lwm2m_objects::capability::{Capability, Region};
use lwm2m_objects::compute::RegionRole;
use lwm2m_objects::ids::{self, compute_platform as platform, compute_unit};

/// A target file.
pub struct Target {
    name: String,
    capability: Capability,
}

/// A part of the memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Its address.
    pub start: u64,
    /// Its length.
    pub size: u64,
}

impl Target {
    /// Reads it; cargo builds anew when it changes.
    ///
    /// # Errors
    /// There is none, or it is none.
    pub fn read(path: &str) -> Result<Self, Box<dyn Error>> {
        println!("cargo:rerun-if-changed={path}");
        let capability = tinsmith_targets::parse(&fs::read_to_string(path)?)?;
        let name = path.into();
        Ok(Self { name, capability })
    }

    fn region(&self, role: RegionRole) -> Result<&Region, Box<dyn Error>> {
        let mut regions = self.capability.regions.iter();
        let found = regions.find(|region| region.roles.contains(&(role as i64)));
        found.ok_or_else(|| format!("{}: no memory region has the role {role:?}", self.name).into())
    }

    /// Where the image is: the first region for it, and those that follow without a gap.
    ///
    /// # Errors
    /// There is no such region.
    pub fn image(&self) -> Result<Range, Box<dyn Error>> {
        let first = self.region(RegionRole::ActiveImage)?;
        let (start, mut size) = (first.start, first.size);
        for region in &self.capability.regions {
            let for_it = region.roles.contains(&(RegionRole::ActiveImage as i64));
            if for_it && region.start == start + size {
                size += region.size;
            }
        }
        Ok(Range { start, size })
    }

    /// Data, stack and arena.
    ///
    /// # Errors
    /// There is no such region.
    pub fn ram(&self) -> Result<Range, Box<dyn Error>> {
        let region = self.region(RegionRole::Arena)?;
        let (start, size) = (region.start, region.size);
        Ok(Range { start, size })
    }

    /// Where the client's journal is: the region of credentials, or its last two erase units if
    /// something boots from it.
    fn journal(&self) -> Result<(Range, u64), Box<dyn Error>> {
        let region = self.region(RegionRole::Credentials)?;
        let unit = region.erase_unit.ok_or("flash without an erase unit")?;
        let shared = region.roles.contains(&(RegionRole::BootLoader as i64));
        let size = if shared { 2 * unit } else { region.size };
        let start = region.start + region.size - size;
        Ok((Range { start, size }, unit))
    }

    /// The flash that the client changes: from the first of the regions of modules and credentials
    /// to the end of the last. Offsets count from its start.
    ///
    /// # Errors
    /// There are no such regions, or they differ in their write units.
    pub fn flash(&self) -> Result<Range, Box<dyn Error>> {
        let models = self.region(RegionRole::ModelStore)?;
        let state = self.region(RegionRole::Credentials)?;
        if models.write_unit != state.write_unit {
            return Err(format!("{}: two write units", self.name).into());
        }
        let start = models.start.min(state.start);
        let end = (models.start + models.size).max(state.start + state.size);
        let size = end - start;
        Ok(Range { start, size })
    }

    /// Writes `memory.x`, with `more` behind the regions of image and RAM, where the linker finds
    /// it, and for the firmware `layout.rs` (constants), `flash.rs` (an expression, the
    /// `FlashLayout`) and `capability.rs` (an expression, paths and values).
    ///
    /// # Errors
    /// The target file lacks something, or the files can't be written.
    pub fn write(&self, more_memory: &str, more_sections: &str) -> Result<(), Box<dyn Error>> {
        let out = env::var("OUT_DIR")?;
        let out = Path::new(&out);
        let (image, ram) = (self.image()?, self.ram()?);
        let memory = format!(
            "MEMORY\n{{\n\
             \x20 FLASH    : ORIGIN = {:#x}, LENGTH = {:#x}\n\
             \x20 RAM      : ORIGIN = {:#x}, LENGTH = {:#x}\n\
             {more_memory}}}\n{more_sections}",
            image.start, image.size, ram.start, ram.size,
        );
        fs::write(out.join("memory.x"), memory)?;
        fs::write(out.join("layout.rs"), self.layout()?)?;
        fs::write(out.join("flash.rs"), self.flash_layout()?)?;
        fs::write(out.join("capability.rs"), self.records()?)?;
        println!("cargo:rustc-link-search={}", out.display());
        Ok(())
    }

    fn layout(&self) -> Result<String, Box<dyn Error>> {
        let (flash, (journal, journal_unit)) = (self.flash()?, self.journal()?);
        let models = self.region(RegionRole::ModelStore)?;
        let slot_unit = models.erase_unit.ok_or("flash without an erase unit")?;
        let write_unit = models.write_unit.ok_or("flash without a write unit")?;
        let platform = &self.capability.platform;
        let mut text = String::new();
        for (doc, name, value) in [
            ("Address of the flash.", "FLASH_START", flash.start),
            ("Flash, bytes.", "FLASH_BYTES", flash.size),
            (
                "Bytes that are programmed at once.",
                "WRITE_UNIT",
                write_unit,
            ),
            (
                "Erase unit of the slots, bytes.",
                "SLOT_ERASE_UNIT",
                slot_unit,
            ),
            (
                "Bytes of one slot.",
                "SLOT_BYTES",
                models.size / platform.model_slots,
            ),
            (
                "Offset of the journal.",
                "JOURNAL_OFFSET",
                journal.start - flash.start,
            ),
            ("Bytes of the journal.", "JOURNAL_BYTES", journal.size),
            (
                "Erase unit of the journal, bytes.",
                "JOURNAL_ERASE_UNIT",
                journal_unit,
            ),
            ("Arena, bytes.", "ARENA_BYTES", platform.arena_total),
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
        let class = tinsmith_package::module_class_id(&self.capability.digest());
        let doc = "Class identifier of modules.";
        writeln!(
            text,
            "/// {doc}\npub const MODULE_CLASS: [u8; 16] = {class:?};"
        )?;
        Ok(text)
    }

    /// The layout as the client takes it.
    fn flash_layout(&self) -> Result<String, Box<dyn Error>> {
        let start = self.flash()?.start;
        let (journal, journal_unit) = self.journal()?;
        let models = self.region(RegionRole::ModelStore)?;
        let unit = models.erase_unit.ok_or("flash without an erase unit")?;
        let write_unit = models.write_unit.ok_or("flash without a write unit")?;
        let slots = self.capability.platform.model_slots;
        let size = models.size / slots;
        let region = |start_at: u64, size: u64, unit: u64| {
            let offset = start_at - start;
            format!("Region {{ offset: {offset}, size: {size}, erase_unit: {unit} }}")
        };
        let journal = region(journal.start, journal.size, journal_unit);
        let slots = (0..slots).map(|slot| region(models.start + slot * size, size, unit));
        let slots = slots.collect::<Vec<_>>().join(", ");
        Ok(format!(
            "FlashLayout {{ journal: {journal}, slots: [{slots}], write_unit: {write_unit} }}"
        ))
    }

    fn records(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::from("&[\n");
        for (path, value) in self.capability.records() {
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
}

/// Writes `settings.rs`: endpoint name, bootstrap server, identity and key, from the environment
/// that the firmware is built in: `TINSMITH_ENDPOINT`, `TINSMITH_BOOTSTRAP`, `TINSMITH_IDENTITY`
/// and `TINSMITH_KEY`, hexadecimal digits. Without them the firmware is of nobody.
///
/// # Errors
/// A key that is not made of pairs of digits, or the file can't be written.
pub fn write_settings() -> Result<(), Box<dyn Error>> {
    let mut text = String::new();
    for (doc, name, default) in [
        ("Endpoint name.", "ENDPOINT", "unnamed"),
        (
            "URI of the bootstrap server.",
            "BOOTSTRAP",
            "coap://192.0.2.1:5683",
        ),
        ("What it knows the key by.", "IDENTITY", ""),
    ] {
        let value = setting(name).unwrap_or_else(|| default.into());
        writeln!(text, "/// {doc}\npub const {name}: &str = {value:?};")?;
    }
    let key = key(&setting("KEY").unwrap_or_default())?;
    writeln!(text, "/// The key.\npub const KEY: &[u8] = &{key:?};")?;
    fs::write(Path::new(&env::var("OUT_DIR")?).join("settings.rs"), text)?;
    Ok(())
}

fn setting(name: &str) -> Option<String> {
    let variable = format!("TINSMITH_{name}");
    println!("cargo:rerun-if-env-changed={variable}");
    env::var(variable).ok()
}

fn key(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut key = Vec::new();
    for pair in digits.as_bytes().chunks(2) {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2);
        let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        key.push(byte.ok_or("TINSMITH_KEY: pairs of hexadecimal digits are wanted")?);
    }
    Ok(key)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target::read(&format!("../targets/{name}.json")).unwrap()
    }

    #[test]
    fn image_ram_and_flash() {
        let range = |start, size| Range { start, size };
        for (name, image, ram, flash) in [
            (
                "qemu-mps2-an386",
                range(0, 0x40_0000),
                range(0x2000_0000, 0x40_0000),
                range(0x2100_0000, 0x10_8000),
            ),
            (
                "nrf52840-dk",
                range(0, 0x9_0000),
                range(0x2000_0000, 0x4_0000),
                range(0x9_0000, 0x7_0000),
            ),
            (
                "stm32f767zi",
                range(0x0802_0000, 0x16_0000),
                range(0x2002_0000, 0x6_0000),
                range(0x0800_0000, 0x20_0000),
            ),
        ] {
            let target = target(name);
            assert_eq!(target.image().unwrap(), image, "{name}");
            assert_eq!(target.ram().unwrap(), ram, "{name}");
            assert_eq!(target.flash().unwrap(), flash, "{name}");
        }
    }

    #[test]
    fn a_journal_beside_a_boot_loader_is_the_end_of_its_region() {
        let text = target("stm32f767zi").flash_layout().unwrap();
        let journal = "journal: Region { offset: 65536, size: 65536, erase_unit: 32768 }";
        assert!(text.contains(journal), "{text}");
        let text = target("nrf52840-dk").flash_layout().unwrap();
        let journal = "journal: Region { offset: 393216, size: 65536, erase_unit: 4096 }";
        assert!(text.contains(journal), "{text}");
    }

    #[test]
    fn keys() {
        assert_eq!(key("00fF7a").unwrap(), [0, 0xff, 0x7a]);
        assert!(key("").unwrap().is_empty());
        for bad in ["0", "0g", "00 1", "é"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_the_client_knows_for_itself_is_left_out() {
        let text = target("nrf52840-dk").records().unwrap();
        assert!(text.contains("(Path::resource(27300, 0, 0), Value::String(\"nrf52840-dk\"))"));
        for computed in [
            "27300, 0, 6)",
            "27300, 0, 8)",
            "27300, 0, 13)",
            "27301, 0, 10,",
        ] {
            assert!(!text.contains(computed), "{computed}");
        }
    }
}
