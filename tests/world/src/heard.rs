//! What a device hears of the server, and what it can know to be a repetition.

use std::collections::{BTreeMap, VecDeque};

use lwm2m_objects::Path;
use tinsmith_coap::{Message, MessageType, Token};

use crate::counter::Counter;

/// Messages of a peer that the client remembers.
const REMEMBERED: usize = 4;

/// Since the device was made.
#[derive(Debug, Default)]
pub struct Heard {
    /// The latest since it was switched on. A server that was killed may begin at an id that is
    /// among them, with another token.
    recent: VecDeque<(u16, Token)>,
    fresh: BTreeMap<String, u64>,
}

impl Heard {
    /// How often the device was told to execute its [`Counter`] with these arguments by a message
    /// that it could not know to be a repetition.
    pub fn fresh(&self, arguments: &str) -> u64 {
        self.fresh.get(arguments).copied().unwrap_or(0)
    }

    /// The device is switched on and remembers nothing.
    pub(crate) fn boot(&mut self) {
        self.recent.clear();
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let answers = [MessageType::Acknowledgement, MessageType::Reset];
        let id = (message.message_id(), message.token());
        if answers.contains(&message.message_type()) || self.recent.contains(&id) {
            return;
        }
        self.recent.push_back(id);
        if self.recent.len() > REMEMBERED {
            self.recent.pop_front();
        }
        if let Some(arguments) = execute(&message) {
            *self.fresh.entry(arguments).or_default() += 1;
        }
    }
}

/// The arguments of a message that executes a [`Counter`].
pub(crate) fn execute(message: &Message<'_>) -> Option<String> {
    if !message.code().is_request() {
        return None;
    }
    let path = Path::from_segments(message.uri_path()).ok()?;
    let arguments = String::from_utf8_lossy(message.payload()).into_owned();
    (path == Counter::PATH).then_some(arguments)
}
