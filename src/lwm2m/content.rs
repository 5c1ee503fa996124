//! Values in answers and notifications.

use std::collections::BTreeSet;

use lwm2m_objects::format::{self, FormatError};
use lwm2m_objects::{ContentFormat, Path};

use super::models::Models;
use super::target::PathValue;
use super::types::Now;

/// The format of an answer; some devices leave the option out of single values.
pub(super) fn content_format(option: Option<u16>, path: &Path) -> ContentFormat {
    match option {
        Some(number) => ContentFormat(number),
        None if path.depth() >= 3 => ContentFormat::TEXT,
        None => ContentFormat::TLV,
    }
}

/// Times below this are relative to now (RFC 8428 §4.5.3).
const RELATIVE: f64 = (1_u64 << 28) as f64;

/// The values of a payload, with absolute times.
pub(super) fn decode(
    now: Now,
    format: ContentFormat,
    base: &Path,
    payload: &[u8],
    models: &Models,
) -> Result<Vec<PathValue>, FormatError> {
    let mut scratch = vec![0; payload.len()];
    let mut values = Vec::new();
    let mut seen = BTreeSet::new();
    let visit = &mut |record: format::Record<'_>| {
        if !seen.insert((record.path, record.time.map(f64::to_bits))) {
            return Err(FormatError::Duplicate(record.path));
        }
        let absolute = |time| match time {
            time if time < RELATIVE => now.wall as f64 / 1000.0 + time,
            time => time,
        };
        values.push(PathValue {
            path: record.path,
            value: record.value.into(),
            time: record.time.map(absolute),
        });
        Ok(())
    };
    format::decode(format, base, payload, &**models, &mut scratch, visit)?;
    Ok(values)
}
