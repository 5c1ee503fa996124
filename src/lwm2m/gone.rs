//! Deregisters of late: a device may repeat one when nothing is known of it any more.

use std::collections::VecDeque;

use tinsmith_coap::{Message, MessageId, Token};

use super::shared::Source;
use super::{ListenerId, Peer};

/// Answers to a Deregister that can be repeated.
const GONE: usize = 256;

#[derive(Default)]
pub(super) struct Gone(VecDeque<(ListenerId, Peer, MessageId, Token)>);

impl Gone {
    pub(super) fn add(&mut self, from: Source<'_>, message: &Message<'_>) {
        if self.0.len() >= GONE {
            self.0.pop_front();
        }
        let (id, token) = (message.message_id(), message.token());
        self.0.push_back((from.listener, from.peer, id, token));
    }

    /// True if this message is one of them.
    pub(super) fn contains(&self, from: Source<'_>, message: &Message<'_>) -> bool {
        let (id, token) = (message.message_id(), message.token());
        self.0.contains(&(from.listener, from.peer, id, token))
    }
}
