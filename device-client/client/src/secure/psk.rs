//! DTLS with a pre-shared key (LwM2M TS 1.1 §5.2.8.1).

use tinsmith_dtls::{
    Client, ContentType, Credentials, HandshakeError, Offer, Output, Received, SoftAes,
};

use crate::platform::Platform;

/// One server's DTLS. A session is made when there is something to send, and again when the server
/// has forgotten it.
pub(crate) struct Secure {
    /// The instance of object 0 with identity and key; none for a server without DTLS.
    security: Option<u16>,
    client: Client,
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
    };

    /// For another server, with this instance of object 0 if it has DTLS.
    pub(crate) fn restart(&mut self, security: Option<u16>) {
        self.security = security;
        self.client = Client::new();
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.security.is_some()
    }

    pub(crate) const fn security(&self) -> Option<u16> {
        self.security
    }

    pub(crate) const fn is_connecting(&self) -> bool {
        self.client.is_connecting()
    }

    /// Whether messages can be sent; if not, a handshake begins, unless one is under way.
    pub(crate) fn reach(&mut self, now: u64, platform: &mut dyn Platform) -> bool {
        if !self.is_on() || self.client.association().is_some() {
            return true;
        }
        if !self.client.is_connecting() {
            let mut random = [0; 32];
            for place in random.chunks_exact_mut(4) {
                place.copy_from_slice(&platform.random().to_be_bytes());
            }
            self.client.connect(now, Offer::DEFAULT, random);
        }
        false
    }

    /// The server does not answer: it may have forgotten the session.
    pub(crate) fn forget(&mut self) {
        if !self.client.is_connecting() {
            self.client = Client::new();
        }
    }

    /// A message in `buf`, as it is sent; none if there is no session or no room.
    pub(crate) fn seal(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        if !self.is_on() {
            return Some(len);
        }
        let association = self.client.association_mut()?;
        let data = ContentType::ApplicationData;
        association.seal(&mut SoftAes::new(), data, buf, len).ok()
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
                // The session is not kept, so no number can be used again.
                if let Some(association) = self.client.association_mut() {
                    association.use_all_numbers();
                }
                Step::Nothing
            }
            Received::Nothing | Received::Closed(_) => Step::Nothing,
        }
    }

    pub(crate) fn poll(&mut self, now: u64, buf: &mut [u8]) -> Step<'static> {
        match self.client.poll(now, &mut SoftAes::new(), buf) {
            Some(Output::Transmit(len)) => Step::Transmit(len),
            Some(Output::Failed(error)) => Step::Failed(error),
            None => Step::Nothing,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.client.next_deadline()
    }
}
