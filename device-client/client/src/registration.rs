//! Registration at the management servers (LwM2M TS 1.1 §6.2): register, update in time, register
//! again when the server has forgotten, fall back to bootstrap when nobody answers.

use core::fmt::Write as _;
use core::net::SocketAddr;

use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, Reliability, Request, Token, content_format,
};

use crate::bootstrap::Phase;
use crate::client::Client;
use crate::link::{Link, Location, Registration, Role, back_off, instant, token};
use crate::objects;
use crate::observe::Observation;
use crate::platform::{Event, Now, Platform};

/// Attempts to register after which the client bootstraps again.
const MAX_ATTEMPTS: u8 = 6;

/// Text in a buffer of fixed size; too much is an error of `write!`.
pub(crate) struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> core::fmt::Write for Line<N> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let place = self
            .bytes
            .get_mut(self.len..self.len + s.len())
            .ok_or(core::fmt::Error)?;
        place.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

impl Client<'_> {
    /// A link for each management server of the accounts; all register.
    pub(crate) fn connect_servers(&mut self, now: Now, platform: &mut dyn Platform) {
        self.phase = Phase::Operational;
        self.observations.fill(Observation::EMPTY);
        let (_, servers) = self.peers.split_at_mut(1);
        for peer in servers.iter_mut() {
            peer.link = None;
        }
        for ((server, security), peer) in self.accounts.servers().zip(servers) {
            let role = Role::Server {
                instance: server.id,
                short_id: server.short_id,
            };
            let address = crate::uri::parse(security.uri.as_str());
            peer.link = address.map(|address| Link::new(address, role, now, platform));
        }
    }

    fn lifetime(&self, instance: u16) -> u32 {
        let server = self
            .accounts
            .server
            .iter()
            .flatten()
            .find(|s| s.id == instance);
        server.map_or(86_400, |s| s.lifetime)
    }

    pub(crate) fn nothing_registered(&self) -> bool {
        self.peers.iter().filter_map(|p| p.link.as_ref()).all(|l| {
            !matches!(
                l.registration,
                Registration::Registered { .. }
                    | Registration::Updating { .. }
                    | Registration::Leaving { .. }
            )
        })
    }

    /// Sends the Bootstrap-Request, Register, Update or De-register that is due.
    pub(crate) fn poll_requests(
        &mut self,
        now: Now,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        if let Some(sent) = self.send_bootstrap_request(now, buf, platform) {
            return Some(sent);
        }
        if !matches!(self.phase, Phase::Operational) {
            return None;
        }
        for peer in 0..self.peers.len() {
            let Some(link) = self.peers[peer].link.as_ref() else {
                continue;
            };
            let Role::Server { instance, .. } = link.role else {
                continue;
            };
            let sent = match link.registration {
                Registration::Due { at, attempts } if at <= now.mono && !self.stopping => {
                    self.send_register(now, peer, instance, attempts, buf, platform)
                }
                Registration::Registered { location, .. } if self.stopping => {
                    let token = token(platform);
                    let sent = self.send(now, peer, Code::DELETE, token, buf, |b| {
                        location_path(b, &location)
                    });
                    if sent.is_some() {
                        self.set_registration(peer, Registration::Leaving { token });
                    }
                    sent
                }
                Registration::Registered {
                    location,
                    update_at,
                } if update_at <= now.mono => {
                    self.send_update(now, peer, instance, location, buf, platform)
                }
                _ => None,
            };
            if sent.is_some() {
                return sent;
            }
            self.postpone(now, peer);
        }
        None
    }

    /// What is due and could not be sent is tried again in a second.
    fn postpone(&mut self, now: Now, peer: usize) {
        let Some(link) = self.peers.get_mut(peer).and_then(|p| p.link.as_mut()) else {
            return;
        };
        match &mut link.registration {
            Registration::Due { at, .. } | Registration::Registered { update_at: at, .. }
                if *at <= now.mono =>
            {
                *at = now.mono + 1_000;
            }
            _ => {}
        }
    }

    fn set_registration(&mut self, peer: usize, registration: Registration) {
        if let Some(link) = self.peers.get_mut(peer).and_then(|p| p.link.as_mut()) {
            link.registration = registration;
        }
    }

    /// Sends a confirmable request; none if the endpoint is busy.
    pub(crate) fn send(
        &mut self,
        now: Now,
        peer: usize,
        code: Code,
        token: Token,
        buf: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Option<(SocketAddr, usize)> {
        let link = self.peers.get_mut(peer)?.link.as_mut()?;
        let request = Request {
            code,
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let len = link
            .coap
            .start_request(instant(now), request, buf, build)
            .ok()?;
        Some((link.address, len))
    }

    fn send_register(
        &mut self,
        now: Now,
        peer: usize,
        instance: u16,
        attempts: u8,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let token = token(platform);
        let mut links = Line::<512>::new();
        objects::write_links(self, &mut links).ok()?;
        let mut ep = Line::<68>::new();
        write!(ep, "ep={}", self.config.endpoint).ok()?;
        let mut lt = Line::<16>::new();
        let lifetime = self.lifetime(instance);
        write!(lt, "lt={lifetime}").ok()?;
        let sent = self.send(now, peer, Code::POST, token, buf, |b| {
            b.option(OptionNumber::URI_PATH, b"rd")?;
            b.uint(
                OptionNumber::CONTENT_FORMAT,
                u32::from(content_format::LINK_FORMAT),
            )?;
            b.option(OptionNumber::URI_QUERY, ep.as_bytes())?;
            b.option(OptionNumber::URI_QUERY, lt.as_bytes())?;
            b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1")?;
            b.option(OptionNumber::URI_QUERY, b"b=U")?;
            b.payload(links.as_bytes())?;
            Ok(())
        });
        if sent.is_some() {
            self.set_registration(
                peer,
                Registration::Registering {
                    token,
                    attempts,
                    lifetime,
                },
            );
        }
        sent
    }

    fn send_update(
        &mut self,
        now: Now,
        peer: usize,
        instance: u16,
        location: Location,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let token = token(platform);
        let mut lt = Line::<16>::new();
        let lifetime = self.lifetime(instance);
        write!(lt, "lt={lifetime}").ok()?;
        let sent = self.send(now, peer, Code::POST, token, buf, |b| {
            location_path(b, &location)?;
            b.option(OptionNumber::URI_QUERY, lt.as_bytes())?;
            Ok(())
        });
        if sent.is_some() {
            self.set_registration(
                peer,
                Registration::Updating {
                    token,
                    location,
                    lifetime,
                },
            );
        }
        sent
    }

    /// The answer, or its absence, to a Register, Update or De-register.
    pub(crate) fn registration_response(
        &mut self,
        now: Now,
        peer: usize,
        token: Token,
        message: Option<&Message<'_>>,
        platform: &mut dyn Platform,
    ) {
        let Some(link) = self.peers.get(peer).and_then(|p| p.link.as_ref()) else {
            return;
        };
        let Role::Server { instance, short_id } = link.role else {
            return;
        };
        let code = message.map(Message::code);
        // Three quarters of the lifetime leave time for a lost Update and its repetitions. One that
        // was written meanwhile has to be told now.
        let wanted = self.lifetime(instance);
        let update_at = |told: u32| {
            let wait = if told == wanted {
                u64::from(told) * 750
            } else {
                0
            };
            now.mono + wait
        };
        match link.registration {
            Registration::Registering {
                token: t,
                attempts,
                lifetime,
            } if t == token => {
                let location = message
                    .filter(|m| m.code() == Code::CREATED)
                    .and_then(read_location);
                if let Some(location) = location {
                    self.forget_observations(peer);
                    self.set_registration(
                        peer,
                        Registration::Registered {
                            location,
                            update_at: update_at(lifetime),
                        },
                    );
                    self.event(Event::Registered { server: short_id });
                } else {
                    self.registration_failed(now, peer, short_id, code, attempts + 1, platform);
                }
            }
            Registration::Updating {
                token: t,
                location,
                lifetime,
            } if t == token => match code {
                Some(Code::CHANGED) => {
                    self.set_registration(
                        peer,
                        Registration::Registered {
                            location,
                            update_at: update_at(lifetime),
                        },
                    );
                }
                // The server has forgotten us (4.04), or does not hear us: register again now.
                _ => self.set_registration(
                    peer,
                    Registration::Due {
                        at: now.mono,
                        attempts: 0,
                    },
                ),
            },
            Registration::Leaving { token: t } if t == token => {
                self.set_registration(peer, Registration::Gone);
                self.forget_observations(peer);
                self.event(Event::Deregistered { server: short_id });
            }
            _ => {}
        }
    }

    fn registration_failed(
        &mut self,
        now: Now,
        peer: usize,
        server: u16,
        code: Option<Code>,
        attempts: u8,
        platform: &mut dyn Platform,
    ) {
        let wait = back_off(attempts, platform);
        let code = code.map_or(0, Code::byte);
        self.event(Event::RegistrationFailed {
            server,
            code,
            retry_s: (wait / 1000) as u32,
        });
        if attempts >= MAX_ATTEMPTS {
            self.start_bootstrap(now, 0, platform);
            return;
        }
        self.set_registration(
            peer,
            Registration::Due {
                at: now.mono + wait,
                attempts,
            },
        );
    }

    /// Execute /1/x/8: the Update goes out with the next poll.
    pub(crate) fn trigger_update(&mut self, now: Now, instance_wanted: u16) {
        for peer in self.peers.iter_mut() {
            let Some(link) = peer.link.as_mut() else {
                continue;
            };
            let Role::Server { instance, .. } = link.role else {
                continue;
            };
            if let Registration::Registered { update_at, .. } = &mut link.registration
                && instance == instance_wanted
            {
                *update_at = now.mono;
            }
        }
    }
}

fn location_path(b: &mut Builder<'_>, location: &Location) -> Result<(), BuildError> {
    for segment in location.as_str().split('/') {
        b.option(OptionNumber::URI_PATH, segment.as_bytes())?;
    }
    Ok(())
}

/// None if the server gave no location, or one that is too long to keep.
fn read_location(message: &Message<'_>) -> Option<Location> {
    let mut line = Line::<64>::new();
    for (i, segment) in message.location_path().enumerate() {
        if i > 0 {
            line.write_str("/").ok()?;
        }
        line.write_str(core::str::from_utf8(segment).ok()?).ok()?;
    }
    let text = core::str::from_utf8(line.as_bytes()).ok()?;
    Location::new(text).filter(|l| !l.as_str().is_empty())
}
