//! What a peer has proved, and what it was proved by.

use sha2::{Digest, Sha256};
use tinsmith_peer::Identity;

/// What a peer has proved, if its handshake gets to the end.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) identity: Identity,
    pub(crate) by: By,
}

/// By what, as far as the same identity may be proved by another thing later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The identity says it, or it was not written down.
    Unsaid,
    /// The pre-shared key with this mark.
    Key(u64),
    /// Certificates with these marks, that of the device first; at the end the authority's.
    Chain(Box<[u64]>),
}

/// Tells one thing from another, as the first bytes of a digest do; it is kept, and never shown.
pub(crate) fn mark(kind: &str, parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new();
    digest.update(kind);
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(digest.finalize());
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl By {
    pub(crate) fn key(key: &[u8]) -> Self {
        Self::Key(mark("pre-shared key", &[key]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_marks_of_their_own() {
        assert_eq!(By::key(b"one key"), By::key(b"one key"));
        assert_ne!(By::key(b"one key"), By::key(b"another key"));
        assert_ne!(mark("a", &[b"b", b"c"]), mark("a", &[b"bc", b""]));
        assert_ne!(mark("a", &[b"b"]), mark("b", &[b"b"]));
    }
}
