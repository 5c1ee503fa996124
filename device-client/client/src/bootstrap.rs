//! Client-initiated bootstrap (LwM2M TS 1.1 §6.1): what the bootstrap server writes is staged, and
//! swapped in one step at its Finish.
//!
//! ```text
//!   Waiting --request--> Requested --2.04--> Running --Finish, consistent--> Storing --> Operational
//!      ^                     |                  |                               |
//!      +---- no answer, error, silence, inconsistent, flash failure (back-off) -+
//! ```

mod write;

use core::net::SocketAddr;

use lwm2m_objects::format::ContentFormat;
use lwm2m_objects::format::link::LinkWriter;
use lwm2m_objects::{Path, Sink, ids};
use tinsmith_coap::{BuildError, Builder, Code, Message, OptionNumber, Token};

use crate::answer::{Answer, Outcome, Until};
use crate::device::{ACCOUNTS, Device};
use crate::event::{BootstrapError, Event};
use crate::handler::Origin;
use crate::manage::write::{bootstrap_write, delete};
use crate::objects::Tree;
use crate::platform::{Now, Platform, back_off, token};
use crate::session::{Session, add_query, add_text, asks_to_wait};
use crate::store::accounts::Accounts;
use crate::turn::{Turn, with_body};
use crate::uri::Server;

/// Milliseconds that the bootstrap server may be silent (EXCHANGE_LIFETIME).
const SILENCE_MS: u64 = 247_000;

/// What the client is about; times are monotonic milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// Until the next Bootstrap-Request.
    Waiting { until: u64 },
    /// The Bootstrap-Request is out.
    Requested { token: Token },
    /// The server writes.
    Running { silent_until: u64 },
    /// The accounts were inconsistent at the Finish; the next poll ends the bootstrap.
    Refused { at: u64 },
    /// Finished; the accounts are on their way to the flash, and what was before is staged, to come
    /// back if that fails.
    Storing,
    /// Management.
    Operational,
}

/// The bootstrap.
pub(crate) struct Bootstrap<'a> {
    pub(crate) phase: Phase,
    /// Attempts that failed in a row.
    failures: u8,
    /// The server asked to be left alone for so long, milliseconds.
    hold: u64,
    /// The accounts as the bootstrap server sees them, while it may change them.
    staged: &'a mut Accounts,
}

/// How a bootstrap ended.
pub(crate) enum End {
    Stored,
    Failed(BootstrapError),
}

impl<'a> Bootstrap<'a> {
    pub(crate) const fn new(staged: &'a mut Accounts) -> Self {
        Self {
            phase: Phase::Operational,
            failures: 0,
            hold: 0,
            staged,
        }
    }

    pub(crate) const fn is_operational(&self) -> bool {
        matches!(self.phase, Phase::Operational)
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running { silent_until } => Some(silent_until),
            Phase::Refused { at } => Some(at),
            _ => None,
        }
    }

    /// Begins with a bootstrap: none of the servers but the bootstrap server is talked to.
    pub(crate) fn start(
        &mut self,
        now: Now,
        device: &Device<'_>,
        session: &mut Session<'_>,
        platform: &mut dyn Platform,
    ) {
        session.close();
        let account = device.accounts.bootstrap();
        let server = account.and_then(|a| Some((a.server()?, (a.id, a.oscore()))));
        let plain = || {
            let address = crate::uri::parse(device.config.factory.plain_uri()?)?;
            let secure = false;
            Some((Server { address, secure }, (0, None)))
        };
        if let Some((server, account)) = server.or_else(plain) {
            session.open(server, account, Origin::Bootstrap, now, platform);
        }
        let wait = match self.failures {
            0 => account.map_or(0, |a| u64::from(a.hold_off) * 1000),
            failures => back_off(failures, platform),
        };
        let until = now.mono + wait.max(core::mem::take(&mut self.hold));
        self.phase = Phase::Waiting { until };
    }

    /// Attempts begin anew.
    pub(crate) fn forget_failures(&mut self) {
        self.failures = 0;
    }

    /// The attempt has failed.
    pub(crate) fn count_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Sends the Bootstrap-Request that is due.
    pub(crate) fn poll_request(
        &mut self,
        now: Now,
        device: &mut Device<'_>,
        session: &mut Session<'_>,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let Phase::Waiting { until } = self.phase else {
            return None;
        };
        if until > now.mono {
            return None;
        }
        let link = session.link_mut()?;
        if !link.reach(now, device.accounts, platform) {
            return None;
        }
        let token = token(platform);
        let endpoint = device.config.endpoint;
        let sent = link.request(now, Code::POST, token, out, &mut |b| {
            b.option(OptionNumber::URI_PATH, b"bs")?;
            add_query(b, b"ep=", endpoint.as_bytes())?;
            add_query(b, b"pct=", b"112")
        });
        let Ok(sent) = sent else {
            let until = now.mono + 1_000;
            self.phase = Phase::Waiting { until };
            return None;
        };
        self.staged.copy_from(device.accounts);
        self.phase = Phase::Requested { token };
        device.log.event(Event::Bootstrapping);
        Some(sent)
    }

    /// The Bootstrap-Request with this token is to be sent once more.
    #[cfg(feature = "oscore")]
    pub(crate) fn ask_again(&mut self, now: Now, ours: Token) {
        if matches!(self.phase, Phase::Requested { token } if token == ours) {
            self.phase = Phase::Waiting { until: now.mono };
        }
    }

    /// The answer to the Bootstrap-Request; false if it is none.
    pub(crate) fn response(
        &mut self,
        now: Now,
        token: Token,
        message: Option<&Message<'_>>,
    ) -> Option<BootstrapError> {
        match self.phase {
            Phase::Requested { token: ours } if ours == token => {}
            _ => return None,
        }
        match message.map(Message::code) {
            Some(Code::CHANGED) => {
                let silent_until = now.mono + SILENCE_MS;
                self.phase = Phase::Running { silent_until };
                None
            }
            Some(code) => {
                self.hold = message.and_then(asks_to_wait).unwrap_or(0);
                Some(BootstrapError::Rejected(code.byte()))
            }
            None => Some(BootstrapError::TimedOut),
        }
    }

    /// Why the attempt is over, if it is.
    pub(crate) fn poll_end(&self, now: Now) -> Option<BootstrapError> {
        match self.phase {
            Phase::Running { silent_until } if silent_until <= now.mono => {
                Some(BootstrapError::TimedOut)
            }
            Phase::Refused { .. } => Some(BootstrapError::Inconsistent),
            _ => None,
        }
    }

    /// The bootstrap server may ask and change.
    ///
    /// Its first request may overtake the answer to the Bootstrap-Request.
    fn goes_on(&mut self, now: Now) -> bool {
        let on = matches!(self.phase, Phase::Requested { .. } | Phase::Running { .. });
        if on {
            let silent_until = now.mono + SILENCE_MS;
            self.phase = Phase::Running { silent_until };
        }
        on
    }

    /// Handles a request of the bootstrap server.
    pub(crate) fn request(
        &mut self,
        session: &mut Session<'_>,
        turn: &mut Turn<'_, 'a>,
        message: &Message<'_>,
    ) -> Outcome {
        let code = message.code();
        let mut segments = message.uri_path();
        let finish = segments.next() == Some(b"bs") && segments.next().is_none();
        if code == Code::POST && finish {
            return self.finish(turn);
        }
        let Ok(path) = Path::from_segments(message.uri_path()) else {
            return Code::BAD_REQUEST.into();
        };
        match code {
            Code::DELETE => self.delete(session, turn, &path),
            Code::PUT if path.depth() > 0 => self.write(session, turn, path, message),
            Code::GET if !self.goes_on(turn.now) => Code::METHOD_NOT_ALLOWED.into(),
            // Bootstrap-Read asks for another format.
            Code::GET if message.accept().is_some_and(|f| f != ContentFormat::LINK.0) => {
                Code::NOT_ACCEPTABLE.into()
            }
            Code::GET => Answer::Discover(path).into(),
            _ => Code::METHOD_NOT_ALLOWED.into(),
        }
    }

    /// Bootstrap-Discover (LwM2M TS 1.1 §6.1.7.3).
    pub(crate) fn discover(
        &self,
        tree: &Tree<'_>,
        path: &Path,
        b: &mut Builder<'_>,
    ) -> Result<(), BuildError> {
        let format = u32::from(ContentFormat::LINK.0);
        b.uint(OptionNumber::CONTENT_FORMAT, format)?;
        add_text(b, &mut |sink| self.write_links(tree, path, sink))
    }

    fn write_links(&self, tree: &Tree<'_>, path: &Path, sink: &mut dyn Sink) {
        let accounts = match self.phase {
            Phase::Requested { .. } | Phase::Running { .. } => &*self.staged,
            _ => &*tree.view.device.accounts,
        };
        let mut links = LinkWriter::new(sink);
        links.link(&Path::ROOT).token("lwm2m", "1.1");
        let wanted = |object| path.object_id().is_none_or(|id| id == object);
        let security = accounts.security.iter().flatten();
        for s in security.filter(|_| wanted(ids::LWM2M_SECURITY)) {
            links.link(&Path::instance(ids::LWM2M_SECURITY, s.id));
            if !s.bootstrap.is_yes() {
                links.number("ssid", s.short_id.into());
                links.quoted("uri", s.uri.as_str());
            }
        }
        let servers = accounts.server.iter().flatten();
        for s in servers.filter(|_| wanted(ids::LWM2M_SERVER)) {
            links
                .link(&Path::instance(ids::LWM2M_SERVER, s.id))
                .number("ssid", s.short_id.into());
        }
        #[cfg(feature = "oscore")]
        for s in accounts.oscore.iter().flatten() {
            if wanted(ids::LWM2M_OSCORE) {
                links.link(&Path::instance(ids::LWM2M_OSCORE, s.id));
            }
        }
        for (object, definition) in tree.objects.ascending() {
            let id = definition.id();
            let shown = matches!(id, ids::DEVICE | ids::FIRMWARE_UPDATE);
            if wanted(id) && (shown || object.takes_bootstrap()) {
                links.link(&Path::instance(id, 0));
            }
        }
    }

    /// Bootstrap-Delete.
    fn delete(&mut self, session: &Session<'_>, turn: &mut Turn<'_, '_>, path: &Path) -> Outcome {
        if !self.goes_on(turn.now) {
            return Code::METHOD_NOT_ALLOWED.into();
        }
        if self.staged.delete(path) {
            return Code::DELETED.into();
        }
        let object = path.object_id().and_then(|id| turn.objects.find(id));
        if let (Some((object, _)), [_, instance]) = (object, path.ids())
            && object.takes_bootstrap()
        {
            let done = delete(&mut turn.context(session), object, *instance);
            return turn.done(done, Code::DELETED, None);
        }
        // Device and the bootstrap account can't be deleted (TS 6.1.7.6); the rest does not come
        // from a bootstrap.
        Code::BAD_REQUEST.into()
    }

    /// Bootstrap-Write of an object, an instance or a resource.
    fn write(
        &mut self,
        session: &mut Session<'_>,
        turn: &mut Turn<'_, '_>,
        path: Path,
        message: &Message<'_>,
    ) -> Outcome {
        let entry = path.object_id().and_then(|id| match id {
            id if id != ids::LWM2M_SERVER && Accounts::are_of(id) => None,
            id => turn.objects.find(id),
        });
        with_body(
            session,
            turn,
            entry.map(|e| e.1),
            path,
            message,
            Code::CHANGED,
            &mut |context, format, body| {
                if !self.goes_on(context.now) {
                    return Err(Code::METHOD_NOT_ALLOWED);
                }
                match entry {
                    _ if path.object_id().is_some_and(Accounts::are_of) => {
                        write::write_accounts(self.staged, context, &path, format, body)
                    }
                    Some(entry) if entry.0.takes_bootstrap() => {
                        bootstrap_write(context, entry, &path, format, body)
                    }
                    _ => Err(Code::NOT_FOUND),
                }
            },
        )
    }

    /// Bootstrap-Finish.
    fn finish(&mut self, turn: &mut Turn<'_, 'a>) -> Outcome {
        if !self.goes_on(turn.now) {
            return Code::METHOD_NOT_ALLOWED.into();
        }
        if !self.staged.is_consistent() || !self.staged.keys_are_usable(turn.now) {
            let at = turn.now.mono;
            self.phase = Phase::Refused { at };
            return Code::NOT_ACCEPTABLE.into();
        }
        #[cfg(feature = "oscore")]
        self.staged.forget_unused_contexts();
        let device = &mut *turn.device;
        self.phase = Phase::Storing;
        core::mem::swap(&mut self.staged, &mut device.accounts);
        device.storage.staged = true;
        device.storage.mark(ACCOUNTS);
        device.log.changed();
        Outcome::Wait {
            until: Until::Stored {
                records: 1 << ACCOUNTS,
            },
            answer: Answer::Finish { stored: true },
            part: None,
        }
    }

    /// The accounts are on flash, or could not be stored.
    pub(crate) fn stored(&mut self, ok: bool, device: &mut Device<'a>) -> Option<End> {
        if !matches!(self.phase, Phase::Storing) {
            return None;
        }
        device.storage.staged = false;
        if ok {
            self.failures = 0;
            self.phase = Phase::Operational;
            return Some(End::Stored);
        }
        core::mem::swap(&mut self.staged, &mut device.accounts);
        Some(End::Failed(BootstrapError::Flash))
    }
}
