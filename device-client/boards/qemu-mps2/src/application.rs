//! What the firmware adds to the client: nothing.

use tinsmith_client::{Input, Object};

/// No application.
pub(crate) struct Application;

impl Application {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn objects(&self) -> &'static [&'static dyn Object] {
        &[]
    }

    /// What the client has to be told.
    pub(crate) fn poll(&mut self, _millis: u64) -> Option<Input<'static>> {
        None
    }

    /// When it is to be asked again.
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        None
    }
}
