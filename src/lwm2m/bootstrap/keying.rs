//! What a device's account is protected with, and what is written of that.

use lwm2m_objects::ids::{LWM2M_OSCORE, lwm2m_oscore as id};
use lwm2m_objects::{Objlnk, OwnedValue, Path};
use tinsmith_coap::Code;
use tinsmith_oscore::{AES_CCM_16_64_128, HKDF_SHA_256};
use tinsmith_store::Op;
use zeroize::Zeroizing;

use crate::access::{Access, Issued, IssuedOscore};

/// Security Modes (LwM2M TS 1.1 E.1).
const PRE_SHARED_KEY: i64 = 0;
const NO_SECURITY: i64 = 3;

/// What protects an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    Nothing,
    /// DTLS with a pre-shared key.
    Dtls,
    Oscore,
}

/// Keys of an account.
pub(super) enum Keying {
    Nothing,
    /// Identity and key at the server.
    Psk(String, Zeroizing<Vec<u8>>),
    Oscore(IssuedOscore),
}

impl Keying {
    /// Gets keys; what is to be stored before they may be sent.
    pub(super) fn issue(
        protection: Protection,
        access: Option<&dyn Access>,
        endpoint: &str,
        (wall, random): (u64, [u8; 32]),
    ) -> Result<(Self, Vec<Op>), (Code, String)> {
        let unavailable = |why| (Code::SERVICE_UNAVAILABLE, why);
        match (protection, access) {
            (Protection::Dtls, Some(access)) => {
                let issued = access.issue(wall, endpoint, random);
                let Issued { identity, key, ops } = issued.map_err(unavailable)?;
                Ok((Self::Psk(identity, key), ops))
            }
            (Protection::Oscore, Some(access)) => {
                let issued = access.issue_oscore(wall, endpoint, random);
                let mut issued = issued.map_err(unavailable)?;
                let ops = std::mem::take(&mut issued.ops);
                Ok((Self::Oscore(issued), ops))
            }
            (Protection::Oscore, None) => {
                Err(unavailable("this server has no OSCORE contexts".into()))
            }
            _ => Ok((Self::Nothing, Vec::new())),
        }
    }

    pub(super) fn is_oscore(&self) -> bool {
        matches!(self, Self::Oscore(_))
    }

    /// Security Mode, identity and secret in an account.
    pub(super) fn security(&self) -> (OwnedValue, OwnedValue, OwnedValue) {
        let opaque = |bytes: &[u8]| OwnedValue::Opaque(bytes.to_vec());
        let mode = OwnedValue::Integer;
        match self {
            Self::Psk(identity, key) => (
                mode(PRE_SHARED_KEY),
                opaque(identity.as_bytes()),
                opaque(key),
            ),
            // OSCORE is above the transport, which has none.
            Self::Nothing | Self::Oscore(_) => (mode(NO_SECURITY), opaque(b""), opaque(b"")),
        }
    }

    /// The link to the instance of [`LWM2M_OSCORE`] with the keys.
    pub(super) fn link(&self, instance: u16) -> Option<OwnedValue> {
        let link = Objlnk {
            object: LWM2M_OSCORE,
            instance,
        };
        self.is_oscore().then_some(OwnedValue::Objlnk(link))
    }

    /// The instance of [`LWM2M_OSCORE`]; nothing without OSCORE.
    pub(super) fn oscore(&self, instance: u16) -> Vec<(Path, OwnedValue)> {
        let Self::Oscore(keys) = self else {
            return Vec::new();
        };
        let opaque = |bytes: &[u8]| OwnedValue::Opaque(bytes.to_vec());
        let values = [
            (id::OSCORE_MASTER_SECRET, opaque(&keys.secret)),
            (id::OSCORE_SENDER_ID, opaque(&keys.sender)),
            (id::OSCORE_RECIPIENT_ID, opaque(&keys.recipient)),
            (
                id::OSCORE_AEAD_ALGORITHM,
                OwnedValue::Integer(AES_CCM_16_64_128),
            ),
            (id::OSCORE_HMAC_ALGORITHM, OwnedValue::Integer(HKDF_SHA_256)),
            (id::OSCORE_MASTER_SALT, opaque(&keys.salt)),
        ];
        let at = |(resource, value)| (Path::resource(LWM2M_OSCORE, instance, resource), value);
        values.into_iter().map(at).collect()
    }
}
