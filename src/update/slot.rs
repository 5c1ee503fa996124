//! Object 27303 (ML Model) as the server sees it: the module slots of a device.

pub use lwm2m_objects::compute::{ModelResult, SlotState};
pub use lwm2m_objects::ids::ML_MODEL as OBJECT;
use lwm2m_objects::ids::ml_model as id;
use lwm2m_objects::{OwnedValue, Path};
use serde::{Deserialize, Serialize};

use tinsmith_digest::Digest;
use tinsmith_lwm2m::PathValue;

/// State of a slot.
pub(crate) const fn state(slot: u16) -> Path {
    Path::resource(OBJECT, slot, id::STATE)
}

/// Runs the module in a slot on trial; argument 0 is the seconds until the device rolls back.
pub(crate) const fn activate(slot: u16) -> Path {
    Path::resource(OBJECT, slot, id::ACTIVATE)
}

/// Takes the module on trial in a slot over for good.
pub(crate) const fn commit(slot: u16) -> Path {
    Path::resource(OBJECT, slot, id::COMMIT)
}

/// One instance of ML Model, as last read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Instance id.
    pub instance: u16,
    /// Model name; empty in an empty slot.
    pub model: String,
    /// Model version.
    pub version: String,
    /// SHA-256 of the ONNX file.
    pub source: Option<Digest>,
    /// SHA-256 of the module.
    pub module: Option<Digest>,
    /// Capability digest the module was built for.
    pub built_for: Vec<u8>,
    /// Where it is in its life.
    pub state: SlotState,
    /// Resource 8, Result.
    pub result: i64,
    /// First bytes of the SHA-256 of the package being received; empty when none is.
    pub receiving: Vec<u8>,
    /// Bytes of that package held without a gap.
    pub received: u32,
}

/// What the device says of a slot is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// A mandatory resource is absent or has another type.
    #[error("/27303/{instance}/{resource} is missing or has the wrong type")]
    Missing {
        /// Instance id.
        instance: u16,
        /// Resource id.
        resource: u16,
    },
    /// State is not 0..6.
    #[error("/27303/{instance}/7 is {value}: not a state of ML Model")]
    State {
        /// Instance id.
        instance: u16,
        /// What was read.
        value: i64,
    },
}

/// The slots in the values of a Read of /27303, in the order of their instances.
pub fn slots(values: &[PathValue]) -> Result<Vec<Slot>, SlotError> {
    let mut instances: Vec<u16> = values
        .iter()
        .filter(|found| found.path.object_id() == Some(OBJECT))
        .filter_map(|found| found.path.instance_id())
        .collect();
    instances.sort_unstable();
    instances.dedup();
    instances
        .into_iter()
        .map(|instance| slot(instance, values))
        .collect()
}

/// The highest sequence number that the device has ever committed, if it tells.
pub fn floor(values: &[PathValue]) -> Option<u64> {
    let of_slot = |found: &&PathValue| {
        found.path.object_id() == Some(OBJECT)
            && found.path.resource_id() == Some(id::SEQUENCE_FLOOR)
    };
    let floors = values.iter().filter(of_slot);
    floors
        .filter_map(|found| u64::try_from(found.value.as_i64()?).ok())
        .max()
}

fn slot(instance: u16, values: &[PathValue]) -> Result<Slot, SlotError> {
    let find = |resource| {
        let path = Path::resource(OBJECT, instance, resource);
        values
            .iter()
            .find(|found| found.path == path)
            .map(|found| &found.value)
    };
    let missing = |resource| SlotError::Missing { instance, resource };
    let text = |resource| match find(resource) {
        Some(OwnedValue::String(text)) => Ok(text.clone()),
        _ => Err(missing(resource)),
    };
    let bytes = |resource| match find(resource) {
        Some(OwnedValue::Opaque(bytes)) => Ok(bytes.clone()),
        _ => Err(missing(resource)),
    };
    let number = |resource| {
        find(resource)
            .and_then(OwnedValue::as_i64)
            .ok_or_else(|| missing(resource))
    };
    let digest = |resource| bytes(resource).map(|b| b.try_into().ok().map(Digest));
    let value = number(id::STATE)?;
    let state = SlotState::from_number(value).ok_or(SlotError::State { instance, value })?;
    Ok(Slot {
        instance,
        model: text(id::MODEL_NAME)?,
        version: text(id::MODEL_VERSION)?,
        source: digest(id::SOURCE_DIGEST)?,
        module: digest(id::MODULE_DIGEST)?,
        built_for: bytes(id::BUILT_FOR)?,
        state,
        result: number(id::RESULT)?,
        receiving: bytes(id::RECEIVING_PACKAGE).unwrap_or_default(),
        received: number(id::RECEIVED_BYTES)
            .ok()
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
    })
}

/// Resource 8, Result, in words; `None` for 0 (none) and 1 (success).
pub fn fault(result: i64) -> Option<&'static str> {
    match ModelResult::from_number(result) {
        Some(result) => result.is_fault().then(|| result.name()),
        None => Some("unknown result"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(instance: u16, state: i64) -> Vec<PathValue> {
        let at = |resource| Path::resource(OBJECT, instance, resource);
        let values = [
            (at(0), OwnedValue::String("motion".into())),
            (at(1), OwnedValue::String("1.0".into())),
            (at(2), OwnedValue::Opaque(vec![1; 32])),
            (at(3), OwnedValue::Opaque(vec![2; 32])),
            (at(5), OwnedValue::Opaque(vec![3; 16])),
            (at(7), OwnedValue::Integer(state)),
            (at(8), OwnedValue::Integer(0)),
            (at(21), OwnedValue::Opaque(vec![9; 8])),
            (at(22), OwnedValue::UnsignedInteger(1024)),
        ];
        values.into_iter().map(PathValue::from).collect()
    }

    #[test]
    fn reads_every_instance_in_order() {
        let mut all = values(1, 4);
        all.extend(values(0, 1));
        let slots = slots(&all).unwrap();
        assert_eq!(slots.len(), 2);
        assert_eq!(
            (slots[0].instance, slots[0].state),
            (0, SlotState::Receiving)
        );
        assert_eq!((slots[1].instance, slots[1].state), (1, SlotState::Active));
        assert_eq!(slots[1].module, Some(Digest([2; 32])));
        assert_eq!(slots[0].received, 1024);
    }

    #[test]
    fn names_what_is_missing() {
        let mut all = values(0, 9);
        assert_eq!(
            slots(&all),
            Err(SlotError::State {
                instance: 0,
                value: 9
            })
        );
        all.remove(0);
        assert_eq!(
            slots(&all[..4]),
            Err(SlotError::Missing {
                instance: 0,
                resource: 7
            })
        );
    }
}
