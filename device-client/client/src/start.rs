//! How a client begins: from its memory, from its flash, with its servers.

use crate::bootstrap::{Bootstrap, Phase};
use crate::client::Client;
use crate::config::{Config, ConfigError};
use crate::device::{Device, DeviceMemory};
use crate::event::{BootstrapError, Event};
use crate::handler::Origin;
use crate::object::Object;
use crate::objects::Objects;
use crate::platform::{Now, Platform};
use crate::session::{Observation, Session};
use crate::shell::Memory;
use crate::upload::BodyBuffer;

impl<'a> Client<'a> {
    /// A client that is not running yet, with the objects of the application: each id once, and none
    /// that the client has itself. It is small and can be made in a `static`, see
    /// [`start`](Self::start).
    #[allow(clippy::needless_pass_by_value)]
    pub fn new(config: Config<'a>, objects: &'a [&'a dyn Object], memory: Memory<'a>) -> Self {
        let Memory {
            sessions,
            observations,
            arena,
            buffers,
        } = memory;
        share(sessions, observations);
        let memory = DeviceMemory {
            accounts: &mut buffers.accounts,
            update: &mut buffers.update,
            anchors: &mut buffers.anchors,
            receive: &mut buffers.receive,
            flash: &mut buffers.flash,
            arena,
            scratch: &buffers.scratch,
        };
        Self {
            device: Device::new(config, memory),
            objects: Objects::new(objects),
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
        if self.sessions.len() < 2 || self.sessions.len() > usize::from(u8::MAX) {
            return Err(ConfigError::Sessions);
        }
        if !self.objects.are_told_apart() {
            return Err(ConfigError::Objects);
        }
        self.device.start(platform)?;
        if self.device.accounts.suit(self.device.config.factory) {
            self.connect_servers(now, platform);
        } else {
            self.start_bootstrap(now, platform);
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
            if let Some(server) = security.server() {
                session.open(server, security.id, origin, now, platform);
            }
        }
        #[cfg(feature = "dtls")]
        self.resume_sessions(platform);
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
