//! In which content formats a device is written to and asked.

use lwm2m_objects::{ContentFormat, OwnedValue, Path};

use crate::target::PathValue;
use crate::types::Registration;

/// Formats that are remembered.
const MAX: usize = 16;

/// Content formats that a device refused in writes.
#[derive(Debug, Default)]
pub(crate) struct Refused(Vec<ContentFormat>);

impl Refused {
    pub(super) fn add(&mut self, format: ContentFormat) {
        if !self.0.contains(&format) && self.0.len() < MAX {
            self.0.push(format);
        }
    }
}

/// Formats of many values: first those that the device named, and of a 1.0 the one it has.
fn best_first(registration: &Registration) -> impl DoubleEndedIterator<Item = ContentFormat> {
    let mut many = [
        ContentFormat::SENML_CBOR,
        ContentFormat::TLV,
        ContentFormat::LWM2M_CBOR,
        ContentFormat::SENML_JSON,
    ];
    let is_old = registration.announced.version == "1.0";
    many.sort_by_key(|format| {
        let is_named = registration.announced.formats.contains(&format.0);
        (!is_named, is_old && *format != ContentFormat::TLV)
    });
    many.into_iter()
}

/// Formats to ask for, the best last, if the device's own choice is of no use.
pub(super) fn to_accept(registration: &Registration) -> Vec<ContentFormat> {
    best_first(registration).rev().collect()
}

/// Formats for a write, the best last: what the device named, not what it refused before.
pub(super) fn worst_first(
    registration: &Registration,
    refused: &Refused,
    path: &Path,
    values: &[PathValue],
) -> Vec<ContentFormat> {
    let mut list = Vec::with_capacity(4);
    if let [only] = values
        && only.path == *path
    {
        list.push(match &only.value {
            OwnedValue::Opaque(_) => ContentFormat::OPAQUE,
            _ => ContentFormat::TEXT,
        });
    }
    if registration.announced.version == "1.0" {
        list.push(ContentFormat::TLV);
    } else {
        list.extend(best_first(registration));
    }
    if !list.iter().all(|format| refused.0.contains(format)) {
        list.retain(|format| !refused.0.contains(format));
    }
    list.reverse();
    list
}
