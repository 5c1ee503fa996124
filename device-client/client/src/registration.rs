//! Registration at a management server (LwM2M TS 1.1 §6.2): register, update in time, register
//! again when the server has forgotten.

use core::fmt::Write as _;
use core::net::SocketAddr;

use tinsmith_coap::{
    BuildError, Builder, Code, Message, OptionNumber, SendError, Token, content_format,
};

use crate::device::Device;
use crate::object::{Origin, View};
use crate::objects::links::write_links;
use crate::platform::{Event, Now, Platform};
use crate::session::{Location, Registration, Session, back_off, token};
use crate::text::{Line, Text};

/// Attempts to register after which a server counts as failing.
const MAX_ATTEMPTS: u8 = 6;

impl Session<'_> {
    /// The server may have to be told that the client is leaving.
    pub(crate) fn is_registered(&self) -> bool {
        self.link().is_some_and(|l| {
            matches!(
                l.registration,
                Registration::Registered { .. }
                    | Registration::Updating { .. }
                    | Registration::Leaving { .. }
            )
        })
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
        device: &mut Device<'_>,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Option<(SocketAddr, usize)> {
        let link = self.link()?;
        let Origin::Server { instance, short_id } = link.origin else {
            return None;
        };
        let changed = link.told_instances != device.log.instances;
        let sent = match link.registration {
            Registration::Due { at } if at <= now.mono && !stopping => {
                self.send_register(now, instance, device, out, platform)
            }
            Registration::Registered { location, .. } if stopping => {
                self.send_deregister(now, location, out, platform)
            }
            Registration::Registered {
                location,
                update_at,
            } if update_at <= now.mono || changed => {
                self.send_update(now, instance, location, device, out, platform)
            }
            _ => return None,
        };
        match sent {
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
        let registration = self.link_mut().map(|l| &mut l.registration);
        if let Some(Registration::Due { at } | Registration::Registered { update_at: at, .. }) =
            registration
        {
            *at = now.mono + 1_000;
        }
    }

    fn set(&mut self, registration: Registration) {
        if let Some(link) = self.link_mut() {
            link.registration = registration;
        }
    }

    fn send_register(
        &mut self,
        now: Now,
        instance: u16,
        device: &Device<'_>,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Result<(SocketAddr, usize), SendError> {
        let token = token(platform);
        let lifetime = lifetime(device, instance);
        let view = View {
            now,
            device,
            platform,
        };
        let link = self.link_mut().ok_or(SendError::Busy)?;
        let sent = link.request(now, Code::POST, token, out, &mut |b| {
            b.option(OptionNumber::URI_PATH, b"rd")?;
            add_links_format(b)?;
            add_query(b, format_args!("ep={}", device.config.endpoint))?;
            add_query(b, format_args!("lt={lifetime}"))?;
            add_query(b, format_args!("lwm2m=1.1"))?;
            add_query(b, format_args!("b=U"))?;
            add_links(b, &view)
        })?;
        link.told_instances = device.log.instances;
        self.set(Registration::Registering { token, lifetime });
        Ok(sent)
    }

    fn send_update(
        &mut self,
        now: Now,
        instance: u16,
        location: Location,
        device: &Device<'_>,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Result<(SocketAddr, usize), SendError> {
        let token = token(platform);
        let lifetime = lifetime(device, instance);
        let view = View {
            now,
            device,
            platform,
        };
        let link = self.link_mut().ok_or(SendError::Busy)?;
        let changed = link.told_instances != device.log.instances;
        let sent = link.request(now, Code::POST, token, out, &mut |b| {
            add_location(b, &location)?;
            if changed {
                add_links_format(b)?;
            }
            add_query(b, format_args!("lt={lifetime}"))?;
            if changed { add_links(b, &view) } else { Ok(()) }
        })?;
        link.told_instances = device.log.instances;
        self.set(Registration::Updating {
            token,
            location,
            lifetime,
        });
        Ok(sent)
    }

    fn send_deregister(
        &mut self,
        now: Now,
        location: Location,
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Result<(SocketAddr, usize), SendError> {
        let token = token(platform);
        let link = self.link_mut().ok_or(SendError::Busy)?;
        let sent = link.request(now, Code::DELETE, token, out, &mut |b| {
            add_location(b, &location)
        })?;
        self.set(Registration::Leaving { token });
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
        match link.registration {
            Registration::Registering { token: t, lifetime } if t == token => {
                let created = message.filter(|m| m.code() == Code::CREATED);
                let Some(location) = created.and_then(read_location) else {
                    self.registration_failed(now, short_id, code, device, platform);
                    return;
                };
                link.failures = 0;
                self.forget_observations();
                self.set(Registration::Registered {
                    location,
                    update_at: update_at(lifetime),
                });
                device.log.event(Event::Registered { server: short_id });
            }
            Registration::Updating {
                token: t,
                location,
                lifetime,
            } if t == token => match code {
                Some(Code::CHANGED) => self.set(Registration::Registered {
                    location,
                    update_at: update_at(lifetime),
                }),
                // The server has forgotten us (4.04), or does not hear us: register again now.
                _ => self.set(Registration::Due { at: now.mono }),
            },
            Registration::Leaving { token: t } if t == token => {
                self.set(Registration::Gone);
                self.forget_observations();
                device.log.event(Event::Deregistered { server: short_id });
            }
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
        if let Registration::Registered { update_at, .. } = &mut link.registration
            && instance == wanted
        {
            *update_at = now.mono;
        }
    }
}

fn lifetime(device: &Device<'_>, instance: u16) -> u32 {
    let server = device.accounts.server(instance);
    server.map_or(86_400, |s| s.lifetime)
}

/// Adds a Uri-Query of at most 68 bytes.
pub(crate) fn add_query(
    b: &mut Builder<'_>,
    query: core::fmt::Arguments<'_>,
) -> Result<(), BuildError> {
    let mut text = Text::<68>::EMPTY;
    text.write_fmt(query).map_err(|_| BuildError::Full)?;
    b.option(OptionNumber::URI_QUERY, text.as_str().as_bytes())?;
    Ok(())
}

fn add_links_format(b: &mut Builder<'_>) -> Result<(), BuildError> {
    let format = u32::from(content_format::LINK_FORMAT);
    b.uint(OptionNumber::CONTENT_FORMAT, format)?;
    Ok(())
}

fn add_links(b: &mut Builder<'_>, view: &View<'_>) -> Result<(), BuildError> {
    b.payload_with(usize::MAX, |place| {
        let mut links = Line::new(place);
        write_links(view, &mut links).map_err(|_| BuildError::Full)?;
        Ok::<_, BuildError>(links.len())
    })?;
    Ok(())
}

fn add_location(b: &mut Builder<'_>, location: &Location) -> Result<(), BuildError> {
    for segment in location.as_str().split('/') {
        b.option(OptionNumber::URI_PATH, segment.as_bytes())?;
    }
    Ok(())
}

/// None if the server gave no location, or one that is too long to keep.
fn read_location(message: &Message<'_>) -> Option<Location> {
    let mut text = Location::EMPTY;
    for (i, segment) in message.location_path().enumerate() {
        if i > 0 {
            text.write_str("/").ok()?;
        }
        let segment = core::str::from_utf8(segment).ok()?;
        text.write_str(segment).ok()?;
    }
    Some(text).filter(|l| !l.as_str().is_empty())
}
