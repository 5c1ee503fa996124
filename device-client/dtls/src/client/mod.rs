//! The client's end: a handshake, then the association.

mod assembly;
mod error;
#[cfg(feature = "rpk")]
mod exchange;
mod flight;
mod handshake;
#[cfg(feature = "rpk")]
mod key_pairs;
mod message;
mod offer;
mod slot;
mod timer;

use crate::aes::Aes;
use crate::alert::{Alert, AlertDescription};
use crate::association::{Association, Content};
use handshake::Handshake;

pub use error::{HandshakeError, Misbehaved};
pub use offer::{Credentials, MAX_IDENTITY, Offer};

/// What a record meant.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'r> {
    /// Nothing for the caller.
    Nothing,
    /// The handshake is done.
    Connected,
    /// Data of the server.
    Data(&'r mut [u8]),
    /// The handshake failed.
    Failed(HandshakeError),
    /// The server ended the association.
    Closed(Alert),
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send so many bytes of the buffer to the server.
    Transmit(usize),
    /// The handshake failed.
    Failed(HandshakeError),
}

/// A DTLS client: one server, on whatever carries datagrams.
///
/// [`connect`](Self::connect), then for each datagram of the server
/// [`handle`](Self::handle) with each of its [`records`](crate::records), and after each call and
/// at [`next_deadline`](Self::next_deadline) [`poll`](Self::poll) until it gives nothing. Data is
/// sent by [`Association::seal`] on [`association_mut`](Self::association_mut), after numbers were
/// reserved there. Times are milliseconds of a monotonic clock.
///
/// A session that was kept ([`Association::encode`]) goes on with [`resume`](Self::resume).
pub struct Client {
    state: State,
    handshake: Handshake,
    /// To be sent.
    alert: Option<Alert>,
    /// Nothing follows but the alert.
    over: bool,
}

// With the tag for itself, so that a client at rest is all zeros.
#[repr(u8)]
enum State {
    Idle,
    Handshake,
    Open(Association),
}

impl Client {
    /// Without a session.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Idle,
            handshake: Handshake::REST,
            alert: None,
            over: false,
        }
    }

    /// Starts a handshake with a pre-shared key; what was before is forgotten. `random` is for this
    /// handshake only.
    pub fn connect(&mut self, now: u64, offer: Offer, random: [u8; 32]) {
        self.enter(State::Handshake);
        self.handshake.start(now, offer, random, &Credentials::NONE);
    }

    /// Starts a handshake with what the credentials are. `secret` is random as well, and for nobody
    /// else.
    #[cfg(feature = "rpk")]
    pub fn connect_as(
        &mut self,
        now: u64,
        offer: Offer,
        credentials: &Credentials<'_>,
        random: [u8; 32],
        secret: [u8; 32],
    ) {
        self.enter(State::Handshake);
        self.handshake.exchange.secret = secret;
        self.handshake.start(now, offer, random, credentials);
    }

    /// Goes on with a session that was kept.
    pub fn resume(&mut self, association: Association) {
        self.enter(State::Open(association));
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.handshake = Handshake::REST;
        self.alert = None;
        self.over = false;
    }

    /// Tells the server that nothing follows; [`poll`](Self::poll) has the alert.
    pub fn close(&mut self) {
        match self.state {
            State::Open(_) if !self.over => self.end(Some(Alert::CLOSE_NOTIFY)),
            State::Open(_) => {}
            State::Idle | State::Handshake => self.enter(State::Idle),
        }
    }

    /// The session, once the handshake is done.
    #[must_use]
    pub const fn association(&self) -> Option<&Association> {
        match &self.state {
            State::Open(association) if !self.over => Some(association),
            _ => None,
        }
    }

    /// The same, to send.
    pub const fn association_mut(&mut self) -> Option<&mut Association> {
        match &mut self.state {
            State::Open(association) if !self.over => Some(association),
            _ => None,
        }
    }

    /// Whether a handshake is under way.
    #[must_use]
    pub const fn is_connecting(&self) -> bool {
        matches!(self.state, State::Handshake) && !self.over
    }

    /// How long the Connection IDs are by which the server calls us, for
    /// [`records`](crate::records).
    #[must_use]
    pub fn own_cid_len(&self) -> usize {
        match &self.state {
            State::Idle => 0,
            State::Handshake => self.handshake.own_cid().len(),
            State::Open(association) => association.own_cid().len(),
        }
    }

    /// Takes one record of the server; it is opened in place.
    pub fn handle<'r>(
        &mut self,
        now: u64,
        record: &'r mut [u8],
        credentials: &Credentials<'_>,
        aes: &mut dyn Aes,
    ) -> Received<'r> {
        if self.over {
            return Received::Nothing;
        }
        match &mut self.state {
            State::Idle => Received::Nothing,
            State::Handshake => match self.handshake.handle(now, record, credentials, aes) {
                Ok(None) => Received::Nothing,
                Ok(Some(association)) => {
                    self.enter(State::Open(association));
                    Received::Connected
                }
                Err(error) => {
                    self.end(error.alert().map(Alert::fatal));
                    Received::Failed(error)
                }
            },
            State::Open(association) => {
                let Ok(opened) = association.open(aes, record) else {
                    return Received::Nothing;
                };
                match opened.content {
                    Content::Data(data) => Received::Data(data),
                    Content::Alert(alert) if alert.ends() => {
                        let closed = alert.description == AlertDescription::CLOSE_NOTIFY;
                        self.end(closed.then_some(Alert::CLOSE_NOTIFY));
                        Received::Closed(alert)
                    }
                    Content::Handshake(message) => {
                        if message.first() == Some(&message::HELLO_REQUEST) {
                            let refused = AlertDescription::NO_RENEGOTIATION;
                            self.alert = Some(Alert::warning(refused));
                        }
                        Received::Nothing
                    }
                    Content::Alert(_) => Received::Nothing,
                }
            }
        }
    }

    fn end(&mut self, alert: Option<Alert>) {
        self.alert = alert;
        self.over = true;
        if alert.is_none() {
            self.enter(State::Idle);
        }
    }

    /// The next thing to do; `out` has room for a datagram.
    pub fn poll(&mut self, now: u64, aes: &mut dyn Aes, out: &mut [u8]) -> Option<Output> {
        if let Some(alert) = self.alert.take() {
            let sent = match &mut self.state {
                State::Idle => None,
                State::Handshake => self.handshake.write_alert(alert, aes, out),
                State::Open(association) => association.seal_alert(aes, alert, out).ok(),
            };
            if self.over {
                self.enter(State::Idle);
            }
            return sent.map(Output::Transmit);
        }
        let State::Handshake = &self.state else {
            return None;
        };
        match self.handshake.poll(now, aes, out) {
            Ok(sent) => sent.map(Output::Transmit),
            Err(error) => {
                self.end(error.alert().map(Alert::fatal));
                Some(Output::Failed(error))
            }
        }
    }

    /// When to poll without input; none if there is nothing to wait for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        match &self.state {
            _ if self.alert.is_some() => Some(0),
            State::Handshake => Some(self.handshake.next_deadline()),
            State::Idle | State::Open(_) => None,
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}
