//! CBOR, one value (content format 60), and the encoder that the SenML format and the
//! capability digest use.

use crate::Sink;

/// The head of an item in its shortest form (RFC 8949 §4.2.1).
pub(crate) fn head(sink: &mut dyn Sink, major: u8, argument: u64) {
    let major = major << 5;
    let bytes = argument.to_be_bytes();
    match argument {
        0..=23 => sink.write(&[major | argument as u8]),
        24..=0xff => sink.write(&[major | 24, bytes[7]]),
        0x100..=0xffff => sink.write(&[major | 25, bytes[6], bytes[7]]),
        0x1_0000..=0xffff_ffff => {
            sink.write(&[major | 26, bytes[4], bytes[5], bytes[6], bytes[7]]);
        }
        _ => {
            sink.write(&[major | 27]);
            sink.write(&bytes);
        }
    }
}
