//! Content formats, one file each.
//!
//! Decoders give one [`Record`] after the other and keep nothing; encoders visit [`Records`] and
//! write to a [`Sink`]. Only where a format hides its values behind escapes or base64 is a
//! scratch buffer needed; as many bytes as the payload has are always enough.

mod base64;
pub(crate) mod cbor;
mod codec;
mod error;
mod fault;
mod float;
mod guard;
mod items;
mod json;
pub mod link;
mod lwm2m_cbor;
mod number;
mod opaque;
mod senml;
mod senml_cbor;
mod senml_json;
mod text;
mod tlv;

pub use codec::{Codec, codec};
pub use error::FormatError;

#[cfg(feature = "alloc")]
use alloc::{collections::BTreeSet, vec::Vec};
use core::fmt;

#[cfg(feature = "alloc")]
use crate::OwnedValue;
use crate::model::Models;
use crate::{Path, Records, Sink, Value};

/// A number of the CoAP Content-Formats registry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentFormat(pub u16);

impl ContentFormat {
    /// Plain text, one value (RFC 7252 §12.3).
    pub const TEXT: Self = Self(0);
    /// CoRE link format (RFC 6690).
    pub const LINK: Self = Self(40);
    /// Bytes, one value.
    pub const OPAQUE: Self = Self(42);
    /// CBOR, one value (RFC 8949).
    pub const CBOR: Self = Self(60);
    /// SenML in JSON (RFC 8428).
    pub const SENML_JSON: Self = Self(110);
    /// SenML in CBOR (RFC 8428).
    pub const SENML_CBOR: Self = Self(112);
    /// OMA LwM2M TLV (LwM2M TS 1.1 §7.4.3).
    pub const TLV: Self = Self(11542);
    /// OMA LwM2M JSON of version 1.0; named only, neither decoded nor encoded.
    pub const OMA_JSON: Self = Self(11543);
    /// LwM2M CBOR (LwM2M TS 1.2 §7.4.7).
    pub const LWM2M_CBOR: Self = Self(11544);

    /// The media type, if the number is known.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::TEXT => "text/plain;charset=utf-8",
            Self::LINK => "application/link-format",
            Self::OPAQUE => "application/octet-stream",
            Self::CBOR => "application/cbor",
            Self::SENML_JSON => "application/senml+json",
            Self::SENML_CBOR => "application/senml+cbor",
            Self::TLV => "application/vnd.oma.lwm2m+tlv",
            Self::OMA_JSON => "application/vnd.oma.lwm2m+json",
            Self::LWM2M_CBOR => "application/vnd.oma.lwm2m+cbor",
            _ => return None,
        })
    }

    /// Does a payload of this format carry one value only?
    #[must_use]
    pub const fn is_single_value(self) -> bool {
        matches!(self, Self::TEXT | Self::OPAQUE | Self::CBOR)
    }

    /// Can values be decoded from it and encoded to it here?
    #[must_use]
    pub const fn is_supported(self) -> bool {
        self.is_single_value()
            || matches!(
                self,
                Self::SENML_JSON | Self::SENML_CBOR | Self::TLV | Self::LWM2M_CBOR
            )
    }
}

impl fmt::Display for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "content format {}", self.0),
        }
    }
}

impl fmt::Debug for ContentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentFormat({})", self.0)
    }
}

/// One decoded value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Record<'a> {
    /// A resource or a resource instance, at or below the path of the request.
    pub path: Path,
    /// Seconds as RFC 8428 §4.5.3 means them: below 2^28 relative to now, else since 1970.
    pub time: Option<f64>,
    /// The value; of the type the definition says, where there is a definition.
    pub value: Value<'a>,
}

/// Takes records; what it returns ends the decoding if it is an error.
pub type Visitor<'v> = dyn FnMut(Record<'_>) -> Result<(), FormatError> + 'v;

/// Decodes a payload that answers or writes `base`, in any format of [`Codec::ALL`]; see
/// [`Codec::decode`].
///
/// # Errors
/// As [`Codec::decode`], and a format that is not supported.
pub fn decode(
    format: ContentFormat,
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
    scratch: &mut [u8],
    visit: &mut Visitor<'_>,
) -> Result<(), FormatError> {
    codec(Codec::ALL, format)?.decode(base, payload, models, scratch, visit)
}

/// Encodes all records in any format of [`Codec::ALL`]; see [`Codec::encode`].
///
/// # Errors
/// As [`Codec::encode`], and a format that is not supported.
pub fn encode<R, S>(
    format: ContentFormat,
    base: &Path,
    records: &R,
    sink: &mut S,
) -> Result<(), FormatError>
where
    R: Records + ?Sized,
    S: Sink + ?Sized,
{
    codec(Codec::ALL, format)?.encode(base, &records, &mut &mut *sink)
}

/// Decodes a payload into owned values; see [`decode`].
///
/// # Errors
/// As [`decode`], and a path that comes twice with the same time.
#[cfg(feature = "alloc")]
pub fn decode_all(
    format: ContentFormat,
    base: &Path,
    payload: &[u8],
    models: &dyn Models,
) -> Result<Vec<(Path, OwnedValue)>, FormatError> {
    let mut scratch = alloc::vec![0; payload.len()];
    let mut values = Vec::new();
    let mut seen = BTreeSet::new();
    decode(format, base, payload, models, &mut scratch, &mut |record| {
        if !seen.insert((record.path, record.time.map(f64::to_bits))) {
            return Err(FormatError::Duplicate(record.path));
        }
        values.push((record.path, record.value.into()));
        Ok(())
    })?;
    Ok(values)
}

/// Encodes all records into a vector; see [`encode`].
///
/// # Errors
/// As [`encode`].
#[cfg(feature = "alloc")]
pub fn encode_vec<R: Records + ?Sized>(
    format: ContentFormat,
    base: &Path,
    records: &R,
) -> Result<Vec<u8>, FormatError> {
    let mut out = Vec::new();
    encode(format, base, records, &mut out)?;
    Ok(out)
}
