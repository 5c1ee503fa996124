//! The package that changes the trust anchors of a device.

use tinsmith_package::{
    Head, KeyId, Kind, MAX_ANCHORS, Manifest, TrustAnchor, VENDOR_ID, module_class_id, sha256,
};

use crate::package::{Package, Sign, whole};

/// Public keys that devices shall trust, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// A COSE_KeySet.
    set: Vec<u8>,
    ids: Vec<KeyId>,
}

impl Anchors {
    /// These; what is no COSE_Key in the form of packages is left out, and what is too many.
    pub fn new<K: AsRef<[u8]>>(keys: &[K]) -> Self {
        let mut anchors = Self::default();
        let known = keys.iter().map(AsRef::as_ref);
        let known = known.filter_map(|key| Some((key, TrustAnchor::parse(key, &[])?)));
        anchors.set.push(0);
        for (key, anchor) in known.take(MAX_ANCHORS) {
            if !anchors.ids.contains(anchor.id()) {
                anchors.set.extend_from_slice(key);
                anchors.ids.push(*anchor.id());
            }
        }
        anchors.set[0] = 0x80 | anchors.ids.len() as u8;
        anchors
    }

    /// Their names.
    pub fn ids(&self) -> &[KeyId] {
        &self.ids
    }
}

/// What a package says that changes trust anchors.
#[derive(Clone, Debug, PartialEq)]
pub struct AnchorsJob {
    /// All that the device has afterwards.
    pub anchors: Anchors,
    /// Of the device.
    pub capability_digest: [u8; 16],
    /// Of the device's runtime.
    pub abi: u32,
    /// Above all earlier ones of this device.
    pub sequence: u64,
    /// COSE numbers of the signature algorithms that the device verifies (27300/0/12).
    pub algorithms: Vec<i64>,
    /// Ids of the keys that it trusts now (27300/0/15).
    pub trusted: Vec<KeyId>,
}

impl AnchorsJob {
    /// The package, signed with a key that the device trusts now.
    ///
    /// # Errors
    /// Why it is not signed.
    pub fn signed(&self, signer: &dyn Sign) -> Result<Package, String> {
        let payload = &self.anchors.set;
        let manifest = Manifest::of(&Head {
            kind: Kind::Anchors,
            sequence: self.sequence,
            slot: None,
            vendor_id: VENDOR_ID,
            class_id: module_class_id(&self.capability_digest),
            digest: sha256(payload),
            size: payload.len() as u32,
            abi: self.abi,
            arena_bytes: 0,
            trial_s: 0,
            model_name: "",
            model_version: "",
            source_digest: [0; 32],
            compiler: "",
        })
        .map_err(|error| error.to_string())?;
        let signature = signer.sign(&manifest, &self.algorithms, &self.trusted)?;
        let signature = signature.ok_or("the device verifies no signatures")?;
        let prefix = manifest.prefix(Some(&signature));
        Ok(whole(prefix, payload.as_slice().into()))
    }
}
