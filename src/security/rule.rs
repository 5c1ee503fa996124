//! Devices that prove who they are by a raw public key or a certificate, and the record of it.

use lwm2m_objects::hex;
use serde::{Deserialize, Serialize};
use tinsmith_dtls_server::{raw_key_digest, subject_public_key_info};
use tinsmith_lwm2m::Identity;
use tinsmith_store::{Key, Kind, RecordError, decode, encode};

use crate::entry::{EntryError, MAX_ENDPOINTS, Purpose, fits, is_name, is_pattern};

const SCHEMA: u16 = 1;
/// What the ids of these records begin with.
const PREFIX: &[u8] = b"rule/";

/// What a device proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// That it has the key of this SHA-256 digest of a SubjectPublicKeyInfo.
    RawKey([u8; 32]),
    /// That an authority which the server believes has given it a name: the common name, a DNS name
    /// or a URI of its certificate. A pattern for that name; none: it is the endpoint's.
    Certificate(Option<String>),
}

impl Proof {
    /// A raw public key: PEM, or hexadecimal digits of the SubjectPublicKeyInfo or of its digest.
    #[must_use]
    pub fn raw_key(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = hex::decode(text).unwrap_or_else(|| text.as_bytes().to_vec());
        match <[u8; 32]>::try_from(&bytes[..]) {
            Ok(digest) => Some(Self::RawKey(digest)),
            Err(_) => {
                let key = subject_public_key_info(&bytes)?;
                Some(Self::RawKey(raw_key_digest(&key)))
            }
        }
    }
}

/// Who may be which device by its raw public key or certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The names that it may have, as those of an [`Entry`](crate::Entry).
    pub endpoints: String,
    /// What it opens.
    pub purpose: Purpose,
    /// When it was made, wall time (ms).
    pub made: u64,
    /// What is to be proved.
    pub proof: Proof,
}

impl Rule {
    /// Whether it can be one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), EntryError> {
        if !is_name(&self.endpoints, MAX_ENDPOINTS) {
            return Err(EntryError::Endpoints);
        }
        match &self.proof {
            Proof::Certificate(Some(name)) if !is_name(name, MAX_ENDPOINTS) => {
                Err(EntryError::Identity)
            }
            _ => Ok(()),
        }
    }

    /// What it is called: another one for everything that it says.
    #[must_use]
    pub fn identity(&self) -> String {
        let purpose = match self.purpose {
            Purpose::Bootstrap => "bootstrap",
            Purpose::Management => "management",
        };
        match &self.proof {
            Proof::RawKey(digest) => format!("raw-key:{purpose}:{}", hex::encode(digest)),
            Proof::Certificate(None) => format!("certificate:{purpose}:{}", self.endpoints),
            Proof::Certificate(Some(name)) => {
                format!("certificate:{purpose}:{name}={}", self.endpoints)
            }
        }
    }

    /// Whether a name of a device is under it.
    #[must_use]
    pub(crate) fn claims(&self, endpoint: &str) -> bool {
        fits(&self.endpoints, endpoint)
    }

    /// Whether who proved an identity is meant.
    #[must_use]
    pub(crate) fn is_of(&self, identity: &Identity) -> bool {
        match (&self.proof, identity) {
            (Proof::RawKey(own), Identity::RawKey(digest)) => own == digest,
            (Proof::Certificate(None), Identity::Certificate(name)) => self.claims(name),
            (Proof::Certificate(Some(own)), Identity::Certificate(name)) => fits(own, name),
            _ => false,
        }
    }

    /// Whether who is meant by it, having proved this identity, may have a name.
    #[must_use]
    pub(crate) fn lets_be(&self, identity: &Identity, endpoint: &str) -> bool {
        let is_own_name = match (&self.proof, identity) {
            (Proof::Certificate(None), Identity::Certificate(name)) => name == endpoint,
            _ => true,
        };
        is_own_name && self.claims(endpoint)
    }

    /// Whether each identity that is meant by it is that of one device.
    #[must_use]
    pub fn is_of_one(&self) -> bool {
        self.proof == Proof::Certificate(None) || !is_pattern(&self.endpoints)
    }

    /// The certificate's name, if only one is meant.
    pub(crate) fn one_name(&self) -> Option<&str> {
        let name = match &self.proof {
            Proof::RawKey(_) => return None,
            Proof::Certificate(None) => &self.endpoints,
            Proof::Certificate(Some(name)) => name,
        };
        (!is_pattern(name)).then_some(name)
    }

    /// Under which the record of an identity is kept.
    #[must_use]
    pub fn store_key(identity: &str) -> Key {
        Key::new(Kind::SECRET, [PREFIX, identity.as_bytes()].concat())
    }

    /// Whether a record of this key is one of these.
    #[must_use]
    pub fn is_one(key: &Key) -> bool {
        key.kind == Kind::SECRET && key.id.starts_with(PREFIX)
    }

    /// Its record. Nothing in it is secret.
    ///
    /// # Errors
    /// It can't be encoded.
    pub fn record(&self) -> Result<Vec<u8>, RecordError> {
        encode(SCHEMA, self)
    }

    /// The inverse of [`record`](Self::record).
    ///
    /// # Errors
    /// It was written by another version, or changed.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        let rule: Self = decode(SCHEMA..=SCHEMA, bytes)?;
        let checked = rule.check();
        checked.map_err(|error| RecordError::Content(error.to_string()))?;
        Ok(rule)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn rule(proof: Proof, endpoints: &str) -> Rule {
        Rule {
            endpoints: endpoints.into(),
            purpose: Purpose::Management,
            made: 7,
            proof,
        }
    }

    #[test]
    fn a_record_goes_both_ways() {
        for proof in [
            Proof::RawKey([7; 32]),
            Proof::Certificate(None),
            Proof::Certificate(Some("gate-*".into())),
        ] {
            let rule = rule(proof, "pump-*");
            let record = rule.record().unwrap();
            assert_eq!(Rule::read(&record), Ok(rule.clone()));
            assert!(Rule::is_one(&Rule::store_key(&rule.identity())));
            for len in 0..record.len() {
                assert!(Rule::read(&record[..len]).is_err(), "{len}");
            }
        }
        assert!(!Rule::is_one(&Key::new(Kind::SECRET, "psk/1")));
    }

    #[test]
    fn each_has_another_name() {
        let mut names = std::collections::BTreeSet::new();
        for proof in [
            Proof::RawKey([7; 32]),
            Proof::RawKey([8; 32]),
            Proof::Certificate(None),
            Proof::Certificate(Some("b".into())),
        ] {
            for purpose in [Purpose::Bootstrap, Purpose::Management] {
                let rule = Rule {
                    purpose,
                    ..rule(proof.clone(), "a")
                };
                assert!(names.insert(rule.identity()), "{names:?}");
            }
        }
    }

    #[test]
    fn what_no_rule_is() {
        let long = "a".repeat(256);
        for (proof, endpoints) in [
            (Proof::RawKey([0; 32]), ""),
            (Proof::RawKey([0; 32]), &long),
            (Proof::Certificate(None), "a\n"),
            (Proof::Certificate(Some(String::new())), "a"),
            (Proof::Certificate(Some(long.clone())), "a"),
        ] {
            assert!(rule(proof, endpoints).check().is_err());
        }
    }

    #[test]
    fn a_certificate_is_for_its_own_name_unless_it_says_another() {
        let named = |name: &str| Identity::Certificate(name.into());
        let may = |rule: &Rule, name: &str, endpoint: &str| {
            rule.is_of(&named(name)) && rule.lets_be(&named(name), endpoint)
        };
        let own = rule(Proof::Certificate(None), "pump-*");
        assert!(may(&own, "pump-1", "pump-1"));
        assert!(!may(&own, "pump-1", "pump-2"));
        assert!(!may(&own, "tag-1", "tag-1"));
        assert!(own.is_of_one());
        let gateway = rule(Proof::Certificate(Some("gateway".into())), "pump-*");
        assert!(may(&gateway, "gateway", "pump-2"));
        assert!(!may(&gateway, "gateway", "tag-1"));
        assert!(!may(&gateway, "pump-1", "pump-1"));
        assert!(!gateway.is_of_one());
    }

    #[test]
    fn keys_in_every_form() {
        // The key of RFC 7250's kind: P-256, the generator as its point.
        let key = "3059301306072a8648ce3d020106082a8648ce3d030107034200046b17d1f2e12c4247f8bce6e5\
                   63a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce335\
                   76b315ececbb6406837bf51f5";
        let by_key = Proof::raw_key(key).unwrap();
        let Proof::RawKey(digest) = by_key.clone() else {
            panic!("{by_key:?}")
        };
        let digest = hex::encode(&digest);
        assert_eq!(Proof::raw_key(&digest), Some(by_key.clone()));
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
                   6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
                   -----END PUBLIC KEY-----\n";
        assert_eq!(Proof::raw_key(pem), Some(by_key));
        for wrong in ["", "ab", &key[..178], "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(Proof::raw_key(wrong), None, "{wrong}");
        }
    }
}
