//! Registration at a management server (LwM2M TS 1.1 §6.2): register, update in time, register
//! again when the server has forgotten.

use core::net::SocketAddr;

use lwm2m_objects::decimal::Decimal;
use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, SendError, Token, content_format,
};

use super::{Location, Next, Registration, Session, add_query, add_text};
use crate::device::Device;
use crate::event::Event;
use crate::handler::Origin;
use crate::object::View;
use crate::objects::{Objects, Tree};
use crate::platform::{Now, Platform, back_off, token};

/// Attempts to register after which a server counts as failing.
const MAX_ATTEMPTS: u8 = 6;

/// What a server is sent.
#[derive(Clone, Copy)]
enum What {
    Register,
    Update,
    Deregister,
}

impl Session<'_> {
    /// The server may have to be told that the client is leaving.
    pub(crate) fn is_registered(&self) -> bool {
        self.link()
            .is_some_and(|l| matches!(l.registration, Registration::Registered { .. }))
    }

    /// The server has not taken a Register for a while; none if there is no server.
    pub(crate) fn is_failing(&self) -> Option<bool> {
        Some(self.link()?.failures >= MAX_ATTEMPTS)
    }

    /// Sends the Register, Update or De-register that is due.
    pub(crate) fn poll_registration(
        &mut self,
        now: Now,
        stopping: bool,
        objects: Objects<'_>,
        device: &mut Device<'_>,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let link = self.link()?;
        let Origin::Server { instance, short_id } = link.origin else {
            return None;
        };
        let changed = link.told_instances != device.log.instances;
        let (what, location) = match link.registration {
            Registration::Due { at } if at <= now.mono && !stopping => (What::Register, None),
            Registration::Registered {
                location,
                next: Next::UpdateAt(at),
            } => match stopping {
                true => (What::Deregister, Some(location)),
                false if at <= now.mono || changed => (What::Update, Some(location)),
                false => return None,
            },
            _ => return None,
        };
        let token = token(platform);
        let view = View {
            now,
            device,
            platform,
        };
        match self.send(what, location, instance, token, Tree { objects, view }, out) {
            Ok(sent) => return Some(sent),
            // What is due and could not be sent is tried again in a second.
            Err(SendError::Busy) => self.postpone(now),
            // There are more objects than a message can list.
            Err(_) => {
                let code = Some(Code::REQUEST_ENTITY_TOO_LARGE);
                self.registration_failed(now, short_id, code, device, platform);
            }
        }
        None
    }

    fn postpone(&mut self, now: Now) {
        if let Some(
            Registration::Due { at }
            | Registration::Registered {
                next: Next::UpdateAt(at),
                ..
            },
        ) = self.link_mut().map(|l| &mut l.registration)
        {
            *at = now.mono + 1_000;
        }
    }

    fn send(
        &mut self,
        what: What,
        location: Option<Location>,
        instance: u16,
        token: Token,
        tree: Tree<'_>,
        out: &mut [u8],
    ) -> Result<(SocketAddr, usize), SendError> {
        let View { now, device, .. } = tree.view;
        let lifetime = lifetime(device, instance);
        let link = self.link_mut().ok_or(SendError::Busy)?;
        let (code, lists) = match what {
            What::Register => (Code::POST, true),
            What::Update => (Code::POST, link.told_instances != device.log.instances),
            What::Deregister => (Code::DELETE, false),
        };
        let sent = link.request(now, code, token, out, &mut |b| {
            match &location {
                None => drop(b.option(OptionNumber::URI_PATH, b"rd")?),
                Some(location) => add_location(b, location)?,
            }
            if lists {
                let format = u32::from(content_format::LINK_FORMAT);
                b.uint(OptionNumber::CONTENT_FORMAT, format)?;
            }
            if matches!(what, What::Register) {
                add_query(b, b"ep=", device.config.endpoint.as_bytes())?;
            }
            if !matches!(what, What::Deregister) {
                add_query(b, b"lt=", Decimal::of(lifetime.into()).as_bytes())?;
            }
            if matches!(what, What::Register) {
                add_query(b, b"lwm2m=", b"1.1")?;
                add_query(b, b"b=", b"U")?;
            }
            if lists { add_links(b, &tree) } else { Ok(()) }
        })?;
        link.told_instances = device.log.instances;
        match &mut link.registration {
            Registration::Registered { next, .. } => {
                *next = match what {
                    What::Deregister => Next::Leaving { token },
                    _ => Next::Updating { token, lifetime },
                };
            }
            registration => *registration = Registration::Registering { token, lifetime },
        }
        Ok(sent)
    }

    /// The answer, or its absence, to a Register, Update or De-register.
    pub(crate) fn registration_response(
        &mut self,
        now: Now,
        token: Token,
        message: Option<&Message<'_>>,
        device: &mut Device<'_>,
        platform: &mut dyn Platform,
    ) {
        let Some(link) = self.link_mut() else {
            return;
        };
        let Origin::Server { instance, short_id } = link.origin else {
            return;
        };
        let code = message.map(Message::code);
        // Three quarters of the lifetime leave time for a lost Update and its repetitions. One that
        // was written meanwhile has to be told now.
        let wanted = lifetime(device, instance);
        let update_at = |told: u32| {
            let wait = if told == wanted {
                u64::from(told) * 750
            } else {
                0
            };
            now.mono + wait
        };
        match &mut link.registration {
            Registration::Registering { token: t, lifetime } if *t == token => {
                let next = Next::UpdateAt(update_at(*lifetime));
                let created = message.filter(|m| m.code() == Code::CREATED);
                let Some(location) = created.and_then(read_location) else {
                    self.registration_failed(now, short_id, code, device, platform);
                    return;
                };
                link.failures = 0;
                link.registration = Registration::Registered { location, next };
                self.forget_observations();
                device.log.event(Event::Registered { server: short_id });
            }
            Registration::Registered { next, .. } => match *next {
                Next::Updating { token: t, lifetime } if t == token => match code {
                    Some(Code::CHANGED) => *next = Next::UpdateAt(update_at(lifetime)),
                    // The server has forgotten us (4.04), or does not hear us: register again now.
                    _ => link.registration = Registration::Due { at: now.mono },
                },
                Next::Leaving { token: t } if t == token => {
                    link.registration = Registration::Gone;
                    self.forget_observations();
                    device.log.event(Event::Deregistered { server: short_id });
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn registration_failed(
        &mut self,
        now: Now,
        server: u16,
        code: Option<Code>,
        device: &mut Device<'_>,
        platform: &mut dyn Platform,
    ) {
        let Some(link) = self.link_mut() else {
            return;
        };
        link.failures = link.failures.saturating_add(1);
        let wait = back_off(link.failures, platform);
        link.registration = Registration::Due {
            at: now.mono + wait,
        };
        device.log.event(Event::RegistrationFailed {
            server,
            code: code.map_or(0, Code::byte),
            retry_s: (wait / 1000) as u32,
        });
    }

    /// Execute /1/x/8: the Update goes out with the next poll.
    pub(crate) fn trigger_update(&mut self, now: Now, wanted: u16) {
        let Some(link) = self.link_mut() else {
            return;
        };
        let Origin::Server { instance, .. } = link.origin else {
            return;
        };
        if let Registration::Registered {
            next: Next::UpdateAt(at),
            ..
        } = &mut link.registration
            && instance == wanted
        {
            *at = now.mono;
        }
    }
}

fn lifetime(device: &Device<'_>, instance: u16) -> u32 {
    let server = device.accounts.server(instance);
    server.map_or(86_400, |s| s.lifetime)
}

fn add_links(b: &mut Builder<'_>, tree: &Tree<'_>) -> Result<(), BuildError> {
    add_text(b, &mut |sink| tree.write_links(sink))
}

fn add_location(b: &mut Builder<'_>, location: &Location) -> Result<(), BuildError> {
    for segment in location.as_str().as_bytes().split(|byte| *byte == b'/') {
        b.option(OptionNumber::URI_PATH, segment)?;
    }
    Ok(())
}

/// None if the server gave no location, or one that is too long to keep.
fn read_location(message: &Message<'_>) -> Option<Location> {
    let mut text = Location::EMPTY;
    for (i, segment) in message.location_path().enumerate() {
        if i > 0 {
            text.push("/")?;
        }
        text.push(core::str::from_utf8(segment).ok()?)?;
    }
    Some(text).filter(|l| !l.as_str().is_empty())
}
