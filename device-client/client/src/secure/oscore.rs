//! OSCORE (RFC 8613) between a session's CoAP and its DTLS or its datagrams.

use tinsmith_coap::Token;
use tinsmith_dtls::SoftAes;
use tinsmith_oscore::{Master, Opened, Peer, Refusal, Reservation, Start};

use crate::platform::{Platform, random_bytes};
use crate::zero::Live;

/// Requests of ours that are remembered: the one that is out, and the one before.
const ASKED: usize = 2;
/// Requests of the server that are remembered: what it observes, and what was answered last.
const HEARD: usize = 20;
/// Sequence numbers that may be used until the context is written down again.
const NUMBERS: u64 = 1000;
/// So many are left when that is begun.
const FEW_NUMBERS: u64 = 200;
/// Failures in a row after which nothing is written down any more.
const MAX_FAILURES: u8 = 3;

/// What is known of a server that messages are protected to and from.
pub(crate) type Context = Peer<ASKED, HEARD>;

/// One server's OSCORE.
///
/// What was received is not written down. So nothing is taken of a server before the numbers of our
/// own are: who has not used a number has not answered, and the same may be taken again.
pub(crate) struct Oscore {
    /// The instance of object 0 whose context it is; none for a server without OSCORE.
    security: Option<u16>,
    opened: Option<Open>,
}

struct Open {
    _live: Live,
    context: Context,
    /// Of the keys as the client knows them.
    generation: u32,
    /// The numbers are written down before they are used.
    kept: bool,
    /// They were, or need not be.
    ready: bool,
    /// What is being written down.
    writing: Option<Reservation>,
    failures: u8,
}

impl Open {
    /// Keys that are derived again with the next request; their numbers need not outlive a reset.
    fn begin_anew(&mut self, platform: &mut dyn Platform) {
        self.context.rederive(r1(platform));
        self.kept = false;
        self.ready = true;
        self.writing = None;
    }
}

impl Oscore {
    pub(crate) const REST: Self = Self {
        security: None,
        opened: None,
    };

    /// For another server, with this instance of object 0 if it has OSCORE.
    pub(crate) fn restart(&mut self, security: Option<u16>) {
        self.security = security;
        self.opened = None;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.security.is_some()
    }

    /// The instance of object 0 of a server that has no context yet.
    pub(crate) fn to_open(&self) -> Option<u16> {
        self.security.filter(|_| self.opened.is_none())
    }

    /// Begins with a context: as it was written down, or (without any) with new keys of which nothing
    /// was used, or with such as are to be derived again.
    #[inline(never)]
    pub(crate) fn open_context(
        &mut self,
        master: Master,
        stored: Option<&[u8]>,
        is_new: bool,
        platform: &mut dyn Platform,
    ) {
        let again = Start::Rederive(r1(platform));
        let start = match stored {
            Some(stored) => Start::Stored(stored),
            None if is_new => Start::Fresh,
            None => again,
        };
        let mut kept = stored.is_some() || is_new;
        let mut made = Peer::new(master.clone(), start);
        if made.is_err() {
            kept = false;
            made = Peer::new(master, again);
        }
        let Ok(context) = made else {
            return;
        };
        self.opened = Some(Open {
            _live: Live::Live,
            generation: context.generation(),
            context,
            kept,
            ready: !kept,
            writing: None,
            failures: 0,
        });
    }

    /// No message can be sent before numbers are written down.
    pub(crate) fn is_waiting(&self) -> bool {
        let left = self.opened.as_ref().map_or(0, |o| o.context.numbers_left());
        self.is_on() && left == 0
    }

    /// A message in `buf`, as it is sent; none if it can't be now.
    pub(crate) fn seal(&mut self, buf: &mut [u8], len: usize, scratch: &mut [u8]) -> Option<usize> {
        if !self.is_on() {
            return Some(len);
        }
        let context = &mut self.opened.as_mut()?.context;
        let message = buf.get(..len)?;
        let len = context.seal(&mut SoftAes::new(), message, scratch).ok()?;
        buf.get_mut(..len)?.copy_from_slice(scratch.get(..len)?);
        Some(len)
    }

    /// What a message of the server is; its content, or an answer to it, is written to `out`.
    pub(crate) fn open(
        &mut self,
        bytes: &mut [u8],
        out: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Opened {
        let Some(opened) = self.opened.as_mut().filter(|o| o.ready) else {
            return Opened::Dropped(Refusal::NoContext);
        };
        let mut random = |place: &mut [u8]| random_bytes(platform, place);
        let aes = &mut SoftAes::new();
        opened.context.open(aes, &mut random, bytes, out)
    }

    /// The keys are others than those that were there at the last question.
    pub(crate) fn has_new_keys(&mut self) -> bool {
        let Some(opened) = &mut self.opened else {
            return false;
        };
        let generation = opened.context.generation();
        core::mem::replace(&mut opened.generation, generation) != generation
    }

    /// The server's request with this token is no observation any more.
    pub(crate) fn forget(&mut self, token: Token) {
        if let Some(opened) = &mut self.opened {
            opened.context.forget(token);
        }
    }

    /// How many observations there may be; the rest is for what is answered once.
    pub(crate) const fn max_observed(&self) -> usize {
        match self.is_on() {
            true => HEARD - 4,
            false => usize::MAX,
        }
    }

    /// The context has to be written down before much more can be sent.
    pub(crate) fn needs_numbers(&self) -> bool {
        self.opened.as_ref().is_some_and(|o| {
            o.kept && o.writing.is_none() && o.context.numbers_left() < FEW_NUMBERS
        })
    }

    /// The instance of object 0 of a server whose context is written down.
    pub(crate) fn kept(&self) -> Option<u16> {
        let kept = self.opened.as_ref().is_some_and(|o| o.kept);
        self.security.filter(|_| kept)
    }

    /// The context as it is to be written down.
    pub(crate) fn reserve(&mut self) -> Option<&Context> {
        let opened = self.opened.as_mut().filter(|o| o.kept)?;
        opened.writing = Some(opened.context.reserve(NUMBERS));
        Some(&opened.context)
    }

    /// What was reserved is written down, or could not be.
    pub(crate) fn stored(&mut self, ok: bool, platform: &mut dyn Platform) {
        let Some(opened) = &mut self.opened else {
            return;
        };
        let Some(reservation) = opened.writing.take() else {
            return;
        };
        if ok {
            opened.failures = 0;
            opened.ready = true;
            opened.context.confirm_reserved(reservation);
        } else {
            opened.failures += 1;
            if opened.failures >= MAX_FAILURES {
                opened.begin_anew(platform);
            }
        }
    }
}

/// What keys are derived again with.
fn r1(platform: &mut dyn Platform) -> [u8; 8] {
    let mut r1 = [0; 8];
    random_bytes(platform, &mut r1);
    r1
}
