//! The labels of the profile (draft-ietf-suit-manifest, IANA registry "SUIT").

pub(crate) const TAG_ENVELOPE: u64 = 107;
pub(crate) const AUTHENTICATION: u64 = 2;
pub(crate) const MANIFEST: u64 = 3;

/// COSE_Sign1, and its header parameter kid (RFC 9052 §3.1), as they are written.
#[cfg(feature = "alloc")]
pub(crate) const TAG_COSE_SIGN1: u64 = 18;
#[cfg(feature = "alloc")]
pub(crate) const COSE_KEY_ID: u64 = 4;

pub(crate) const VERSION: u64 = 1;
pub(crate) const SEQUENCE_NUMBER: u64 = 2;
pub(crate) const COMMON: u64 = 3;
pub(crate) const VALIDATE: u64 = 7;
pub(crate) const INSTALL: u64 = 20;

pub(crate) const COMPONENTS: u64 = 2;
pub(crate) const SHARED_SEQUENCE: u64 = 4;

pub(crate) const VENDOR_IDENTIFIER: u64 = 1;
pub(crate) const CLASS_IDENTIFIER: u64 = 2;
pub(crate) const IMAGE_DIGEST: u64 = 3;
pub(crate) const COMPONENT_SLOT: u64 = 5;
pub(crate) const IMAGE_SIZE: u64 = 14;
pub(crate) const URI: u64 = 21;

pub(crate) const IMAGE_MATCH: u64 = 3;
pub(crate) const OVERRIDE_PARAMETERS: u64 = 20;
pub(crate) const FETCH: u64 = 21;

/// Send a record and system information on success and on failure.
pub(crate) const REPORT_ALL: u64 = 15;
/// COSE algorithm SHA-256.
pub(crate) const SHA_256: i64 = -16;

/// Key of the integrated payload, and the URI the install sequence fetches.
pub(crate) const PAYLOAD_KEY: &str = "#payload";

/// Our condition: ABI version, arena and trial parameters are understood and met.
pub(crate) const CONDITION_RUNTIME: i64 = -257;

pub(crate) const ABI: i64 = -257;
pub(crate) const ARENA: i64 = -258;
pub(crate) const TRIAL: i64 = -259;
pub(crate) const MODEL_NAME: i64 = -260;
pub(crate) const MODEL_VERSION: i64 = -261;
pub(crate) const SOURCE_DIGEST: i64 = -262;
pub(crate) const COMPILER: i64 = -263;
