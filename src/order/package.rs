//! The package around a module.

use std::sync::Arc;

use tinsmith_digest::Digest;
use tinsmith_package::{Head, KeyId, Kind, Manifest, Signature, VENDOR_ID, module_class_id};

use crate::artefact::Artefact;

/// What the head of a package says.
#[derive(Clone, Debug, PartialEq)]
pub struct PackageJob {
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: String,
    /// SHA-256 of the ONNX file.
    pub source: Digest,
    /// The module.
    pub artefact: Artefact,
    /// Of the device.
    pub capability_digest: [u8; 16],
    /// Of the device's runtime.
    pub abi: u32,
    /// Above all earlier ones of this device.
    pub sequence: u64,
    /// Seconds until the device rolls back by itself.
    pub trial_s: u32,
    /// COSE numbers of the signature algorithms that the device verifies (27300/0/12).
    pub algorithms: Vec<i64>,
    /// Ids of the keys that it trusts (27300/0/15).
    pub trusted: Vec<KeyId>,
}

/// Signs packages.
pub trait Sign: Send + Sync {
    /// The signature of a manifest for a device that verifies these algorithms and trusts these
    /// keys, any if none is named; none if it verifies nothing.
    ///
    /// # Errors
    /// Why there is no signature that the device would take.
    fn sign(
        &self,
        manifest: &Manifest,
        algorithms: &[i64],
        trusted: &[KeyId],
    ) -> Result<Option<Signature<[u8; 64]>>, String>;
}

/// A package, ready to be sent.
#[derive(Clone, Debug)]
pub struct Package {
    /// SHA-256 of all of it.
    pub digest: Digest,
    /// Everything before the module, for one device.
    pub head: Arc<[u8]>,
    /// The module's file, the same for all devices that are sent it.
    pub module: Arc<[u8]>,
}

impl PackageJob {
    /// The package without a signature: the same bytes for the same job and module.
    ///
    /// # Errors
    /// What of the head does not fit into one.
    pub fn package(&self, module: Arc<[u8]>) -> Result<Package, String> {
        let prefix = self.manifest(&module)?.prefix(None);
        Ok(whole(prefix, module))
    }

    /// The package, signed for its device.
    ///
    /// # Errors
    /// What of the head does not fit into one, or why it is not signed.
    pub fn signed(&self, module: Arc<[u8]>, signer: &dyn Sign) -> Result<Package, String> {
        let manifest = self.manifest(&module)?;
        let signature = signer
            .sign(&manifest, &self.algorithms, &self.trusted)
            .map_err(|why| format!("the package can't be signed: {why}"))?;
        Ok(whole(manifest.prefix(signature.as_ref()), module))
    }

    fn manifest(&self, module: &[u8]) -> Result<Manifest, String> {
        let size = u32::try_from(module.len()).map_err(|e| e.to_string())?;
        let head = Head {
            kind: Kind::Module,
            sequence: self.sequence,
            slot: None,
            vendor_id: VENDOR_ID,
            class_id: module_class_id(&self.capability_digest),
            digest: self.artefact.module.0,
            size,
            abi: self.abi,
            arena_bytes: self.artefact.arena_bytes,
            trial_s: self.trial_s,
            model_name: &self.model,
            model_version: &self.version,
            source_digest: self.source.0,
            compiler: &self.artefact.compiler,
        };
        Manifest::of(&head).map_err(|e| e.to_string())
    }
}

pub(crate) fn whole(prefix: Vec<u8>, module: Arc<[u8]>) -> Package {
    Package {
        digest: Digest::of_parts(&[&prefix, &module]),
        head: prefix.into(),
        module,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_jobs_make_equal_packages_and_every_field_counts() {
        let module: Arc<[u8]> = vec![7; 100].into();
        let job = PackageJob {
            model: "motion".into(),
            version: "1".into(),
            source: Digest::of(b"onnx"),
            artefact: Artefact {
                module: Digest::of(&module),
                module_bytes: 100,
                arena_bytes: 64,
                compile_ms: 1,
                cached: false,
                compiler: "tinsmith".into(),
            },
            capability_digest: [3; 16],
            abi: 1,
            sequence: 5,
            trial_s: 600,
            algorithms: Vec::new(),
            trusted: Vec::new(),
        };
        let package = |job: &PackageJob| job.package(module.clone()).unwrap();
        let first = package(&job);
        assert_eq!(first.digest, package(&job).digest);
        let whole = [&first.head[..], &first.module[..]].concat();
        assert_eq!(first.digest, Digest::of(&whole));
        let changes: [fn(&mut PackageJob); 6] = [
            |job| job.sequence += 1,
            |job| job.trial_s += 1,
            |job| job.capability_digest[0] ^= 1,
            |job| job.abi += 1,
            |job| job.version.push('1'),
            |job| job.source.0[0] ^= 1,
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut other = job.clone();
            change(&mut other);
            assert_ne!(package(&other).head, first.head, "change {at}");
        }
    }
}
