//! One server: its address, its CoAP conversation, its registration, what it observes, and the one
//! request of it that waits for an answer. What one server does or refuses stays in its session.

mod list;
mod observe;
mod registration;

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use lwm2m_objects::{Path, Sink, SliceSink};
use tinsmith_coap::{
    BuildError, Builder, Code, Endpoint, FixedBuffer, Instant, Numbering, OptionNumber, Parameters,
    Reliability, Request, RequestHandle, SendError, Token,
};

pub use observe::Observation;
pub(crate) use registration::asks_to_wait;

use crate::answer::{Answer, Until};
use crate::handler::Origin;
use crate::platform::{Now, Platform, instant};
use crate::secure::Secure;
use crate::text::Text;
use crate::upload::Upload;
use crate::uri::Server;
use crate::zero::Live;
use list::List;

/// Largest confirmable message that we send, in bytes: a Register, a notification of one block.
pub(crate) const MAX_CONFIRMABLE: usize = 704;
/// Largest answer that is kept for duplicates, in bytes.
const KEPT_REPLY: usize = 128;

pub(crate) type Coap = Endpoint<FixedBuffer<MAX_CONFIRMABLE>, FixedBuffer<KEPT_REPLY>, 2, 4>;

/// Adds options and payload to a message.
pub(crate) type Build<'b> = dyn FnMut(&mut Builder<'_>) -> Result<(), BuildError> + 'b;

/// Room for the state of one server; all zeros without one.
pub struct Session<'a> {
    pub(crate) open: bool,
    pub(crate) link: Link,
    observations: Option<&'a mut [Observation]>,
}

impl<'a> Session<'a> {
    /// No server.
    pub const fn new() -> Self {
        Self {
            open: false,
            link: Link::REST,
            observations: None,
        }
    }

    /// Its share of the observations.
    pub(crate) fn share(&mut self, observations: &'a mut [Observation]) {
        self.open = false;
        self.observations = Some(observations);
    }

    pub(crate) fn link(&self) -> Option<&Link> {
        self.open.then_some(&self.link)
    }

    pub(crate) fn link_mut(&mut self) -> Option<&mut Link> {
        self.open.then_some(&mut self.link)
    }

    pub(crate) fn observations(&self) -> &[Observation] {
        self.observations.as_deref().unwrap_or_default()
    }

    /// The link and what is observed.
    pub(crate) fn parts(&mut self) -> (Option<&mut Link>, &mut [Observation]) {
        let observations = self.observations.as_deref_mut().unwrap_or_default();
        (self.open.then_some(&mut self.link), observations)
    }

    /// A body that arrives begins anew.
    pub(crate) fn forget_upload(&mut self) {
        self.link.upload = None;
    }

    pub(crate) fn close(&mut self) {
        self.open = false;
        self.link.secure.restart(None, false);
        self.parts().1.fill(Observation::EMPTY);
    }

    /// `security` is the instance of object 0 that its identity and key are in.
    pub(crate) fn open(
        &mut self,
        server: Server,
        security: u16,
        origin: Origin,
        now: Now,
        platform: &mut dyn Platform,
    ) {
        self.close();
        self.link.restart(server.address, origin, now, platform);
        let kept = matches!(origin, Origin::Server { .. });
        let security = server.secure.then_some(security);
        self.link.secure.restart(security, kept);
        self.open = true;
    }
}

impl Default for Session<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that is answered later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) _live: Live,
    pub(crate) handle: RequestHandle,
    pub(crate) until: Until,
    pub(crate) answer: Answer,
    /// It is a part of a resumable body at this path, up to this offset.
    pub(crate) part: Option<(Path, u32)>,
    /// Monotonic milliseconds after which no handler is waited for: the server does not know the
    /// request any more.
    pub(crate) ends: u64,
}

pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    pub(crate) origin: Origin,
    pub(crate) secure: Secure,
    pub(crate) coap: Coap,
    pub(crate) registration: Registration,
    /// Registrations that failed in a row.
    pub(crate) failures: u8,
    /// `Log::instances` as this server was told.
    pub(crate) told_instances: u32,
    pub(crate) waiting: Option<Waiting>,
    /// A body that arrives in blocks.
    pub(crate) upload: Option<Upload>,
    /// A list of objects that goes out in blocks.
    list: Option<List>,
    /// The next Update tells the binding.
    tells_binding: bool,
    /// The server wants to be left alone for so many seconds.
    disabled_s: Option<u32>,
    /// While an update is under way.
    quiet: Option<Quiet>,
}

/// When a server that says nothing any more gets an Update: it may have given up, on a network that
/// lost its requests, and wait for a sign of life.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    /// Monotonic milliseconds.
    at: u64,
    wait_ms: u32,
}

impl Quiet {
    /// From the first silence to the first Update; the next ones are twice as far apart each.
    const FIRST_MS: u32 = 30_000;
    const LONGEST_MS: u32 = 3_600_000;

    fn after(now: Now, wait_ms: u32) -> Self {
        let at = now.mono + u64::from(wait_ms);
        Self { at, wait_ms }
    }
}

/// Where a registration stands; times are monotonic milliseconds.
///
/// ```text
///  Due -> Registering -> Registered, until its Update -> Updating -> until the next
///   ^--- no or bad answer ---+                             |  4.04, no answer: Due
///                        Registered, until its Update -> Leaving -> Gone, or Due when it was disabled
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) enum Registration {
    Due {
        at: u64,
    },
    /// `lifetime` is what the server is being told, seconds.
    Registering {
        token: Token,
        lifetime: u32,
    },
    Registered {
        location: Location,
        next: Next,
    },
    Gone,
}

/// What comes next for a registration that the server has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    UpdateAt(u64),
    /// The server can't take one before.
    UpdateAfter(u64),
    /// As [`Registration::Registering`].
    Updating {
        token: Token,
        lifetime: u32,
    },
    Leaving {
        token: Token,
    },
}

/// Location-Path of a registration, segments joined by '/'.
pub(crate) type Location = Text<64>;

impl Link {
    const REST: Self = Self {
        address: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
        origin: Origin::Bootstrap,
        secure: Secure::REST,
        coap: Coap::REST,
        registration: Registration::Due { at: 0 },
        failures: 0,
        told_instances: 0,
        waiting: None,
        upload: None,
        list: None,
        tells_binding: false,
        disabled_s: None,
        quiet: None,
    };

    fn restart(
        &mut self,
        address: SocketAddr,
        origin: Origin,
        now: Now,
        platform: &mut dyn Platform,
    ) {
        let parameters = Parameters {
            max_kept_reply: KEPT_REPLY as u16,
            ..Parameters::RFC7252
        };
        let seed = platform.random();
        self.coap.restart(parameters, Numbering::ALL, seed);
        self.address = address;
        self.origin = origin;
        self.registration = match origin {
            Origin::Bootstrap => Registration::Gone,
            Origin::Server { .. } => Registration::Due { at: now.mono },
        };
        self.failures = 0;
        self.told_instances = 0;
        self.waiting = None;
        self.upload = None;
        self.list = None;
        self.tells_binding = false;
        self.disabled_s = None;
        self.quiet = None;
    }

    /// The server asked something.
    pub(crate) fn heard(&mut self, now: Now, update_is_under_way: bool) {
        self.quiet = update_is_under_way.then(|| Quiet::after(now, Quiet::FIRST_MS));
    }

    /// Answers a request; the length of the datagram in `out`.
    pub(crate) fn respond(
        &mut self,
        now: Now,
        handle: RequestHandle,
        code: Code,
        out: &mut [u8],
        build: &mut Build<'_>,
    ) -> Result<usize, SendError> {
        let made = self.coap.respond(instant(now), handle, code, out, build)?;
        Ok(made.len)
    }

    /// Sends a confirmable request; none if the endpoint is busy.
    pub(crate) fn request(
        &mut self,
        now: Now,
        code: Code,
        token: Token,
        out: &mut [u8],
        build: &mut Build<'_>,
    ) -> Result<(SocketAddr, usize), SendError> {
        let request = Request {
            code,
            token,
            reliability: Reliability::Confirmable,
            response_timeout_ms: None,
        };
        let len = self.coap.start_request(instant(now), request, out, build)?;
        Ok((self.address, len))
    }

    /// Milliseconds at which this server wants to be looked at.
    pub(crate) fn next_deadline(&self, registers: bool) -> Option<u64> {
        let registration = match self.registration {
            Registration::Due { at } => Some(at),
            Registration::Registered {
                next: Next::UpdateAt(at),
                ..
            } => Some(self.quiet.map_or(at, |quiet| at.min(quiet.at))),
            Registration::Registered {
                next: Next::UpdateAfter(at),
                ..
            } => Some(at),
            _ => self.list.as_ref().and_then(|list| list.due),
        };
        let registration = registration.filter(|_| registers && !self.secure.is_connecting());
        let coap = self.coap.next_deadline().map(Instant::as_millis);
        let told = |w: &Waiting| matches!(w.until, Until::Told { .. });
        let waiting = self.waiting.as_ref().filter(|w| told(w)).map(|w| w.ends);
        let secure = self.secure.next_deadline();
        let all = [registration, coap, waiting, secure];
        all.into_iter().flatten().min()
    }
}

/// Adds a Uri-Query of at most 68 bytes: `name`, up to the value, and the value.
pub(crate) fn add_query(b: &mut Builder<'_>, name: &[u8], value: &[u8]) -> Result<(), BuildError> {
    let mut place = [0; 68];
    let mut query = SliceSink::new(&mut place);
    query.write(name);
    query.write(value);
    let query = query.finish().map_err(|_| BuildError::Full)?;
    b.option(OptionNumber::URI_QUERY, query)?;
    Ok(())
}

/// Adds what `write` writes as the payload.
pub(crate) fn add_text(
    b: &mut Builder<'_>,
    write: &mut dyn FnMut(&mut dyn Sink),
) -> Result<(), BuildError> {
    b.payload_with(usize::MAX, |place| {
        let mut text = SliceSink::new(place);
        write(&mut text);
        text.finish()
            .map(|text| text.len())
            .map_err(|_| BuildError::Full)
    })?;
    Ok(())
}
