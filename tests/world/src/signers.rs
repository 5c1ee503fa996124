//! Keys that packages are signed with.

use tinsmith_keys::Secret;
use tinsmith_order::Sign;
use tinsmith_package::{Algorithm, KeyId, Manifest, Signature, TrustAnchor};

/// Ed25519 keys of a server, the newest first.
#[derive(Clone, Debug, Default)]
pub struct Signers(Vec<(Secret, TrustAnchor)>);

impl Signers {
    /// The keys with these numbers.
    #[must_use]
    pub fn new(numbers: &[u8]) -> Self {
        let keys = numbers.iter().filter_map(|number| {
            let secret = Secret::from_bytes(Algorithm::EdDsa, &[*number; 32])?;
            let public = secret.public()?;
            Some((secret, public))
        });
        Self(keys.collect())
    }

    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|(_, public)| *public.id()).collect()
    }

    /// The public keys, as COSE_Key.
    #[must_use]
    pub fn public(&self) -> Vec<Vec<u8>> {
        let encoded = self.0.iter().map(|(_, public)| public.encode());
        encoded.map(|(bytes, len)| bytes[..len].to_vec()).collect()
    }
}

impl Sign for Signers {
    fn sign(
        &self,
        manifest: &Manifest,
        _: &[i64],
        trusted: &[KeyId],
    ) -> Result<Option<Signature<[u8; 64]>>, String> {
        let fits = |id: &KeyId| trusted.is_empty() || trusted.contains(id);
        let mut keys = self.0.iter();
        let key = keys.find(|(_, public)| fits(public.id()));
        let (secret, public) = key.ok_or("no key that the device trusts")?;
        let algorithm = Algorithm::EdDsa;
        let bytes = secret.sign(&manifest.to_be_signed(algorithm));
        Ok(bytes.map(|bytes| Signature {
            algorithm,
            key_id: *public.id(),
            bytes,
        }))
    }
}
