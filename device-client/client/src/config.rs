//! What the client is told once, and what can be wrong with it.

use lwm2m_objects::{Codec, Records};
use tinsmith_module::Kernel;
use tinsmith_package::{Scheme, TrustAnchor};

use crate::flash::{FlashLayout, LayoutError};
use crate::uri;

/// What the client is told once.
#[derive(Clone, Copy)]
pub struct Config<'a> {
    /// Endpoint name, at most 64 bytes.
    pub endpoint: &'a str,
    /// The account that it has before any bootstrap.
    pub factory: Factory<'a>,
    /// /3/0/0
    pub manufacturer: &'a str,
    /// /3/0/1
    pub model_number: &'a str,
    /// /3/0/2
    pub serial_number: &'a str,
    /// /3/0/3
    pub firmware_version: &'a str,
    /// The constant resources of 27300, 27301 and 27302, in the order of their paths.
    ///
    /// The client adds what it knows itself: 27300/0/6, /8, /12 and /13, and 27301/0/10.
    pub capability: &'a dyn Records,
    /// The content formats that it reads and writes, [`Codec::ALL`] or less.
    pub formats: &'static [Codec],
    /// The kernels that modules run on, [`tinsmith_module::kernels::ALL`] or less: 27301/0/10.
    pub kernels: &'static [&'static Kernel],
    /// The signature algorithms that it verifies, by what is preferred: 27300/0/12. Without any, it
    /// has no trust anchors and takes packages of anybody.
    pub signatures: &'static [Scheme],
    /// The keys whose packages it takes before a bootstrap gives others, at most
    /// [`MAX_ANCHORS`](tinsmith_package::MAX_ANCHORS).
    pub trust_anchors: &'a [TrustAnchor],
    /// Class identifier of its modules, made of the digest of its capability
    /// (`module_class` on a host).
    pub module_class: [u8; 16],
    /// Where the flash is.
    pub layout: FlashLayout,
    /// Bytes of stack that a module may use.
    pub stack_bytes: u32,
    /// Instruction sets that a module may use, bits of `tinsmith_module::format::isa`.
    pub instruction_sets: u32,
}

/// The account that a client has before any bootstrap (LwM2M TS 1.1 §6.1.3), by the URI of the
/// server, `coap://ADDRESS:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Factory<'a> {
    /// A bootstrap server, which gives the others.
    Bootstrap(&'a str),
    /// A management server with Short Server Id 1; there is no bootstrap. Accounts on flash count
    /// if they have this server.
    Server(&'a str),
    /// A bootstrap server with DTLS.
    #[cfg(feature = "dtls")]
    SecureBootstrap(SecureFactory<'a>),
    /// A management server with DTLS, otherwise as [`Server`](Self::Server).
    #[cfg(feature = "dtls")]
    SecureServer(SecureFactory<'a>),
    /// A bootstrap server with DTLS and a key pair.
    #[cfg(feature = "rpk")]
    KeyPairBootstrap(KeyPair<'a>),
    /// A management server with DTLS and a key pair, otherwise as [`Server`](Self::Server).
    #[cfg(feature = "rpk")]
    KeyPairServer(KeyPair<'a>),
    /// A bootstrap server with OSCORE.
    #[cfg(feature = "oscore")]
    OscoreBootstrap(OscoreFactory<'a>),
    /// A management server with OSCORE, otherwise as [`Server`](Self::Server).
    #[cfg(feature = "oscore")]
    OscoreServer(OscoreFactory<'a>),
}

/// A server with DTLS and a pre-shared key (security mode 0).
#[cfg(feature = "dtls")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecureFactory<'a> {
    /// `coaps://ADDRESS:PORT`
    pub uri: &'a str,
    /// What the server knows the key by, at most 64 bytes.
    pub identity: &'a [u8],
    /// The key, at most 64 bytes.
    pub key: &'a [u8],
}

#[cfg(feature = "dtls")]
impl core::fmt::Debug for SecureFactory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("SecureFactory");
        shown.field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A server with OSCORE (AES-CCM-16-64-128, HKDF with SHA-256).
///
/// Which numbers were used with these keys nobody knows who finds a flash erased. So their first
/// request asks the server for new ones (RFC 8613 §B.2), which it has to be able to do.
#[cfg(feature = "oscore")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OscoreFactory<'a> {
    /// `coap://ADDRESS:PORT`
    pub uri: &'a str,
    /// The secret that the keys are derived from, 1 to 64 bytes.
    pub master_secret: &'a [u8],
    /// Its salt, at most 32 bytes; may be empty.
    pub master_salt: &'a [u8],
    /// The device's id, at most 7 bytes.
    pub sender_id: &'a [u8],
    /// The server's id, at most 7 bytes; another than the device's.
    pub recipient_id: &'a [u8],
    /// What tells contexts with the same ids apart, at most 32 bytes.
    pub id_context: Option<&'a [u8]>,
}

#[cfg(feature = "oscore")]
impl core::fmt::Debug for OscoreFactory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("OscoreFactory");
        shown.field("uri", &self.uri).finish_non_exhaustive()
    }
}

/// A server with DTLS and a key pair of P-256 at each end (security modes 1 and 2).
#[cfg(feature = "rpk")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyPair<'a> {
    /// `coaps://ADDRESS:PORT`
    pub uri: &'a str,
    /// The public key of the device as SubjectPublicKeyInfo (RFC 5480), or its certificate, DER.
    pub public: &'a [u8],
    /// What belongs to it, as PKCS #8 (RFC 5958) or ECPrivateKey (RFC 5915), DER.
    pub private: &'a [u8],
    /// The public key of the server, its certificate, or that of an authority above it.
    pub server: &'a [u8],
    /// Both are certificates; without it they are raw public keys (RFC 7250).
    #[cfg(feature = "x509")]
    pub certificates: Option<Certificates<'a>>,
}

/// What a device knows of its server's certificate.
#[cfg(feature = "x509")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificates<'a> {
    /// That in the account is of an authority above the server (certificate usage 2), else of the
    /// server itself (3).
    pub is_of_authority: bool,
    /// The server's name, /0/x/14, at most 64 bytes; empty: it has the address of its URI.
    pub server_name: &'a str,
}

#[cfg(feature = "rpk")]
impl core::fmt::Debug for KeyPair<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut shown = f.debug_struct("KeyPair");
        shown.field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl<'a> Factory<'a> {
    pub(crate) const fn uri(&self) -> &'a str {
        match self {
            Self::Bootstrap(uri) | Self::Server(uri) => uri,
            #[cfg(feature = "dtls")]
            Self::SecureBootstrap(secure) | Self::SecureServer(secure) => secure.uri,
            #[cfg(feature = "oscore")]
            Self::OscoreBootstrap(context) | Self::OscoreServer(context) => context.uri,
            #[cfg(feature = "rpk")]
            Self::KeyPairBootstrap(pair) | Self::KeyPairServer(pair) => pair.uri,
        }
    }

    /// The server, if it can be talked to as its variant says.
    pub(crate) fn server(&self) -> Option<uri::Server> {
        let server = uri::server(self.uri())?;
        let secure = match self {
            Self::Bootstrap(_) | Self::Server(_) => false,
            #[cfg(feature = "dtls")]
            Self::SecureBootstrap(secure) | Self::SecureServer(secure) => !secure.key.is_empty(),
            #[cfg(feature = "oscore")]
            Self::OscoreBootstrap(_) | Self::OscoreServer(_) => false,
            #[cfg(feature = "rpk")]
            Self::KeyPairBootstrap(pair) | Self::KeyPairServer(pair) => {
                !pair.public.is_empty() && !pair.private.is_empty() && !pair.server.is_empty()
            }
        };
        (server.secure == secure).then_some(server)
    }

    pub(crate) const fn is_bootstrap(&self) -> bool {
        match self {
            Self::Bootstrap(_) => true,
            Self::Server(_) => false,
            #[cfg(feature = "dtls")]
            Self::SecureBootstrap(_) => true,
            #[cfg(feature = "dtls")]
            Self::SecureServer(_) => false,
            #[cfg(feature = "oscore")]
            Self::OscoreBootstrap(_) => true,
            #[cfg(feature = "oscore")]
            Self::OscoreServer(_) => false,
            #[cfg(feature = "rpk")]
            Self::KeyPairBootstrap(_) => true,
            #[cfg(feature = "rpk")]
            Self::KeyPairServer(_) => false,
        }
    }

    /// The URI of a server that is talked to in the clear.
    pub(crate) const fn plain_uri(&self) -> Option<&'a str> {
        match self {
            Self::Bootstrap(uri) | Self::Server(uri) => Some(uri),
            #[cfg(any(feature = "dtls", feature = "oscore"))]
            _ => None,
        }
    }

    /// What a server with OSCORE has.
    #[cfg(feature = "oscore")]
    pub(crate) const fn context(&self) -> Option<&OscoreFactory<'a>> {
        match self {
            Self::OscoreBootstrap(context) | Self::OscoreServer(context) => Some(context),
            _ => None,
        }
    }
}

/// Why a client can't be made: the board's mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The flash layout.
    Layout(LayoutError),
    /// The endpoint name is empty or longer than 64 bytes.
    Endpoint,
    /// The URI of the factory account is not `coap://ADDRESS:PORT` with an IP address (`coaps` with
    /// DTLS), or there is no key, or identity or key are too long, or OSCORE can't take what it is
    /// given.
    Uri,
    /// Fewer than two sessions, or more than 255.
    Sessions,
    /// Two objects have the same id, or the application has one that is the client's.
    Objects,
    /// 27300 lacks a resource that the client needs itself: the ABI version or the arena's size.
    Capability,
    /// The arena is smaller than 27300/0/5 says, or not aligned to 32.
    Arena,
    /// More than 32 kernels.
    Kernels,
}

impl From<LayoutError> for ConfigError {
    fn from(e: LayoutError) -> Self {
        Self::Layout(e)
    }
}
