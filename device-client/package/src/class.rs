//! Class identifiers (draft-ietf-suit-manifest 8.4.8.2): UUIDs of version 5 below [`VENDOR_ID`].

use uuid::Uuid;

use crate::VENDOR_ID;

/// [`VENDOR_ID`] as a UUID, for printing.
#[must_use]
pub const fn vendor_uuid() -> Uuid {
    Uuid::from_bytes(VENDOR_ID)
}

/// The class identifier of modules for devices with this capability digest (27300/0/13).
#[must_use]
pub fn module_class_id(capability_digest: &[u8; 16]) -> [u8; 16] {
    Uuid::new_v5(&vendor_uuid(), capability_digest).into_bytes()
}

/// The class identifier of firmware for this part (27300/0/1) on this platform (27300/0/0).
///
/// The name hashed is `part|platform`. Only the first 64 bytes of each are used, which is what
/// those resources may hold.
#[must_use]
pub fn firmware_class_id(part: &str, platform: &str) -> [u8; 16] {
    const EACH: usize = 64;
    let mut name = [0; 2 * EACH + 1];
    let part = &part.as_bytes()[..part.len().min(EACH)];
    let platform = &platform.as_bytes()[..platform.len().min(EACH)];
    let bar = part.len();
    let len = bar + 1 + platform.len();
    name[..bar].copy_from_slice(part);
    name[bar] = b'|';
    name[bar + 1..len].copy_from_slice(platform);
    Uuid::new_v5(&vendor_uuid(), &name[..len]).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_ids_are_version_5_uuids_and_differ_by_name() {
        let a = module_class_id(&[1; 16]);
        let b = module_class_id(&[2; 16]);
        let c = firmware_class_id("nRF52840_xxAA", "nrf52840-dk");
        for id in [a, b, c] {
            assert_eq!(Uuid::from_bytes(id).get_version_num(), 5);
        }
        assert_ne!(a, b);
        assert_eq!(
            c,
            Uuid::new_v5(&vendor_uuid(), b"nRF52840_xxAA|nrf52840-dk").into_bytes()
        );
        assert_eq!(
            vendor_uuid().to_string(),
            "4e3c1f0a-7d52-4b9e-9a61-2c8f5d70b3e4"
        );
        assert_eq!(vendor_uuid().get_version_num(), 4);
    }

    #[test]
    fn firmware_class_of_over_long_names_does_not_panic() {
        let long = "x".repeat(300);
        assert_eq!(
            firmware_class_id(&long, &long),
            firmware_class_id(&long[..64], &long[..64])
        );
    }
}
