//! What a Register said, and what was made of it.

use std::sync::Arc;

use lwm2m_objects::Path;
use tinsmith_coap::{MessageId, Token};

use super::models::Models;
use super::types::Registration;

pub(super) struct Entry {
    pub(super) registration: Arc<Registration>,
    /// Its object definitions.
    pub(super) models: Models,
    pub(super) bucket: u8,
    /// The random part of the location; each Register gets another.
    pub(super) location: u64,
    /// Message id and token of the Register; `None` after a restart.
    pub(super) register_id: Option<(MessageId, Token)>,
    /// When the registration expires, on the monotonic clock.
    pub(super) expires: u64,
}

impl Entry {
    /// The segments of a path on the device.
    pub(super) fn segments(&self, path: &Path) -> Vec<String> {
        let mut segments = self.registration.announced.root.clone();
        segments.extend(path.ids().iter().map(u16::to_string));
        segments
    }
}
