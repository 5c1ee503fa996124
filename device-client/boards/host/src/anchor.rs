//! Trust anchors as text.

use lwm2m_objects::hex;
use tinsmith_client::{Scheme, TrustAnchor};

/// A trust anchor, a COSE_Key, in hexadecimal digits; none if it is something else.
#[must_use]
pub fn read_anchor(text: &str) -> Option<TrustAnchor> {
    let bytes = hex::decode(text.trim())?;
    TrustAnchor::parse(&bytes, &[Scheme::ED25519, Scheme::ES256])
}
