//! The package around a module.

use std::sync::Arc;

use tinsmith_digest::Digest;
use tinsmith_package::{Head, Kind, VENDOR_ID, encode_prefix, module_class_id};

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
    /// The package: the same bytes for the same job and module.
    ///
    /// # Errors
    /// What of the head does not fit into one.
    pub fn package(&self, module: Arc<[u8]>) -> Result<Package, String> {
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
        let head = encode_prefix(&head).map_err(|e| e.to_string())?;
        Ok(Package {
            digest: Digest::of_parts(&[&head, &module]),
            head: head.into(),
            module,
        })
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
