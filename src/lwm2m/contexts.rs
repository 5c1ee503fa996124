//! OSCORE contexts of devices, as who keeps their secrets tells of them.

use std::fmt;
use std::sync::Arc;

use tinsmith_coap::{Message, OptionNumber};
use tinsmith_oscore::{Master, OscoreOption};
use tinsmith_store::Op;

use super::types::Endpoint;

/// What is known of a context's keys when it is used for the first time in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OscoreStart {
    /// No message was ever sealed with them.
    Fresh,
    /// They may have been used, and which numbers is not known: the device and the server derive
    /// others (RFC 8613 §B.2).
    Lost,
    /// As the record says that [`OscoreContexts::record`] made.
    Stored(Vec<u8>),
}

/// The context of a device.
pub struct OscoreContext {
    /// Whose.
    pub endpoint: Endpoint,
    /// What both ends have agreed on; this end's view.
    pub master: Master,
    /// How its keys were used.
    pub start: OscoreStart,
}

impl fmt::Debug for OscoreContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OscoreContext")
            .field("endpoint", &self.endpoint)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

/// All contexts, by the IDs that devices' messages carry as 'kid'. It is asked for each protected
/// message, so it answers from memory.
pub trait OscoreContexts: Send + Sync {
    /// The context of an ID. Another `Arc` than before means other keys, or the same ones given
    /// anew; `None`: it opens and seals nothing from now on.
    fn context(&self, kid: &[u8]) -> Option<Arc<OscoreContext>>;

    /// What is to be stored of a context, which its crate has written down as `encoded`, so that
    /// [`OscoreContext::start`] is right after a restart. `None` if it can't be.
    fn record(&self, context: &OscoreContext, encoded: &[u8]) -> Option<Op>;
}

/// The ID that a protected request names its device by; `None` if it is no such request, or names
/// nobody.
pub fn oscore_kid(datagram: &[u8]) -> Option<Vec<u8>> {
    let message = Message::parse(datagram).ok()?;
    if !message.code().is_request() {
        return None;
    }
    kid(&message)
}

pub(super) fn kid(message: &Message<'_>) -> Option<Vec<u8>> {
    let value = message.option(OptionNumber::OSCORE)?;
    OscoreOption::decode(value)?.kid.map(<[u8]>::to_vec)
}
