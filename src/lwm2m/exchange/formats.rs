//! In which content format a device is written to.

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
        let named = &registration.announced.formats;
        let mut multi = [
            ContentFormat::SENML_CBOR,
            ContentFormat::TLV,
            ContentFormat::SENML_JSON,
        ];
        if !named.is_empty() {
            multi.sort_by_key(|format| !named.contains(&format.0));
        }
        list.extend(multi);
    }
    if !list.iter().all(|format| refused.0.contains(format)) {
        list.retain(|format| !refused.0.contains(format));
    }
    list.reverse();
    list
}
