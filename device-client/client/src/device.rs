//! What the objects show and change: the parts of the client that know nothing of servers.

use core::cell::RefCell;

use lwm2m_objects::Path;
use tinsmith_coap::Code;

use crate::engine::Engine;
use crate::facts::Facts;
use crate::log::Log;
use crate::object::Ticket;
use crate::objects::Objects;
use crate::platform::{BODY, Config, Now};
use crate::storage::Storage;
use crate::store::accounts::Accounts;
use crate::update::Update;

/// What handlers want of the parts that talk to servers; carried out when they are done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// Execute /3/0/4.
    pub(crate) reboot: bool,
    /// Execute /1/x/9.
    pub(crate) bootstrap: bool,
    /// The server with this instance of object 1 wants an Update.
    pub(crate) update: Option<u16>,
    /// A body that arrives at this path is of no use any more.
    pub(crate) forget_upload: Option<Path>,
    /// What was put off is done.
    pub(crate) finished: Option<Finished>,
}

impl Wishes {
    pub(crate) const NONE: Self = Self {
        reboot: false,
        bootstrap: false,
        update: None,
        forget_upload: None,
        finished: None,
    };
}

/// A request of which our own handler is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    pub(crate) ticket: Ticket,
    pub(crate) result: Result<(), Code>,
    /// It is answered when everything is on flash.
    pub(crate) stored: bool,
}

pub(crate) struct Device<'a> {
    pub(crate) config: Config<'a>,
    pub(crate) facts: Facts,
    pub(crate) accounts: &'a mut Accounts,
    pub(crate) update: Update<'a>,
    pub(crate) engine: Engine<'a>,
    pub(crate) storage: Storage<'a>,
    pub(crate) log: Log,
    pub(crate) wishes: Wishes,
    /// For decoders, and for values that lie in pieces.
    pub(crate) scratch: &'a RefCell<[u8; BODY]>,
    /// Seconds to add to the clock, from a write of /3/0/13.
    pub(crate) wall_offset: i64,
    /// /3/0/11
    pub(crate) error_code: u8,
    /// Serial number of the last ticket.
    pub(crate) tickets: u32,
}

impl<'a> Device<'a> {
    pub(crate) const fn objects(&self) -> Objects<'a> {
        Objects::new(self.config.objects)
    }

    /// Wall time in seconds, 0 if it is not known.
    pub(crate) fn wall(&self, now: Now) -> i64 {
        if now.wall == 0 && self.wall_offset == 0 {
            return 0;
        }
        now.wall.saturating_add(self.wall_offset)
    }

    /// ETag of what can be read now: changes, and what moves without being counted as one.
    pub(crate) fn etag(&self, now: Now) -> [u8; 8] {
        let changes = self.log.changes.wrapping_add(self.log.named);
        let moving = (self.update.trial_left(now) as u32).rotate_left(16) ^ self.update.told();
        ((u64::from(changes) << 32) | u64::from(moving)).to_be_bytes()
    }
}
