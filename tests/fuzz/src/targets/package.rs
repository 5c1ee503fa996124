//! The head of a package: no prefix of a good head is refused.

use tinsmith_package::{Head, MAX_HEAD, Parsed, Receiver};

pub(crate) fn run(data: &[u8]) {
    let receiver = Receiver {
        module_class: [0; 16],
        firmware_class: None,
        abi: 1,
        arena_bytes: 65_536,
        slot_bytes: 262_144,
        sequence_floor: 0,
    };
    let whole = Head::parse(data);
    if let Ok(Parsed::Complete {
        head,
        payload_offset,
        ..
    }) = &whole
    {
        assert!(*payload_offset <= MAX_HEAD.min(data.len()));
        let _ = head.check(&receiver);
    }
    // It does not matter how the bytes arrive: no prefix of a good head is refused.
    if let Ok(Parsed::Complete { payload_offset, .. }) = whole {
        for end in 0..payload_offset {
            assert!(matches!(Head::parse(&data[..end]), Ok(Parsed::NeedMore)));
        }
    }
}
