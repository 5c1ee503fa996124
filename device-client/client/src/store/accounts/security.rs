//! Accounts: one instance of LwM2M Security (0).

#[cfg(feature = "oscore")]
use lwm2m_objects::Objlnk;
use lwm2m_objects::Value;
use lwm2m_objects::ids::lwm2m_security as ids;

use crate::text::{Bytes, Text};
use crate::uri;
use crate::zero::Flag;

/// Security modes (/0/x/2).
pub(super) const PRE_SHARED_KEY: u8 = 0;
pub(super) const RAW_PUBLIC_KEY: u8 = 1;
pub(super) const CERTIFICATE: u8 = 2;
const NO_SECURITY: u8 = 3;
/// The instance of object 21 that stands for none.
#[cfg(feature = "oscore")]
pub(super) const NO_CONTEXT: u16 = u16::MAX;

/// Most bytes of /0/x/3 and of /0/x/4, each of which may be a certificate or a public key.
pub(crate) const MAX_PUBLIC: usize = if cfg!(feature = "x509") {
    640
} else if cfg!(feature = "rpk") {
    96
} else {
    64
};
/// Most bytes of /0/x/5.
pub(crate) const MAX_SECRET: usize = if cfg!(feature = "rpk") { 160 } else { 64 };
/// /0/x/15: this certificate and no other.
#[cfg(feature = "x509")]
pub(super) const DOMAIN_ISSUED: u8 = 3;

/// One instance of object 0 (LwM2M TS 1.1 §E.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Security {
    pub(crate) id: u16,
    pub(crate) uri: Text<96>,
    pub(crate) bootstrap: Flag,
    /// 0: pre-shared key, 1: raw public keys, 2: certificates, 3: none. Modes that are not known
    /// are kept, and their servers not talked to.
    pub(crate) mode: u8,
    pub(crate) identity: Bytes<MAX_PUBLIC>,
    pub(crate) server_key: Bytes<MAX_PUBLIC>,
    pub(crate) secret: Bytes<MAX_SECRET>,
    /// What `server_key` says of the server's certificate.
    #[cfg(feature = "x509")]
    pub(crate) usage: u8,
    /// The name of the server, /0/x/14.
    #[cfg(feature = "x509")]
    pub(crate) name: Text<64>,
    pub(crate) short_id: u16,
    /// Seconds before a Bootstrap-Request.
    pub(crate) hold_off: u32,
    /// The instance of object 21 with what its messages are protected with.
    #[cfg(feature = "oscore")]
    pub(super) oscore: u16,
}

impl Security {
    pub(crate) const fn new(id: u16) -> Self {
        Self {
            id,
            uri: Text::EMPTY,
            bootstrap: Flag::No,
            mode: NO_SECURITY,
            identity: Bytes::EMPTY,
            server_key: Bytes::EMPTY,
            secret: Bytes::EMPTY,
            #[cfg(feature = "x509")]
            usage: DOMAIN_ISSUED,
            #[cfg(feature = "x509")]
            name: Text::EMPTY,
            short_id: 0,
            hold_off: 0,
            #[cfg(feature = "oscore")]
            oscore: NO_CONTEXT,
        }
    }

    /// The instance of object 21 with what its messages are protected with, if they are.
    #[cfg(feature = "oscore")]
    pub(crate) fn oscore(&self) -> Option<u16> {
        Some(self.oscore).filter(|id| *id != NO_CONTEXT)
    }

    #[cfg(not(feature = "oscore"))]
    #[allow(clippy::unused_self)]
    pub(crate) const fn oscore(&self) -> Option<u16> {
        None
    }

    /// The server, if it can be talked to: its mode and its URI say the same.
    pub(crate) fn server(&self) -> Option<uri::Server> {
        let server = uri::server(self.uri.as_str())?;
        let mode = if server.secure {
            self.mode == PRE_SHARED_KEY || self.has_key_pair()
        } else {
            self.mode == NO_SECURITY
        };
        let has_key = !server.secure || !self.secret.as_slice().is_empty();
        (mode && has_key).then_some(server)
    }

    /// Its mode is one with key pairs that is known here, and it has all that it needs.
    pub(super) fn has_key_pair(&self) -> bool {
        let known = self.mode == RAW_PUBLIC_KEY && cfg!(feature = "rpk")
            || self.mode == CERTIFICATE && cfg!(feature = "x509");
        known && !self.identity.as_slice().is_empty() && !self.server_key.as_slice().is_empty()
    }

    pub(super) fn set(&mut self, resource: u16, value: Value<'_>) -> Option<()> {
        match resource {
            ids::LWM2M_SERVER_URI => self.uri.set(value.as_str()?)?,
            ids::BOOTSTRAP_SERVER => self.bootstrap = value.as_bool()?.into(),
            ids::SECURITY_MODE => {
                self.mode = u8::try_from(value.as_i64()?).ok().filter(|m| *m <= 4)?;
            }
            ids::PUBLIC_KEY_OR_IDENTITY => self.identity.set(value.as_bytes()?)?,
            ids::SERVER_PUBLIC_KEY => self.server_key.set(value.as_bytes()?)?,
            ids::SECRET_KEY => self.secret.set(value.as_bytes()?)?,
            ids::SHORT_SERVER_ID => self.short_id = u16::try_from(value.as_i64()?).ok()?,
            ids::CLIENT_HOLD_OFF_TIME => self.hold_off = u32::try_from(value.as_i64()?).ok()?,
            #[cfg(feature = "oscore")]
            ids::OSCORE_SECURITY_MODE => {
                let link = value.as_objlnk()?;
                let none = link == Objlnk::NULL;
                let of = link.object == lwm2m_objects::ids::LWM2M_OSCORE;
                self.oscore =
                    (none || of && link.instance != NO_CONTEXT).then_some(link.instance)?;
            }
            #[cfg(feature = "x509")]
            ids::SNI => self.name.set(value.as_str()?)?,
            #[cfg(feature = "x509")]
            ids::CERTIFICATE_USAGE => {
                self.usage = u8::try_from(value.as_i64()?).ok().filter(|n| *n <= 3)?;
            }
            // SMS, bootstrap account timeout, OSCORE and certificates where there are none: accepted,
            // without a use.
            ids::SMS_SECURITY_MODE..=ids::LWM2M_SERVER_SMS_NUMBER
            | ids::BOOTSTRAP_SERVER_ACCOUNT_TIMEOUT..=ids::OSCORE_SECURITY_MODE => {}
            _ => return None,
        }
        Some(())
    }
}
