//! The content formats one by one: a program links those it lists.

use core::fmt;

use super::{ContentFormat, FormatError, Visitor};
use super::{cbor, lwm2m_cbor, opaque, senml_cbor, senml_json, text, tlv};
use crate::model::Models;
use crate::{Path, Records, Sink, ValueType};

type Decode = fn(&Path, &[u8], &dyn Models, &mut [u8], &mut Visitor<'_>) -> Result<(), FormatError>;
type Encode = fn(&Path, &dyn Records, &mut dyn Sink) -> Result<(), FormatError>;

/// A content format that values are decoded from and encoded to.
#[derive(Clone, Copy)]
pub struct Codec {
    format: ContentFormat,
    floats: bool,
    decode: Decode,
    encode: Encode,
}

impl Codec {
    /// Plain text.
    pub const TEXT: Self = Self {
        format: ContentFormat::TEXT,
        floats: true,
        decode: text::decode::<true>,
        encode: text::encode::<true>,
    };
    /// Plain text of everything but floats, which take most of its code.
    pub const TEXT_WITHOUT_FLOATS: Self = Self {
        format: ContentFormat::TEXT,
        floats: false,
        decode: text::decode::<false>,
        encode: text::encode::<false>,
    };
    /// Bytes.
    pub const OPAQUE: Self = Self {
        format: ContentFormat::OPAQUE,
        floats: true,
        decode: opaque::decode,
        encode: opaque::encode,
    };
    /// CBOR.
    pub const CBOR: Self = Self {
        format: ContentFormat::CBOR,
        floats: true,
        decode: cbor::decode::<true>,
        encode: cbor::encode,
    };
    /// CBOR without decimal fractions (tag 4), which take much of its code.
    pub const CBOR_WITHOUT_DECIMALS: Self = Self {
        decode: cbor::decode::<false>,
        ..Self::CBOR
    };
    /// SenML in JSON.
    pub const SENML_JSON: Self = Self {
        format: ContentFormat::SENML_JSON,
        floats: true,
        decode: senml_json::decode,
        encode: senml_json::encode,
    };
    /// SenML in CBOR.
    pub const SENML_CBOR: Self = Self {
        format: ContentFormat::SENML_CBOR,
        floats: true,
        decode: senml_cbor::decode::<true>,
        encode: senml_cbor::encode,
    };
    /// SenML in CBOR without decimal fractions.
    pub const SENML_CBOR_WITHOUT_DECIMALS: Self = Self {
        decode: senml_cbor::decode::<false>,
        ..Self::SENML_CBOR
    };
    /// LwM2M CBOR.
    pub const LWM2M_CBOR: Self = Self {
        format: ContentFormat::LWM2M_CBOR,
        floats: true,
        decode: lwm2m_cbor::decode::<true>,
        encode: lwm2m_cbor::encode,
    };
    /// LwM2M CBOR without decimal fractions.
    pub const LWM2M_CBOR_WITHOUT_DECIMALS: Self = Self {
        decode: lwm2m_cbor::decode::<false>,
        ..Self::LWM2M_CBOR
    };
    /// OMA LwM2M TLV.
    pub const TLV: Self = Self {
        format: ContentFormat::TLV,
        floats: true,
        decode: tlv::decode,
        encode: tlv::encode,
    };

    /// One of each format.
    pub const ALL: &'static [Self] = &[
        Self::TEXT,
        Self::OPAQUE,
        Self::CBOR,
        Self::SENML_JSON,
        Self::SENML_CBOR,
        Self::TLV,
        Self::LWM2M_CBOR,
    ];

    /// The number of the format.
    #[must_use]
    pub const fn format(&self) -> ContentFormat {
        self.format
    }

    /// Can values of this type be written in it, one alone at least?
    #[must_use]
    pub fn takes(&self, value: ValueType) -> bool {
        match value {
            ValueType::Opaque => true,
            _ if self.format == ContentFormat::OPAQUE => false,
            ValueType::Float => self.floats,
            ValueType::None => false,
            _ => true,
        }
    }

    /// Decodes a payload that answers or writes `base`.
    ///
    /// Records come in the order of the payload. What is in it twice comes twice; see
    /// [`decode_all`](super::decode_all). `scratch` is for SenML JSON and for opaque values in text:
    /// as long as the payload is enough.
    ///
    /// # Errors
    /// The payload breaks a rule of its format, does not fit `base` or a definition, or `visit`
    /// returned an error.
    pub fn decode(
        &self,
        base: &Path,
        payload: &[u8],
        models: &dyn Models,
        scratch: &mut [u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), FormatError> {
        (self.decode)(base, payload, models, scratch, visit)
    }

    /// Encodes all records, as the answer to a read of `base` or a write to it.
    ///
    /// # Errors
    /// The records do not fit the format or `base`: more than one value for a single-value format,
    /// a record outside of `base`. What was written until then is of no use.
    pub fn encode(
        &self,
        base: &Path,
        records: &dyn Records,
        sink: &mut dyn Sink,
    ) -> Result<(), FormatError> {
        (self.encode)(base, records, sink)
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.format.fmt(f)
    }
}

/// The codec of a format in a list.
///
/// # Errors
/// There is none.
pub fn codec(codecs: &[Codec], format: ContentFormat) -> Result<&Codec, FormatError> {
    codecs
        .iter()
        .find(|codec| codec.format == format)
        .ok_or(FormatError::UnsupportedFormat(format))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::decode_all;
    use crate::model::Builtin;
    use crate::{OwnedValue, Value};

    #[test]
    fn text_without_floats_has_everything_else() {
        let float = Path::resource(6, 0, 0);
        let text = Codec::TEXT_WITHOUT_FLOATS;
        assert!(!text.takes(ValueType::Float) && text.takes(ValueType::Integer));
        assert!(Codec::TEXT.takes(ValueType::Float) && !Codec::OPAQUE.takes(ValueType::Time));
        let mut out = std::vec::Vec::new();
        let mut seen = std::vec::Vec::new();
        let unsupported = Err(FormatError::UnsupportedFormat(ContentFormat::TEXT));
        let values = [(float, Value::Float(1.5))];
        assert_eq!(text.encode(&float, &values, &mut out), unsupported);
        let mut decode = |path: Path, payload: &[u8]| {
            text.decode(&path, payload, &Builtin, &mut [0; 8], &mut |record| {
                seen.push((record.path, OwnedValue::from(record.value)));
                Ok(())
            })
        };
        assert_eq!(decode(float, b"1.5"), unsupported);
        let level = Path::resource(3, 0, 9);
        for (path, payload) in [
            (level, &b"-3"[..]),
            (Path::resource(3, 0, 0), b"Acme"),
            (Path::resource(1, 0, 6), b"1"),
            (Path::resource(5, 0, 0), b"AP8="),
        ] {
            decode(path, payload).unwrap();
        }
        for wrong in [&b"1.0"[..], b"", b"01", b"1e2", b"--1"] {
            assert!(decode(level, wrong).is_err());
        }
        for (path, value) in seen {
            let mut out = std::vec::Vec::new();
            let one = [(path, value.as_value())];
            text.encode(&path, &one, &mut out).unwrap();
            let again = decode_all(ContentFormat::TEXT, &path, &out, &Builtin).unwrap();
            assert_eq!(again, [(path, value)]);
        }
    }

    #[test]
    fn without_decimal_fractions_other_numbers_are_read() {
        let level = Path::resource(3, 0, 9);
        let read = |codec: Codec, payload: &[u8]| {
            let mut seen = None;
            let decoded = codec.decode(&level, payload, &Builtin, &mut [], &mut |record| {
                seen = record.value.as_i64();
                Ok(())
            });
            decoded.map(|()| seen)
        };
        // 2, a half of 2, and 20 * 10^-1; in SenML as the value of /3/0/9.
        let numbers: [&[u8]; 3] = [&[2], &[0xf9, 0x40, 0x00], &[0xc4, 0x82, 0x20, 0x14]];
        for (number, is_decimal) in numbers.iter().zip([false, false, true]) {
            let senml = [b"\x81\xa2\x21\x66/3/0/9\x02".as_slice(), number].concat();
            for (all, less, payload) in [
                (Codec::CBOR, Codec::CBOR_WITHOUT_DECIMALS, *number),
                (
                    Codec::SENML_CBOR,
                    Codec::SENML_CBOR_WITHOUT_DECIMALS,
                    senml.as_slice(),
                ),
            ] {
                assert_eq!(read(all, payload), Ok(Some(2)));
                let wanted = if is_decimal {
                    Err(FormatError::Syntax)
                } else {
                    Ok(Some(2))
                };
                assert_eq!(read(less, payload), wanted);
            }
        }
    }

    #[test]
    fn what_is_not_listed_is_not_supported() {
        let list = [Codec::OPAQUE, Codec::TLV];
        assert_eq!(
            codec(&list, ContentFormat::TLV).unwrap().format(),
            ContentFormat::TLV
        );
        let missing = codec(&list, ContentFormat::CBOR).err();
        assert_eq!(
            missing,
            Some(FormatError::UnsupportedFormat(ContentFormat::CBOR))
        );
        for codec in Codec::ALL {
            assert!(codec.format().is_supported());
        }
    }
}
