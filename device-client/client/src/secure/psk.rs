//! DTLS with a pre-shared key (LwM2M TS 1.1 §5.2.8.1).

use tinsmith_dtls::{
    Association, Client, ContentType, Credentials, HandshakeError, Offer, Output, Received, SoftAes,
};

use crate::platform::Platform;

/// Record numbers that a session of a management server may use until it is written down again.
const NUMBERS: u64 = 1000;
/// So many are left when that is begun.
const FEW_NUMBERS: u64 = 200;
/// Milliseconds in which the server of a session from before a reset has to answer.
const PROOF_MS: u64 = 10_000;
/// Failures in a row after which a session is not written down any more.
const MAX_FAILURES: u8 = 3;

/// One server's DTLS. A session is made when there is something to send, and again when the server
/// has forgotten it.
///
/// Sessions of management servers outlive a reset. What the server sent just before it may come a
/// second time then, from somebody else; so until the server has answered, which shows that its
/// record is a new one, nothing but an answer is taken, and no older record afterwards.
pub(crate) struct Secure {
    /// The instance of object 0 with identity and key; none for a server without DTLS.
    security: Option<u16>,
    client: Client,
    /// The session is to outlive a reset.
    kept: bool,
    /// It is being written down with this mark.
    mark: Option<u64>,
    failures: u8,
    freshness: Freshness,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Freshness {
    Shown,
    /// The session is from before a reset, and nothing was sent since.
    Unknown,
    /// Something was sent; without an answer until then, milliseconds, the session is given up.
    Asked(u64),
}

/// What a record of the server, or time, has brought.
pub(crate) enum Step<'r> {
    Nothing,
    /// Send so many bytes of the buffer.
    Transmit(usize),
    /// A message of the server.
    Message(&'r [u8]),
    Failed(HandshakeError),
}

impl Secure {
    pub(crate) const REST: Self = Self {
        security: None,
        client: Client::new(),
        kept: false,
        mark: None,
        failures: 0,
        freshness: Freshness::Shown,
    };

    /// For another server, with this instance of object 0 if it has DTLS.
    pub(crate) fn restart(&mut self, security: Option<u16>, kept: bool) {
        self.security = security;
        self.kept = kept;
        self.failures = 0;
        self.clear();
    }

    fn clear(&mut self) {
        self.client = Client::new();
        self.mark = None;
        self.freshness = Freshness::Shown;
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.security.is_some()
    }

    pub(crate) const fn security(&self) -> Option<u16> {
        self.security
    }

    /// There is a session to come: its handshake is under way, or it is being written down.
    pub(crate) fn is_connecting(&self) -> bool {
        let association = self.client.association();
        self.client.is_connecting() || association.is_some_and(|a| a.numbers_left() == 0)
    }

    /// Whether messages can be sent; if not, a handshake begins, unless one is under way.
    pub(crate) fn reach(&mut self, now: u64, platform: &mut dyn Platform) -> bool {
        if !self.is_on() {
            return true;
        }
        if self.is_connecting() {
            return false;
        }
        let reachable = self.client.association().is_some();
        if !reachable {
            self.connect(now, platform);
        }
        reachable
    }

    fn connect(&mut self, now: u64, platform: &mut dyn Platform) {
        let mut random = [0; 32];
        for place in random.chunks_exact_mut(4) {
            place.copy_from_slice(&platform.random().to_be_bytes());
        }
        self.clear();
        self.client.connect(now, Offer::DEFAULT, random);
    }

    /// The server does not answer: it may have forgotten the session.
    pub(crate) fn forget(&mut self) {
        if !self.client.is_connecting() {
            self.clear();
        }
    }

    /// A message in `buf`, as it is sent; none if there is no session or no room.
    pub(crate) fn seal(&mut self, now: u64, buf: &mut [u8], len: usize) -> Option<usize> {
        if !self.is_on() {
            return Some(len);
        }
        let association = self.client.association_mut()?;
        let data = ContentType::ApplicationData;
        let sealed = association.seal(&mut SoftAes::new(), data, buf, len).ok();
        if sealed.is_some() && self.freshness == Freshness::Unknown {
            self.freshness = Freshness::Asked(now + PROOF_MS);
        }
        sealed
    }

    /// Bytes of the Connection IDs that the server calls us by.
    pub(crate) fn cid_len(&self) -> usize {
        self.client.own_cid_len()
    }

    /// Takes one record of the server, opened in place.
    pub(crate) fn handle<'r>(
        &mut self,
        now: u64,
        record: &'r mut [u8],
        credentials: &Credentials<'_>,
    ) -> Step<'r> {
        let aes = &mut SoftAes::new();
        match self.client.handle(now, record, credentials, aes) {
            Received::Data(data) => Step::Message(data),
            Received::Failed(error) => Step::Failed(error),
            Received::Connected => {
                // What is not kept can't use a number again.
                if let Some(association) = self.client.association_mut().filter(|_| !self.kept) {
                    association.use_all_numbers();
                }
                Step::Nothing
            }
            Received::Nothing | Received::Closed(_) => Step::Nothing,
        }
    }

    /// Whether a message may be taken: after a reset it has to be the answer to something.
    pub(crate) fn hears(&self, message: &[u8]) -> bool {
        // The class of the code (RFC 7252 §3).
        let class = message.get(1).map_or(0, |code| code >> 5);
        self.freshness == Freshness::Shown || class >= 2
    }

    /// The server has answered a request, by its token.
    pub(crate) fn answered(&mut self) {
        if self.freshness != Freshness::Shown {
            self.freshness = Freshness::Shown;
            if let Some(association) = self.client.association_mut() {
                association.refuse_older();
            }
        }
    }

    pub(crate) fn poll(
        &mut self,
        now: u64,
        buf: &mut [u8],
        platform: &mut dyn Platform,
    ) -> Step<'static> {
        if matches!(self.freshness, Freshness::Asked(until) if until <= now) {
            self.connect(now, platform);
        }
        match self.client.poll(now, &mut SoftAes::new(), buf) {
            Some(Output::Transmit(len)) => Step::Transmit(len),
            Some(Output::Failed(error)) => Step::Failed(error),
            None => Step::Nothing,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        match self.freshness {
            Freshness::Asked(until) => Some(until),
            _ => self.client.next_deadline(),
        }
    }

    /// The session has to be written down before much more can be sent.
    pub(crate) fn needs_numbers(&self) -> bool {
        let association = self.client.association();
        let few = association.is_some_and(|a| a.numbers_left() < FEW_NUMBERS);
        self.kept && few && self.mark.is_none()
    }

    /// The session as it is to be written down, if it is one that outlives a reset, with its
    /// instance of object 0.
    pub(crate) fn reserve(&mut self) -> Option<(u16, &Association)> {
        let security = self.security.filter(|_| self.kept)?;
        let association = self.client.association_mut()?;
        self.mark = Some(association.reserve(NUMBERS));
        Some((security, association))
    }

    /// What was reserved is written down, or could not be.
    pub(crate) fn stored(&mut self, ok: bool) {
        let Some(mark) = self.mark.take() else {
            return;
        };
        if !ok {
            self.failures += 1;
            if self.failures >= MAX_FAILURES {
                // A further session does without; this one would use numbers again after a reset.
                self.kept = false;
                self.forget();
            }
        } else if let Some(association) = self.client.association_mut() {
            self.failures = 0;
            association.confirm_reserved(mark);
        }
    }

    /// Goes on with a session that was written down.
    pub(crate) fn resume(&mut self, encoded: &[u8]) {
        if let Some(association) = Association::decode(encoded).ok().filter(|_| self.kept) {
            self.client.resume(association);
            self.freshness = Freshness::Unknown;
        }
    }
}
