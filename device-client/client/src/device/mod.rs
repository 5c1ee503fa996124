//! What the objects show and change: the parts of the client that know nothing of servers.

mod capability;
mod engine;
mod job;
mod log;
mod package;
mod resume;
mod storage;
mod trial;
mod trust;
mod update;

use core::cell::RefCell;

use lwm2m_objects::Path;
use tinsmith_coap::Code;
use tinsmith_package::Anchors;

pub(crate) use capability::Capability;
#[cfg(any(test, feature = "std"))]
pub use capability::module_class;
pub(crate) use engine::Arena;
#[cfg(feature = "dtls")]
pub(crate) use storage::SESSIONS;
pub(crate) use storage::{ACCOUNTS, Op};

use crate::config::{Config, ConfigError};
use crate::flash::FlashRead;
use crate::handler::Ticket;
use crate::platform::{Now, Platform};
use crate::store::accounts::Accounts;
use crate::store::journal::BUFFER;
use crate::update::receiver::{RECEIVE, Receiver};
use crate::update::state::UpdateState;
use capability::Facts;
use engine::Engine;
use log::Log;
use storage::{ANCHORS, PROGRESS, Storage, UPDATE};
use trust::Trust;
use update::Update;

/// Largest body of a Write that is not streamed, in bytes.
pub(crate) const BODY: usize = 1280;

/// What handlers want of the parts that talk to servers; carried out when they are done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wishes {
    /// Execute /3/0/4.
    pub(crate) reboot: bool,
    /// Execute /1/x/9.
    pub(crate) bootstrap: bool,
    /// The server with this instance of object 1 wants an Update.
    pub(crate) update: Option<u16>,
    /// The Update tells the binding.
    pub(crate) binding: bool,
    /// Execute /1/x/4, with this x.
    pub(crate) disable: Option<u16>,
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
        binding: false,
        disable: None,
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
    pub(crate) trust: Trust<'a>,
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

/// Memory that the device works in.
pub(crate) struct DeviceMemory<'a> {
    pub(crate) accounts: &'a mut Accounts,
    pub(crate) update: &'a mut UpdateState,
    pub(crate) anchors: &'a mut Anchors,
    /// What of a package is not on flash.
    pub(crate) receive: &'a mut [u8; RECEIVE],
    /// One record of the journal, or one program of it.
    pub(crate) flash: &'a mut [u8; BUFFER],
    pub(crate) arena: &'a mut [u8],
    pub(crate) scratch: &'a RefCell<[u8; BODY]>,
}

impl<'a> Device<'a> {
    /// A device that has not looked at its flash yet.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn new(config: Config<'a>, memory: DeviceMemory<'a>) -> Self {
        Self {
            config,
            facts: Facts::NONE,
            accounts: memory.accounts,
            update: Update::new(memory.update, memory.receive),
            trust: Trust::new(memory.anchors),
            engine: Engine::new(memory.arena),
            storage: Storage::new(&config.layout, memory.flash),
            log: Log::new(),
            wishes: Wishes::NONE,
            scratch: memory.scratch,
            wall_offset: 0,
            error_code: 0,
            tickets: 0,
        }
    }

    /// Checks what the board gave and reads the flash.
    pub(crate) fn start(&mut self, platform: &mut dyn Platform) -> Result<(), ConfigError> {
        self.config.layout.check()?;
        if self.config.endpoint.is_empty() || self.config.endpoint.len() > 64 {
            return Err(ConfigError::Endpoint);
        }
        self.config.factory.server().ok_or(ConfigError::Uri)?;
        self.facts.read(&self.config)?;
        let arena = &*self.engine.arena;
        let aligned = arena.as_ptr().align_offset(32) == 0;
        if arena.len() < self.facts.arena_total as usize || !aligned {
            return Err(ConfigError::Arena);
        }
        self.log.changes = platform.random() & 0xFFFF;
        let flash: &dyn FlashRead = platform;
        self.storage.journal.mount(flash);
        let journal = &self.storage.journal;
        let stored = journal.get(ACCOUNTS, flash);
        let factory = self.config.factory;
        let decoded = stored.is_some_and(|stored| self.accounts.decode(stored));
        let ours = match factory.is_bootstrap() {
            true => self.accounts.bootstrap().is_some(),
            false => self.accounts.suit(factory),
        };
        let has_accounts = decoded && ours;
        if !has_accounts && !self.accounts.reset(factory) {
            return Err(ConfigError::Uri);
        }
        self.trust.load(journal.get(ANCHORS, flash), &self.config);
        self.update.state.decode(journal.get(UPDATE, flash));
        let receiver = journal.get(PROGRESS, flash).and_then(Receiver::decode);
        self.resume_update(receiver, flash);
        // What follows from the journal is as good as written: a further reset finds the same.
        self.update.shown = self.update.state.shown();
        Ok(())
    }

    /// There is a bootstrap server to ask.
    pub(crate) fn has_bootstrap(&self) -> bool {
        self.config.factory.is_bootstrap() || self.accounts.bootstrap().is_some()
    }

    /// What the device is made of.
    pub(crate) const fn capability(&self) -> Capability<'a> {
        Capability::of(&self.config)
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
