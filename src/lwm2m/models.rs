//! Object definitions, chosen for each registration.

use std::fmt;
use std::sync::Arc;

use lwm2m_objects::model::Builtin;

use super::types::Registration;

/// The object definitions of a device.
pub type Models = Arc<dyn lwm2m_objects::model::Models + Send + Sync>;

/// Says which definitions hold for a device: its registration names versions of objects, and who
/// made it.
#[derive(Clone)]
pub struct ModelSource(Arc<dyn Fn(&Registration) -> Models + Send + Sync>);

impl ModelSource {
    /// One that asks `choose` at each registration, and at each update that names other objects.
    pub fn new(choose: impl Fn(&Registration) -> Models + Send + Sync + 'static) -> Self {
        ModelSource(Arc::new(choose))
    }

    /// The definitions for a device.
    pub fn models(&self, registration: &Registration) -> Models {
        (self.0)(registration)
    }
}

impl Default for ModelSource {
    /// The built-in definitions for all devices.
    fn default() -> Self {
        let builtin: Models = Arc::new(Builtin);
        ModelSource::new(move |_| Arc::clone(&builtin))
    }
}

impl fmt::Debug for ModelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelSource")
    }
}
