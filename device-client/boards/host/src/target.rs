//! Target files: what a device is made of, as data.

use std::fmt;

use lwm2m_objects::capability::{Capability, Region as MemoryRegion};
use lwm2m_objects::compute::RegionRole;
use tinsmith_client::{FlashLayout, MIN_JOURNAL_HALF, Region, SLOTS, Scheme};

/// Bytes of a half of the journal, where the part has room for it.
const JOURNAL_HALF: u64 = 4096;

/// The names of the targets that come with the program.
pub fn names() -> impl Iterator<Item = &'static str> {
    tinsmith_targets::platforms()
}

/// A device to be.
#[derive(Clone, Debug)]
pub struct Target {
    /// Objects 27300, 27301 and 27302.
    pub capability: Capability,
    /// Where journal and slots lie in the file that stands for the flash.
    pub layout: FlashLayout,
    /// Bytes of that file.
    pub flash_bytes: usize,
}

/// Why there is no such target: the user's mistake.
#[derive(Debug)]
#[non_exhaustive]
pub enum TargetError {
    /// No target has this name, and there is no such file.
    Unknown(tinsmith_targets::Unknown),
    /// The file is no capability.
    Syntax(String, serde_json::Error),
    /// The file describes a device that has no place for what the client needs.
    Unfit(String, &'static str),
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(e) => e.fmt(f),
            Self::Syntax(name, e) => write!(f, "{name} is no target file: {e}"),
            Self::Unfit(name, what) => write!(f, "{name} has no {what}"),
        }
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// A target by name, by a beginning that only one has, or by the path of a file.
    ///
    /// # Errors
    /// There is none, or it can't be used.
    pub fn find(name: &str) -> Result<Self, TargetError> {
        let text = tinsmith_targets::text(name).map_err(TargetError::Unknown)?;
        Self::parse(name, &text)
    }

    /// The signature algorithms that the device verifies: those of the file that there are.
    #[must_use]
    pub fn signatures(&self) -> &'static [Scheme] {
        const BOTH: &[Scheme] = &[Scheme::ED25519, Scheme::ES256];
        let listed = &self.capability.platform.signature_algorithms;
        let lists = |scheme: &Scheme| listed.contains(&scheme.algorithm().number());
        match BOTH {
            [first, second] if lists(first) && lists(second) => BOTH,
            [first, _] if lists(first) => &BOTH[..1],
            [_, second] if lists(second) => &BOTH[1..],
            _ => &[],
        }
    }

    fn parse(name: &str, text: &str) -> Result<Self, TargetError> {
        let capability =
            tinsmith_targets::parse(text).map_err(|e| TargetError::Syntax(name.to_string(), e))?;
        let unfit = |what| TargetError::Unfit(name.to_string(), what);
        let by_role = |role: RegionRole| {
            let mut regions = capability.regions.iter();
            regions.find(|r| r.roles.contains(&(role as i64)))
        };
        let state =
            by_role(RegionRole::Credentials).ok_or_else(|| unfit("region for credentials"))?;
        let store = by_role(RegionRole::ModelStore).ok_or_else(|| unfit("region for modules"))?;
        let units = |r: &MemoryRegion| r.erase_unit.zip(r.write_unit);
        let (state_erase, state_write) = units(state).ok_or_else(|| unfit("flash units"))?;
        let (store_erase, store_write) = units(store).ok_or_else(|| unfit("flash units"))?;
        let half = JOURNAL_HALF
            .min(state.size / 2)
            .next_multiple_of(state_erase);
        let slot = capability.platform.max_module_size / store_erase * store_erase;
        if half < u64::from(MIN_JOURNAL_HALF) || slot == 0 {
            return Err(unfit("room for journal and slots"));
        }
        let first = (2 * half).next_multiple_of(store_erase.max(32));
        let narrow = |n: u64| u32::try_from(n).map_err(|_| unfit("flash below 4 GiB"));
        let slot_at = |i: u64| -> Result<Region, TargetError> {
            Ok(Region {
                offset: narrow(first + i * slot)?,
                size: narrow(slot)?,
                erase_unit: narrow(store_erase)?,
            })
        };
        let journal = Region {
            offset: 0,
            size: narrow(2 * half)?,
            erase_unit: narrow(state_erase)?,
        };
        let layout = FlashLayout {
            journal,
            slots: [slot_at(0)?, slot_at(1)?],
            write_unit: narrow(state_write.max(store_write))?,
        };
        layout.check().map_err(|_| unfit("usable flash layout"))?;
        let flash_bytes = layout.slots[SLOTS - 1].end() as usize;
        Ok(Self {
            capability,
            layout,
            flash_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_makes_a_device() {
        for name in names() {
            let target = Target::find(name).unwrap();
            assert_eq!(target.layout.check(), Ok(()), "{name}");
            let slot = u64::from(target.layout.slots[0].size);
            assert_eq!(slot, target.capability.platform.max_module_size, "{name}");
        }
    }

    #[test]
    fn names_may_be_shortened() {
        assert!(Target::find("nrf52840").is_ok());
        assert!(Target::find("stm32l053").is_ok());
        let error = Target::find("z80").unwrap_err().to_string();
        assert!(error.contains("nrf52840-dk"), "{error}");
        assert!(Target::find("").is_err());
        assert!(Target::find("/does/not/exist.json").is_err());
    }
}
