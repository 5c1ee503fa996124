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

impl<'a> Factory<'a> {
    pub(crate) const fn uri(&self) -> &'a str {
        match self {
            Self::Bootstrap(uri) | Self::Server(uri) => uri,
            #[cfg(feature = "dtls")]
            Self::SecureBootstrap(secure) | Self::SecureServer(secure) => secure.uri,
        }
    }

    /// The server, if it can be talked to as its variant says.
    pub(crate) fn server(&self) -> Option<uri::Server> {
        let server = uri::server(self.uri())?;
        let secure = match self {
            Self::Bootstrap(_) | Self::Server(_) => false,
            #[cfg(feature = "dtls")]
            Self::SecureBootstrap(secure) | Self::SecureServer(secure) => !secure.key.is_empty(),
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
    /// DTLS), or there is no key, or identity or key are too long.
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
