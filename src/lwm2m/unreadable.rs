//! Records that can't be read: shown, and kept when their place is needed.

use super::hash::HashMap;
use super::request_record::request_of;
use super::types::Endpoint;
use tinsmith_store::{Key, Kind, Op, RecordError, Stored};

/// What of a device could not be restored.
#[derive(Default)]
struct Lost {
    registration: Option<(Key, Stored)>,
    requests: usize,
    /// Of the first that was found.
    reason: String,
}

/// Records of registrations and requests that can't be read, by device.
#[derive(Default)]
pub(super) struct Unreadable(HashMap<Endpoint, Lost>);

impl Unreadable {
    pub(super) fn add(&mut self, key: Key, stored: Stored, error: &RecordError) {
        let endpoint = match key.kind {
            Kind::REQUEST => request_of(&key).map(|(endpoint, _)| endpoint),
            _ => std::str::from_utf8(&key.id).ok().map(Endpoint::from),
        };
        let Some(endpoint) = endpoint else { return };
        let lost = self.0.entry(endpoint).or_default();
        if lost.reason.is_empty() {
            lost.reason = error.to_string();
        }
        match key.kind {
            Kind::REQUEST => lost.requests += 1,
            _ => lost.registration = Some((key, stored)),
        }
    }

    /// In a sentence, if there is something.
    pub(super) fn describe(&self, endpoint: &str) -> Option<String> {
        let lost = self.0.get(endpoint)?;
        let what = match (&lost.registration, lost.requests) {
            (Some(_), 0) => "its registration".to_owned(),
            (Some(_), n) => format!("its registration and {n} requests"),
            (None, n) => format!("{n} of its requests"),
        };
        Some(format!(
            "{what} can't be read and is left as it is: {}",
            lost.reason
        ))
    }

    /// The device is deleted.
    pub(super) fn forget(&mut self, endpoint: &str) {
        self.0.remove(endpoint);
    }

    /// Keeps the record of a registration that is about to be replaced.
    pub(super) fn set_aside(&self, endpoint: &str) -> Option<Op> {
        let (key, stored) = self.0.get(endpoint)?.registration.as_ref()?;
        Some(Op::set_aside(key, stored))
    }

    /// The device has a new registration; the old record is aside.
    pub(super) fn replaced(&mut self, endpoint: &str) {
        if let Some(lost) = self.0.get_mut(endpoint) {
            lost.registration = None;
            if lost.requests == 0 {
                self.0.remove(endpoint);
            }
        }
    }
}
