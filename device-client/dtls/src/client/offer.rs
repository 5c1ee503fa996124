//! What a client brings to a handshake.

use core::fmt;

use crate::aead::Aead;
use crate::cid::Cid;
#[cfg(feature = "rpk")]
use crate::curve;
use crate::keys::MAX_PSK;
#[cfg(feature = "x509")]
use crate::x509::{self, Name, Trust, Usage};

/// Longest identity, in bytes (RFC 4279 §5.3).
pub const MAX_IDENTITY: usize = 128;

/// Who we are, and who the server is.
#[derive(Clone, Copy)]
pub enum Credentials<'a> {
    /// A pre-shared key.
    Psk {
        /// What the server knows the key by, at most [`MAX_IDENTITY`] bytes; it is sent in the
        /// clear.
        identity: &'a [u8],
        /// The key that only the server has besides, at most [`MAX_PSK`] bytes.
        key: &'a [u8],
    },
    /// Raw public keys (RFC 7250), each a SubjectPublicKeyInfo of P-256 (RFC 5480) that is not
    /// compressed, of [`PUBLIC_KEY`](crate::PUBLIC_KEY) bytes.
    #[cfg(feature = "rpk")]
    RawKeys {
        /// Ours.
        public: &'a [u8],
        /// What belongs to it, as PKCS #8 (RFC 5958) or ECPrivateKey (RFC 5915).
        private: &'a [u8],
        /// The server's.
        server: &'a [u8],
    },
    /// Certificates (RFC 5280), as DER.
    #[cfg(feature = "x509")]
    Certificates {
        /// Ours, of a key of P-256, at most [`MAX_CERTIFICATE`](crate::MAX_CERTIFICATE) bytes.
        own: &'a [u8],
        /// What belongs to it, as PKCS #8 (RFC 5958) or ECPrivateKey (RFC 5915).
        private: &'a [u8],
        /// What the server's is measured by.
        server: Trust<'a>,
    },
}

/// What the ends know each other by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Psk,
    #[cfg(feature = "rpk")]
    RawKeys,
    #[cfg(feature = "x509")]
    Certificates,
}

impl Kind {
    /// That with the longest messages.
    #[cfg(not(feature = "rpk"))]
    pub(super) const LAST: Self = Self::Psk;
    #[cfg(all(feature = "rpk", not(feature = "x509")))]
    pub(super) const LAST: Self = Self::RawKeys;
    #[cfg(feature = "x509")]
    pub(super) const LAST: Self = Self::Certificates;

    /// Longest message of a server, header included.
    pub(super) const fn longest_message(self) -> usize {
        match self {
            // A ServerHello has some 120 bytes, a key exchange its hint.
            Self::Psk => 256,
            // A request for our key may list authorities.
            #[cfg(feature = "rpk")]
            Self::RawKeys => 512,
            // Three certificates.
            #[cfg(feature = "x509")]
            Self::Certificates => 2048,
        }
    }

    pub(super) const fn suite(self, aead: Aead) -> u16 {
        match self {
            Self::Psk => aead.psk_suite(),
            #[cfg(feature = "rpk")]
            Self::RawKeys => aead.ecdhe_suite(),
            #[cfg(feature = "x509")]
            Self::Certificates => aead.ecdhe_suite(),
        }
    }
}

impl Credentials<'_> {
    /// None, of a server with a pre-shared key.
    pub(super) const NONE: Self = Self::Psk {
        identity: &[],
        key: &[],
    };

    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Psk { .. } => Kind::Psk,
            #[cfg(feature = "rpk")]
            Self::RawKeys { .. } => Kind::RawKeys,
            #[cfg(feature = "x509")]
            Self::Certificates { .. } => Kind::Certificates,
        }
    }

    /// The name that the server is asked for, if any.
    #[cfg(feature = "rpk")]
    pub(super) const fn server_name(&self) -> &str {
        match self {
            #[cfg(feature = "x509")]
            Self::Certificates { server, .. } => match server.name {
                Name::Dns(name) => name,
                Name::Address(_) => "",
            },
            _ => "",
        }
    }

    /// Whether a handshake can be had with them.
    #[must_use]
    pub fn are_usable(&self) -> bool {
        match self {
            Self::Psk { identity, key } => {
                identity.len() <= MAX_IDENTITY && !key.is_empty() && key.len() <= MAX_PSK
            }
            #[cfg(feature = "rpk")]
            Self::RawKeys {
                public,
                private,
                server,
            } => {
                let own = curve::public_key_info(private);
                own.is_some_and(|own| own == *public) && curve::is_public_key(server)
            }
            #[cfg(feature = "x509")]
            Self::Certificates {
                own,
                private,
                server,
            } => {
                let key = x509::key_of(own).filter(|_| own.len() <= x509::MAX_CERTIFICATE);
                let of_it = curve::PrivateKey::read(private).map(|private| private.public());
                let of_others = matches!(server.usage, Usage::Authority | Usage::Service);
                !(of_others && server.authorities.is_empty())
                    && key.is_some()
                    && key == of_it.as_ref()
                    && x509::key_of(server.certificate).is_some()
            }
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What a server is offered.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// The cipher suites, for what the credentials are, that have these protections, the best first.
    pub aeads: &'static [Aead],
    /// The Connection ID that the server is to put into its records; empty is enough for the server
    /// to find us by its own when our address changes. None asks for no Connection IDs at all.
    pub cid: Option<Cid>,
    /// Milliseconds until a flight is sent again the first time: 1,000 (RFC 6347 §4.2.4.1), on
    /// slow networks 9,000 (RFC 7925 §11).
    pub first_timeout_ms: u32,
}

impl Offer {
    /// `TLS_PSK_WITH_AES_128_CCM_8` or `TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8`, and a Connection ID for records to the server.
    pub const DEFAULT: Self = Self {
        aeads: &[Aead::Ccm8],
        cid: Some(Cid::EMPTY),
        first_timeout_ms: 1000,
    };
}
