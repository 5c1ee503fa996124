//! Client-initiated bootstrap (LwM2M TS 1.1 §6.1): what the bootstrap server writes is staged, and
//! swapped in one step at its Finish.
//!
//! ```text
//!   Waiting --request--> Requested --2.04--> Running --Finish, consistent--> Storing --> Operational
//!      ^                     |                  |                               |
//!      +---- no answer, error, silence, inconsistent, flash failure (back-off) -+
//! ```

use core::fmt::Write as _;
use core::net::SocketAddr;

use lwm2m_objects::format::{ContentFormat, FormatError, decode};
use lwm2m_objects::model::Builtin;
use lwm2m_objects::{Path, ids};
use tinsmith_coap::{Code, Message, OptionNumber, Token};

use crate::client::Client;
use crate::link::{Link, Role, back_off, token};
use crate::observe::Observation;
use crate::platform::{BODY, BootstrapError, Event, Now, Platform};
use crate::registration::Line;
use crate::storage::ACCOUNTS;
use crate::store::accounts::{AccountError, Accounts};

/// Milliseconds that the bootstrap server may be silent (EXCHANGE_LIFETIME).
const SILENCE_MS: u64 = 247_000;

/// What the client is about; times are monotonic milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Phase {
    /// Until the next Bootstrap-Request.
    Waiting { until: u64, attempts: u8 },
    /// The Bootstrap-Request is out.
    Requested {
        token: Token,
        attempts: u8,
        staged: Accounts,
    },
    /// The server writes.
    Running {
        staged: Accounts,
        silent_until: u64,
        attempts: u8,
    },
    /// The accounts were inconsistent at the Finish; the next poll ends the bootstrap.
    Refused { attempts: u8, at: u64 },
    /// Finished; the accounts are on their way to the flash. `old` comes back if that fails.
    Storing { old: Accounts, attempts: u8 },
    /// Management.
    Operational,
}

impl Phase {
    pub(crate) fn deadline(&self) -> Option<u64> {
        match self {
            Self::Waiting { until, .. } => Some(*until),
            Self::Running { silent_until, .. } => Some(*silent_until),
            Self::Refused { at, .. } => Some(*at),
            _ => None,
        }
    }
}

impl Client<'_> {
    /// Leaves the management servers alone and asks the bootstrap server.
    pub(crate) fn start_bootstrap(&mut self, now: Now, attempts: u8, platform: &mut dyn Platform) {
        self.observations.fill(Observation::EMPTY);
        for peer in self.peers.iter_mut() {
            peer.link = None;
        }
        let account = self.accounts.bootstrap();
        let uri = account.map_or(self.config.bootstrap_uri, |a| a.uri.as_str());
        let address = crate::uri::parse(uri);
        let address = address.or_else(|| crate::uri::parse(self.config.bootstrap_uri));
        let hold_off = account.map_or(0, |a| u64::from(a.hold_off) * 1000);
        self.peers[0].link = address.map(|a| Link::new(a, Role::Bootstrap, now, platform));
        let wait = if attempts == 0 {
            hold_off
        } else {
            back_off(attempts, platform)
        };
        self.phase = Phase::Waiting {
            until: now.mono + wait,
            attempts,
        };
        self.assembly = None;
        self.pending = self.pending.filter(|p| p.peer != 0);
    }

    fn bootstrap_failed(
        &mut self,
        now: Now,
        attempts: u8,
        reason: BootstrapError,
        platform: &mut dyn Platform,
    ) {
        self.start_bootstrap(now, attempts.saturating_add(1), platform);
        let mut wait = self
            .phase
            .deadline()
            .map_or(0, |until| until.saturating_sub(now.mono));
        if self.accounts.is_consistent() {
            // The servers known so far may be back before the bootstrap server is.
            self.connect_servers(now, platform);
            wait = 0;
        }
        self.event(Event::BootstrapFailed {
            reason,
            retry_s: (wait / 1000) as u32,
        });
    }

    pub(crate) fn send_bootstrap_request(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let Phase::Waiting { until, attempts } = self.phase else {
            return None;
        };
        if until > now.mono || self.stopping {
            return None;
        }
        let token = token(platform);
        let mut ep = Line::<68>::new();
        write!(ep, "ep={}", self.config.endpoint).ok()?;
        let sent = self.send(now, 0, Code::POST, token, buf, |b| {
            b.option(OptionNumber::URI_PATH, b"bs")?;
            b.option(OptionNumber::URI_QUERY, ep.as_bytes())?;
            b.option(OptionNumber::URI_QUERY, b"pct=112")?;
            Ok(())
        });
        let Some(sent) = sent else {
            self.phase = Phase::Waiting {
                until: now.mono + 1_000,
                attempts,
            };
            return None;
        };
        self.phase = Phase::Requested {
            token,
            attempts,
            staged: self.accounts,
        };
        self.event(Event::Bootstrapping);
        Some(sent)
    }

    /// The answer to the Bootstrap-Request; false if it is none.
    pub(crate) fn bootstrap_response(
        &mut self,
        now: Now,
        peer: usize,
        token: Token,
        message: Option<&Message<'_>>,
        platform: &mut dyn Platform,
    ) -> bool {
        let Phase::Requested {
            token: ours,
            attempts,
            staged,
        } = self.phase
        else {
            return false;
        };
        if peer != 0 || ours != token {
            return false;
        }
        match message.map(Message::code) {
            Some(Code::CHANGED) => {
                let silent_until = now.mono + SILENCE_MS;
                self.phase = Phase::Running {
                    staged,
                    silent_until,
                    attempts,
                };
            }
            Some(code) => {
                let reason = BootstrapError::Rejected(code.byte());
                self.bootstrap_failed(now, attempts, reason, platform);
            }
            None => self.bootstrap_failed(now, attempts, BootstrapError::TimedOut, platform),
        }
        true
    }

    pub(crate) fn poll_bootstrap(&mut self, now: Now, platform: &mut dyn Platform) {
        if core::mem::take(&mut self.bootstrap_wanted) {
            self.start_bootstrap(now, 0, platform);
        }
        if let Phase::Running {
            silent_until,
            attempts,
            ..
        } = self.phase
            && silent_until <= now.mono
        {
            self.bootstrap_failed(now, attempts, BootstrapError::TimedOut, platform);
        }
        if let Phase::Refused { attempts, .. } = self.phase {
            self.bootstrap_failed(now, attempts, BootstrapError::Inconsistent, platform);
        }
    }

    /// The accounts as the bootstrap server sees them, while it may change them.
    ///
    /// Its first request may overtake the answer to the Bootstrap-Request.
    fn staged(&mut self, now: Now) -> Option<&mut Accounts> {
        if let Phase::Requested {
            staged, attempts, ..
        } = self.phase
        {
            self.phase = Phase::Running {
                staged,
                silent_until: 0,
                attempts,
            };
        }
        match &mut self.phase {
            Phase::Running {
                staged,
                silent_until,
                ..
            } => {
                *silent_until = now.mono + SILENCE_MS;
                Some(staged)
            }
            _ => None,
        }
    }

    /// The bootstrap server may ask and change.
    pub(crate) fn bootstrap_goes_on(&mut self, now: Now) -> bool {
        self.staged(now).is_some()
    }

    pub(crate) fn staged_accounts(&self) -> &Accounts {
        match &self.phase {
            Phase::Requested { staged, .. } | Phase::Running { staged, .. } => staged,
            _ => &self.accounts,
        }
    }

    /// Bootstrap-Delete.
    pub(crate) fn bootstrap_delete(&mut self, now: Now, path: &Path) -> Code {
        let Some(staged) = self.staged(now) else {
            return Code::METHOD_NOT_ALLOWED;
        };
        if staged.delete(path) {
            return Code::DELETED;
        }
        // Device and the bootstrap account can't be deleted (TS 6.1.7.6); the rest does not come
        // from a bootstrap.
        Code::BAD_REQUEST
    }

    /// Bootstrap-Write of an object, an instance or a resource.
    pub(crate) fn bootstrap_write(
        &mut self,
        now: Now,
        path: &Path,
        format: ContentFormat,
        payload: &[u8],
    ) -> Code {
        let Some(staged) = self.staged(now) else {
            return Code::METHOD_NOT_ALLOWED;
        };
        if !matches!(
            path.object_id(),
            Some(ids::LWM2M_SECURITY | ids::LWM2M_SERVER)
        ) {
            return Code::NOT_FOUND;
        }
        let mut new = *staged;
        let mut scratch = [0; BODY];
        let mut created: [Option<u16>; 4] = [None; 4];
        let mut failed = None;
        let mut create = |new: &mut Accounts, target: &Path| -> Result<(), AccountError> {
            let (Some(object), Some(id)) = (target.object_id(), target.instance_id()) else {
                return Err(AccountError::Value);
            };
            if created.contains(&Some(id)) {
                return Ok(());
            }
            let free = created
                .iter_mut()
                .find(|c| c.is_none())
                .ok_or(AccountError::Full)?;
            *free = Some(id);
            new.create(object, id)
        };
        if path.depth() == 2 && create(&mut new, path).is_err() {
            return Code::BAD_REQUEST;
        }
        let decoded = decode(
            format,
            path,
            payload,
            &Builtin,
            &mut scratch,
            &mut |record| {
                if failed.is_some() {
                    return Ok(());
                }
                let made = if path.depth() <= 2 {
                    create(&mut new, &record.path)
                } else {
                    Ok(())
                };
                failed = made
                    .and_then(|()| new.set(&record.path, record.value))
                    .err();
                Ok(())
            },
        );
        if let Err(error) = decoded {
            return format_code(error);
        }
        if failed.is_some() {
            return Code::BAD_REQUEST;
        }
        new.keep_bootstrap_account(staged);
        *staged = new;
        Code::CHANGED
    }

    /// Bootstrap-Finish: true if the answer has to wait for the flash.
    pub(crate) fn bootstrap_finish(&mut self, now: Now) -> Result<(), Code> {
        if self.staged(now).is_none() {
            return Err(Code::METHOD_NOT_ALLOWED);
        }
        let Phase::Running {
            staged, attempts, ..
        } = self.phase
        else {
            return Err(Code::METHOD_NOT_ALLOWED);
        };
        if !staged.is_consistent() {
            let at = now.mono;
            self.phase = Phase::Refused { attempts, at };
            return Err(Code::NOT_ACCEPTABLE);
        }
        self.phase = Phase::Storing {
            old: self.accounts,
            attempts,
        };
        self.accounts = staged;
        self.storage.mark(ACCOUNTS);
        self.changed();
        Ok(())
    }

    /// The accounts are on flash, or could not be stored.
    pub(crate) fn bootstrap_stored(&mut self, now: Now, code: Code, platform: &mut dyn Platform) {
        let Phase::Storing { old, attempts } = self.phase else {
            return;
        };
        if code.is_success() {
            self.event(Event::Bootstrapped);
            self.connect_servers(now, platform);
        } else {
            self.accounts = old;
            self.bootstrap_failed(now, attempts, BootstrapError::Flash, platform);
        }
    }
}

/// The code for a payload that can't be decoded.
pub(crate) fn format_code(error: FormatError) -> Code {
    match error {
        FormatError::UnsupportedFormat(_) => Code::UNSUPPORTED_CONTENT_FORMAT,
        _ => Code::BAD_REQUEST,
    }
}
