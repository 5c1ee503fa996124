//! The package around a firmware image.

use std::sync::Arc;

use tinsmith_digest::Digest;
use tinsmith_package::{Head, Kind, Manifest, VENDOR_ID, firmware_class_id};

use crate::package::{Package, Sign, whole};

/// What the head of a package with a firmware image says.
#[derive(Clone, Debug, PartialEq)]
pub struct FirmwareJob {
    /// Part number of the devices it is for (27300/0/1).
    pub part: String,
    /// Their platform (27300/0/0).
    pub platform: String,
    /// Name of the image.
    pub name: String,
    /// Version of the image.
    pub version: String,
    /// Version of the interface between client and module that the image replaces
    /// (27300/0/3).
    pub abi: u32,
    /// Above all earlier ones of these devices.
    pub sequence: u64,
    /// Seconds until a device goes back by itself if nobody commits.
    pub trial_s: u32,
    /// COSE numbers of the signature algorithms that the devices verify (27300/0/12).
    pub algorithms: Vec<i64>,
}

impl FirmwareJob {
    /// The package, signed.
    ///
    /// # Errors
    /// What does not fit into one, or why it is not signed.
    pub fn signed(&self, image: Arc<[u8]>, signer: &dyn Sign) -> Result<Package, String> {
        let size = u32::try_from(image.len()).map_err(|_| "the image has 4 GiB or more")?;
        if size == 0 {
            return Err("the image is empty".to_owned());
        }
        let digest = Digest::of(&image).0;
        let head = Head {
            kind: Kind::Firmware,
            sequence: self.sequence,
            slot: None,
            vendor_id: VENDOR_ID,
            class_id: firmware_class_id(&self.part, &self.platform),
            digest,
            size,
            abi: self.abi,
            arena_bytes: 0,
            trial_s: self.trial_s,
            model_name: &self.name,
            model_version: &self.version,
            // It is made from nothing that a device knows.
            source_digest: digest,
            compiler: "",
        };
        let manifest = Manifest::of(&head).map_err(|error| error.to_string())?;
        let signature = signer.sign(&manifest, &self.algorithms, &[])?;
        let signature = signature.ok_or("the devices verify no signature")?;
        Ok(whole(manifest.prefix(Some(&signature)), image))
    }
}
