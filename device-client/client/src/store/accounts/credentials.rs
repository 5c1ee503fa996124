//! Accounts: what DTLS needs of them.

use tinsmith_dtls::Credentials;
#[cfg(feature = "x509")]
use tinsmith_dtls::{Name, Trust, Usage};

use super::security::PRE_SHARED_KEY;
#[cfg(feature = "rpk")]
use super::security::RAW_PUBLIC_KEY;
#[cfg(feature = "x509")]
use super::security::{CERTIFICATE, DOMAIN_ISSUED};
use super::{Accounts, Security};
use crate::config::Factory;
#[cfg(feature = "rpk")]
use crate::config::KeyPair;
use crate::platform::Now;

impl Accounts {
    fn security(&self, id: u16) -> Option<&Security> {
        self.security.iter().flatten().find(|s| s.id == id)
    }

    /// What a server with DTLS is talked to with.
    pub(crate) fn credentials(&self, id: u16, now: Now) -> Credentials<'_> {
        let none = Credentials::Psk {
            identity: &[],
            key: &[],
        };
        self.security(id).map_or(none, |s| s.credentials(now))
    }

    /// What a session with a server hangs on: URI, identity and key.
    pub(crate) fn secrets(&self, id: u16) -> [&[u8]; 3] {
        self.security(id).map_or([&[]; 3], |s| {
            [s.uri.as_bytes(), s.identity.as_slice(), s.secret.as_slice()]
        })
    }

    /// And the key or certificate that the server has to show, if it has one.
    #[cfg(feature = "rpk")]
    pub(crate) fn server_key(&self, id: u16) -> &[u8] {
        let security = self.security(id).filter(|s| s.has_key_pair());
        security.map_or(&[], |s| s.server_key.as_slice())
    }
}

impl Security {
    // Without certificates there is nothing to be valid.
    #[cfg_attr(not(feature = "x509"), allow(unused_variables))]
    pub(crate) fn credentials(&self, now: Now) -> Credentials<'_> {
        match self.mode {
            #[cfg(feature = "rpk")]
            RAW_PUBLIC_KEY => Credentials::RawKeys {
                public: self.identity.as_slice(),
                private: self.secret.as_slice(),
                server: self.server_key.as_slice(),
            },
            #[cfg(feature = "x509")]
            CERTIFICATE => Credentials::Certificates {
                own: self.identity.as_slice(),
                private: self.secret.as_slice(),
                server: self.trust(now),
            },
            _ => Credentials::Psk {
                identity: self.identity.as_slice(),
                key: self.secret.as_slice(),
            },
        }
    }

    /// The server's certificate has the name that the account gives, without one the address.
    #[cfg(feature = "x509")]
    fn trust(&self, now: Now) -> Trust<'_> {
        let server = crate::uri::server(self.uri.as_str());
        let name = match (self.name.as_str(), server) {
            ("", Some(server)) => Name::Address(server.address.ip()),
            (name, _) => Name::Dns(name),
        };
        Trust {
            usage: Usage::from_number(self.usage).unwrap_or(Usage::Issued),
            certificate: self.server_key.as_slice(),
            authorities: &[],
            name,
            now: (now.wall > 0).then_some(now.wall),
        }
    }

    /// Takes keys from the factory, if there are any; none if they are too long.
    pub(super) fn set_factory(&mut self, factory: Factory<'_>) -> Option<()> {
        match factory {
            Factory::Bootstrap(_) | Factory::Server(_) => Some(()),
            #[cfg(feature = "oscore")]
            Factory::OscoreBootstrap(_) | Factory::OscoreServer(_) => Some(()),
            Factory::SecureBootstrap(secure) | Factory::SecureServer(secure) => {
                self.mode = PRE_SHARED_KEY;
                // Where there are key pairs there is room for more.
                #[cfg(feature = "rpk")]
                if secure.identity.len().max(secure.key.len()) > 64 {
                    return None;
                }
                self.identity.set(secure.identity)?;
                self.secret.set(secure.key)
            }
            #[cfg(feature = "rpk")]
            Factory::KeyPairBootstrap(pair) | Factory::KeyPairServer(pair) => self.set_pair(&pair),
        }
    }

    #[cfg(feature = "rpk")]
    fn set_pair(&mut self, pair: &KeyPair<'_>) -> Option<()> {
        self.mode = RAW_PUBLIC_KEY;
        #[cfg(feature = "x509")]
        if let Some(certificates) = pair.certificates {
            self.mode = CERTIFICATE;
            self.usage = if certificates.is_of_authority {
                2
            } else {
                DOMAIN_ISSUED
            };
            self.name.set(certificates.server_name)?;
        }
        self.identity.set(pair.public)?;
        self.server_key.set(pair.server)?;
        self.secret.set(pair.private)
    }
}
