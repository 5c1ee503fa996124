//! Registration at a management server (LwM2M TS 1.1 §6.2): register, update in time, register
//! again when the server has forgotten.

use core::net::SocketAddr;

use lwm2m_objects::decimal::Decimal;
use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, SendError, Token, content_format,
};

use super::list::{self, List, Said};
use super::{Link, Location, Next, Registration, Session, add_query, add_text};
use crate::device::Device;
use crate::event::Event;
use crate::handler::Origin;
use crate::object::View;
use crate::objects::{Objects, Tree};
use crate::platform::{Now, Platform, back_off, token};

/// Attempts to register after which a server counts as failing.
const MAX_ATTEMPTS: u8 = 6;

/// The longest that a server may ask to be left alone, in seconds.
const LONGEST_WAIT_S: u32 = 86_400;

impl Link {
    /// Whether the server has been quiet for too long. An update that has ended needs it no more.
    fn is_quiet(&mut self, now: Now, update_is_under_way: bool) -> bool {
        self.quiet
            .take_if(|quiet| !update_is_under_way && !quiet.repeated);
        self.quiet.is_some_and(|quiet| quiet.at <= now.mono)
    }
}

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
        let link = self.link_mut()?;
        let Origin::Server { instance, short_id } = link.origin else {
            return None;
        };
        if let Registration::Due { at } = &mut link.registration
            && let Some(seconds) = link.disabled_s.take()
        {
            *at = now.mono + u64::from(seconds) * 1000;
        }
        let changed = link.told_instances != device.log.instances;
        let is_quiet = link.is_quiet(now, device.update.state.is_under_way());
        let leaves = stopping || link.disabled_s.is_some();
        let goes_on = link.list.as_ref().is_some_and(|list| list.is_due(now));
        let (what, location) = match link.registration {
            Registration::Due { at } if at <= now.mono && !stopping => (What::Register, None),
            Registration::Registering { .. } if goes_on => (What::Register, None),
            Registration::Registered { location, next } => {
                let what = match next {
                    Next::UpdateAt(_) | Next::UpdateAfter(_) if leaves => What::Deregister,
                    Next::UpdateAt(at) if at <= now.mono || changed || is_quiet => What::Update,
                    Next::UpdateAfter(at) if at <= now.mono => What::Update,
                    Next::Updating { .. } if goes_on => What::Update,
                    _ => return None,
                };
                (what, Some(location))
            }
            _ => return None,
        };
        if !link.reach(now, device.accounts, platform) {
            return None;
        }
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
            // The board's buffer is too small.
            Err(_) => {
                let code = Some(Code::REQUEST_ENTITY_TOO_LARGE);
                self.registration_failed(now, short_id, code, device, platform);
            }
        }
        None
    }

    fn postpone(&mut self, now: Now) {
        let Some(link) = self.link_mut() else {
            return;
        };
        let soon = now.mono + 1_000;
        match &mut link.registration {
            Registration::Due { at }
            | Registration::Registered {
                next: Next::UpdateAt(at) | Next::UpdateAfter(at),
                ..
            } => *at = soon,
            _ => {
                if let Some(list) = &mut link.list {
                    list.due = Some(soon);
                }
            }
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
        let link = self.link_mut().ok_or(SendError::Busy)?;
        // A list that is not true any more begins anew.
        let changed = link.told_instances != device.log.instances;
        link.list.take_if(|list| changed || list.due.is_none());
        let (code, lists) = match what {
            What::Register => (Code::POST, true),
            What::Update => (Code::POST, changed || link.list.is_some()),
            What::Deregister => (Code::DELETE, false),
        };
        let said = match &link.list {
            Some(list) => list.said,
            None => Said {
                lifetime: lifetime(device, instance),
                binding: matches!(what, What::Register) || link.tells_binding,
            },
        };
        if lists && link.list.is_none() {
            link.list = List::of(&tree, said);
        }
        let block = link.list.as_ref().map(|list| list.blocks.next_block());
        let Said { lifetime, binding } = said;
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
            }
            if binding && !matches!(what, What::Deregister) {
                add_query(b, b"b=", b"U")?;
            }
            match block {
                Some(block) => list::add_block(b, &tree, &block),
                None if lists => add_text(b, &mut |sink| tree.write_links(sink)),
                None => Ok(()),
            }
        })?;
        link.told_instances = device.log.instances;
        link.tells_binding = false;
        link.quiet = link.quiet.and_then(|quiet| quiet.next(now));
        if let Some(list) = &mut link.list {
            list.due = None;
        }
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
        let Some(told) = link.registration.told(token) else {
            self.left(now, token, short_id, device);
            return;
        };
        match link.list.as_mut().map(|list| list.next(now, message)) {
            Some(true) => return,
            _ => link.list = None,
        }
        // Three quarters of the lifetime leave time for a lost Update and its repetitions. One that
        // was written meanwhile has to be told now.
        let wait = match told == lifetime(device, instance) {
            true => u64::from(told) * 750,
            false => 0,
        };
        let next = Next::UpdateAt(now.mono + wait);
        let later = message.and_then(asks_to_wait);
        let created = message.filter(|m| m.code() == Code::CREATED);
        match &mut link.registration {
            Registration::Registered { next: updating, .. } => match (code, later) {
                (Some(Code::CHANGED), _) => *updating = next,
                (_, Some(wait)) => {
                    *updating = Next::UpdateAfter(now.mono + wait);
                    // What it was to be told it does not know.
                    link.told_instances = device.log.instances.wrapping_sub(1);
                }
                // The server has forgotten us (4.04), or does not hear us: register again now.
                _ => link.registration = Registration::Due { at: now.mono },
            },
            registration => match (created.and_then(read_location), later) {
                (Some(location), _) => {
                    link.failures = 0;
                    *registration = Registration::Registered { location, next };
                    self.forget_observations();
                    device.log.event(Event::Registered { server: short_id });
                }
                (None, Some(wait)) => self.register_after(now, wait, short_id, code, device),
                (None, None) => self.registration_failed(now, short_id, code, device, platform),
            },
        }
    }

    /// The answer to a De-register, or none.
    fn left(&mut self, now: Now, token: Token, server: u16, device: &mut Device<'_>) {
        let Some(link) = self.link_mut() else {
            return;
        };
        let Registration::Registered {
            next: Next::Leaving { token: ours },
            ..
        } = link.registration
        else {
            return;
        };
        if ours != token {
            return;
        }
        link.registration = match link.disabled_s.take() {
            Some(seconds) => Registration::Due {
                at: now.mono + u64::from(seconds) * 1000,
            },
            None => Registration::Gone,
        };
        self.forget_observations();
        device.log.event(Event::Deregistered { server });
    }

    /// The request with this token is to be sent once more.
    #[cfg(feature = "oscore")]
    pub(crate) fn ask_again(&mut self, now: Now, ours: Token, instances: u32) {
        let Some(link) = self.link_mut() else {
            return;
        };
        if link.registration.told(ours).is_none() {
            if let Registration::Registered { next, .. } = &mut link.registration
                && matches!(next, Next::Leaving { token } if *token == ours)
            {
                *next = Next::UpdateAt(now.mono);
            }
            return;
        }
        if let Some(list) = &mut link.list {
            list.due = Some(now.mono);
            return;
        }
        match &mut link.registration {
            Registration::Registered { next, .. } => {
                *next = Next::UpdateAt(now.mono);
                // What it was to be told it does not know.
                link.told_instances = instances.wrapping_sub(1);
                link.tells_binding = true;
            }
            registration => *registration = Registration::Due { at: now.mono },
        }
    }

    /// The server has other keys than before, and may have lost more than those.
    #[cfg(feature = "oscore")]
    pub(crate) fn register_anew(&mut self, now: Now) {
        self.forget_observations();
        if let Some(link) = self.link_mut()
            && let Registration::Registered { .. } = link.registration
        {
            link.registration = Registration::Due { at: now.mono };
            link.list = None;
        }
    }

    /// There is no way to the server.
    #[cfg(feature = "dtls")]
    pub(crate) fn unreachable(
        &mut self,
        now: Now,
        device: &mut Device<'_>,
        platform: &mut dyn Platform,
    ) {
        if let Some(Origin::Server { short_id, .. }) = self.link().map(|link| link.origin) {
            self.registration_failed(now, short_id, None, device, platform);
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
        self.register_after(now, wait, server, code, device);
    }

    fn register_after(
        &mut self,
        now: Now,
        wait: u64,
        server: u16,
        code: Option<Code>,
        device: &mut Device<'_>,
    ) {
        if let Some(link) = self.link_mut() {
            link.registration = Registration::Due {
                at: now.mono + wait,
            };
        }
        device.log.event(Event::RegistrationFailed {
            server,
            code: code.map_or(0, Code::byte),
            retry_s: (wait / 1000) as u32,
        });
    }

    /// Execute /1/x/8, or what an Update tells was written: it goes out with the next poll.
    pub(crate) fn trigger_update(&mut self, now: Now, wanted: u16, binding: bool) {
        let Some(link) = self.link_of(wanted) else {
            return;
        };
        link.tells_binding |= binding;
        if let Registration::Registered {
            next: next @ (Next::UpdateAt(_) | Next::UpdateAfter(_)),
            ..
        } = &mut link.registration
        {
            *next = Next::UpdateAt(now.mono);
        }
    }

    /// Execute /1/x/4: the De-register goes out with the next poll, and after so many seconds a
    /// Register.
    pub(crate) fn disable(&mut self, wanted: u16, seconds: u32) {
        if let Some(link) = self.link_of(wanted) {
            link.disabled_s = Some(seconds);
        }
    }

    /// The link to the server with this instance of object 1.
    fn link_of(&mut self, wanted: u16) -> Option<&mut Link> {
        let is_it = |link: &&mut Link| matches!(link.origin, Origin::Server { instance, .. } if instance == wanted);
        self.link_mut().filter(is_it)
    }
}

impl Registration {
    /// The lifetime of the Register or Update with this token.
    fn told(&self, ours: Token) -> Option<u32> {
        match *self {
            Self::Registering { token, lifetime }
            | Self::Registered {
                next: Next::Updating { token, lifetime },
                ..
            } if token == ours => Some(lifetime),
            _ => None,
        }
    }
}

fn lifetime(device: &Device<'_>, instance: u16) -> u32 {
    let server = device.accounts.server(instance);
    server.map_or(86_400, |s| s.lifetime)
}

/// A 5.03 that says when to ask again (RFC 7252 §5.9.3.4): milliseconds.
pub(crate) fn asks_to_wait(message: &Message<'_>) -> Option<u64> {
    let is_busy = message.code() == Code::SERVICE_UNAVAILABLE;
    let seconds = message.max_age().filter(|_| is_busy)?;
    Some(u64::from(seconds.clamp(1, LONGEST_WAIT_S)) * 1000)
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
