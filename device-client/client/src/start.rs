//! How a client begins: from its memory, from its flash, with its servers.

use crate::body::BodyBuffer;
use crate::bootstrap::{Bootstrap, Phase};
use crate::client::Client;
use crate::device::{Device, Wishes};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::flash::FlashRead;
use crate::log::Log;
use crate::object::Origin;
use crate::objects::Objects;
use crate::observe::Observation;
use crate::platform::{BootstrapError, Config, ConfigError, Event, Memory, Now, Platform};
use crate::session::Session;
use crate::storage::{ACCOUNTS, PROGRESS, Storage, UPDATE};
use crate::update::Update;
use crate::update::receiver::Receiver;
impl<'a> Client<'a> {
    /// A client that is not running yet. It is small and can be made in a `static`, see
    /// [`start`](Self::start).
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(config: Config<'a>, memory: Memory<'a>) -> Self {
        let Memory {
            sessions,
            observations,
            arena,
            buffers,
        } = memory;
        share(sessions, observations);
        Self {
            device: Device {
                config,
                facts: Facts::NONE,
                accounts: &mut buffers.accounts,
                update: Update::new(&mut buffers.update, &mut buffers.receive),
                engine: Engine::new(arena),
                storage: Storage::new(&config.layout, &mut buffers.flash),
                log: Log::new(),
                wishes: Wishes::NONE,
                scratch: &buffers.scratch,
                wall_offset: 0,
                error_code: 0,
                tickets: 0,
            },
            bootstrap: Bootstrap::new(&mut buffers.staged),
            sessions,
            body: BodyBuffer::new(&mut buffers.body),
            answer: &mut buffers.answer,
            answer_to: None,
            may_step: true,
            restless: false,
            stopping: false,
        }
    }

    /// Reads the flash and starts: with a Register if there are accounts, else with a bootstrap.
    /// To be called once, before anything else.
    ///
    /// # Errors
    /// The board gave something that can't work.
    pub fn start(&mut self, now: Now, platform: &mut dyn Platform) -> Result<(), ConfigError> {
        self.check()?;
        let flash: &dyn FlashRead = platform;
        let device = &mut self.device;
        device.storage.journal.mount(flash);
        let journal = &device.storage.journal;
        let stored = journal.get(ACCOUNTS, flash);
        if !stored.is_some_and(|stored| device.accounts.decode(stored))
            && !device.accounts.reset(device.config.bootstrap_uri)
        {
            return Err(ConfigError::BootstrapUri);
        }
        device.update.state.decode(journal.get(UPDATE, flash));
        let receiver = journal.get(PROGRESS, flash).and_then(Receiver::decode);
        device.log.changes = platform.random() & 0xFFFF;
        device.resume_update(receiver, platform);
        // What follows from the journal is as good as written: a further reset finds the same.
        device.update.shown = device.update.state.shown();
        if device.accounts.is_consistent() {
            self.connect_servers(now, platform);
        } else {
            self.start_bootstrap(now, platform);
        }
        Ok(())
    }

    /// Whether what the board gave can work.
    fn check(&mut self) -> Result<(), ConfigError> {
        let device = &mut self.device;
        let config = &device.config;
        config.layout.check()?;
        if config.endpoint.is_empty() || config.endpoint.len() > 64 {
            return Err(ConfigError::Endpoint);
        }
        crate::uri::parse(config.bootstrap_uri).ok_or(ConfigError::BootstrapUri)?;
        if self.sessions.len() < 2 || self.sessions.len() > usize::from(u8::MAX) {
            return Err(ConfigError::Sessions);
        }
        if !Objects::new(config.objects).are_told_apart() {
            return Err(ConfigError::Objects);
        }
        device.facts.read(config.capability)?;
        let arena = &*device.engine.arena;
        let aligned = arena.as_ptr().align_offset(32) == 0;
        if arena.len() < device.facts.arena_total as usize || !aligned {
            return Err(ConfigError::Arena);
        }
        Ok(())
    }
}

impl Client<'_> {
    /// A session for each management server of the accounts; all register.
    pub(crate) fn connect_servers(&mut self, now: Now, platform: &mut dyn Platform) {
        self.bootstrap.phase = Phase::Operational;
        let servers = self.sessions.get_mut(1..).unwrap_or_default();
        for session in servers.iter_mut() {
            session.close();
        }
        for ((server, security), session) in self.device.accounts.servers().zip(servers) {
            let origin = Origin::Server {
                instance: server.id,
                short_id: server.short_id,
            };
            if let Some(address) = crate::uri::parse(security.uri.as_str()) {
                session.open(address, origin, now, platform);
            }
        }
    }

    /// Leaves the management servers alone and asks the bootstrap server.
    pub(crate) fn start_bootstrap(&mut self, now: Now, platform: &mut dyn Platform) {
        for session in self.sessions.iter_mut() {
            session.close();
        }
        if let Some(session) = self.sessions.first_mut() {
            self.bootstrap.start(now, &self.device, session, platform);
        }
    }

    pub(crate) fn bootstrap_failed(
        &mut self,
        now: Now,
        reason: BootstrapError,
        platform: &mut dyn Platform,
    ) {
        self.bootstrap.count_failure();
        self.start_bootstrap(now, platform);
        let until = self.bootstrap.deadline();
        let mut wait = until.map_or(0, |until| until.saturating_sub(now.mono));
        if self.device.accounts.is_consistent() {
            // The servers known so far may be back before the bootstrap server is.
            self.connect_servers(now, platform);
            wait = 0;
        }
        self.device.log.event(Event::BootstrapFailed {
            reason,
            retry_s: (wait / 1000) as u32,
        });
    }
}

/// Gives each management server the same share of the observations.
fn share<'a>(sessions: &mut [Session<'a>], observations: &'a mut [Observation]) {
    observations.fill(Observation::EMPTY);
    let each = observations.len() / sessions.len().saturating_sub(1).max(1);
    let mut rest = observations;
    for (i, session) in sessions.iter_mut().enumerate() {
        let (share, others) = rest.split_at_mut(if i == 0 { 0 } else { each });
        session.share(share);
        rest = others;
    }
}
