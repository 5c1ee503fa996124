//! Base64 and base64url (RFC 4648 §4, §5), in place.

use super::FormatError;
use crate::Sink;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Which alphabet, and whether `=` fills the last group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// With padding.
    Standard,
    /// Without padding, as SenML wants it (RFC 8428 §4.3).
    Url,
}

fn digit(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// Decodes the buffer over itself and gives the number of bytes.
///
/// Both alphabets are taken, with padding or without; unused bits must be zero.
pub(super) fn decode_in_place(buffer: &mut [u8]) -> Result<usize, FormatError> {
    let bad = FormatError::BadBase64;
    let mut text = buffer.len();
    if text.is_multiple_of(4) {
        for _ in 0..2 {
            if text > 0 && buffer[text - 1] == b'=' {
                text -= 1;
            }
        }
    }
    let mut bits = 0u32;
    let mut count = 0;
    let mut len = 0;
    for at in 0..text {
        bits = (bits << 6) | u32::from(digit(buffer[at]).ok_or(bad)?);
        count += 6;
        if count >= 8 {
            count -= 8;
            buffer[len] = (bits >> count) as u8;
            len += 1;
            bits &= (1 << count) - 1;
        }
    }
    if count >= 6 || bits != 0 {
        Err(bad)
    } else {
        Ok(len)
    }
}

pub(super) fn encode(bytes: &[u8], alphabet: Alphabet, sink: &mut dyn Sink) {
    let digits = if alphabet == Alphabet::Url {
        URL
    } else {
        STANDARD
    };
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        let text = [18, 12, 6, 0].map(|shift| digits[(bits >> shift) as usize & 63]);
        sink.write(&text[..chunk.len() + 1]);
        if alphabet == Alphabet::Standard {
            sink.write(&b"=="[..3 - chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn decoded(text: &[u8]) -> Result<Vec<u8>, FormatError> {
        let mut buffer = text.to_vec();
        let len = decode_in_place(&mut buffer)?;
        buffer.truncate(len);
        Ok(buffer)
    }

    #[test]
    fn vectors() {
        // RFC 4648 §10
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (bytes, text) in cases {
            let mut out = Vec::new();
            encode(bytes.as_bytes(), Alphabet::Standard, &mut out);
            assert_eq!(out, text.as_bytes());
            assert_eq!(decoded(text.as_bytes()).unwrap(), bytes.as_bytes());
            let bare = text.trim_end_matches('=');
            assert_eq!(decoded(bare.as_bytes()).unwrap(), bytes.as_bytes());
        }
        for bad in [
            "A", "AB=", "A===", "====", "Zh==", "Zm9", "Z g=", "Zg==Zg==", "=", "AA=A",
        ] {
            assert_eq!(
                decoded(bad.as_bytes()),
                Err(FormatError::BadBase64),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn round_trip(bytes in prop::collection::vec(any::<u8>(), 0..64), url in any::<bool>()) {
            let alphabet = if url { Alphabet::Url } else { Alphabet::Standard };
            let mut out = Vec::new();
            encode(&bytes, alphabet, &mut out);
            prop_assert_eq!(decoded(&out).unwrap(), bytes);
        }

        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decoded(&bytes);
        }
    }
}
