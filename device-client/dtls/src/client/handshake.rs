//! The handshake of a client (RFC 6347 §4.2), with a pre-shared key (RFC 4279 §2).
//!
//! ```text
//!  we                                     the server
//!  ClientHello            -------->
//!                         <--------       HelloVerifyRequest (most servers)
//!  ClientHello + cookie   -------->
//!                         <--------       ServerHello, ServerKeyExchange (some), ServerHelloDone
//!  ClientKeyExchange,
//!  ChangeCipherSpec,
//!  Finished               -------->
//!                         <--------       ChangeCipherSpec, Finished
//! ```

use sha2::{Digest, Sha256};

use crate::aes::Aes;
use crate::alert::Alert;
use crate::association::{Association, Content, Role, Start};
use crate::bytes::Reader;
use crate::cid::Cid;
use crate::client::assembly::Assembly;
use crate::client::error::{HandshakeError, Misbehaved};
#[cfg(feature = "rpk")]
use crate::client::exchange::Exchange;
use crate::client::flight::{Flight, clear_record};
#[cfg(feature = "rpk")]
use crate::client::message::{CERTIFICATE, CERTIFICATE_REQUEST};
use crate::client::message::{
    CLIENT_HELLO, CLIENT_KEY_EXCHANGE, ClientHello, FINISHED, Fragment, HELLO_REQUEST,
    HELLO_VERIFY_REQUEST, SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, ServerHello,
    cookie_of, is_of_server, is_psk_hint, read_cookie, write_message,
};
use crate::client::offer::{Credentials, Kind, Offer};
use crate::client::slot::Slot;
use crate::client::timer::Timer;
use crate::keys::{MasterSecret, Sender};
use crate::record::{ContentType, Header, VERSION};
use crate::window::Window;

/// Cookies that are taken before the server is thought to have no end of them.
const COOKIES: u8 = 3;

/// What the server is expected to say next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// HelloVerifyRequest or ServerHello.
    Hello,
    /// ServerKeyExchange or ServerHelloDone.
    KeyExchange,
    HelloDone,
    Finished,
    #[cfg(feature = "rpk")]
    Certificate,
    #[cfg(feature = "rpk")]
    ServerKeys,
    /// CertificateRequest or ServerHelloDone.
    #[cfg(feature = "rpk")]
    Request,
}

pub(super) struct Handshake {
    offer: Slot<Offer>,
    pub(super) random: [u8; 32],
    pub(super) server: Slot<ServerHello>,
    expected: Expected,
    pub(super) transcript: Transcript,
    pub(super) assembly: Assembly,
    /// The number of the message that the server sends next.
    next_in: u16,
    cookies: u8,
    pub(super) flight: Flight,
    /// The next record number before the keys.
    clear: u64,
    master: Option<MasterSecret>,
    association: Slot<Association>,
    timer: Timer,
    /// The flight is to be sent.
    due: bool,
    /// The server has sent its flight again, and we ours, since the timer was set.
    repeated: bool,
    #[cfg(feature = "rpk")]
    pub(super) exchange: Exchange,
}

/// The hash of all messages so far.
pub(super) struct Transcript(Option<Sha256>);

impl Transcript {
    pub(super) fn add(&mut self, message: &[u8]) {
        self.0.get_or_insert_with(Sha256::new).update(message);
    }

    /// All zeros before the first.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.0
            .clone()
            .map_or([0; 32], |hash| hash.finalize().into())
    }
}

impl Handshake {
    /// None. It is all zeros, and is overwritten in its place: a device has no stack for it.
    pub(super) const REST: Self = Self {
        offer: Slot::Empty,
        random: [0; 32],
        server: Slot::Empty,
        expected: Expected::Hello,
        transcript: Transcript(None),
        assembly: Assembly::EMPTY,
        next_in: 0,
        cookies: 0,
        flight: Flight::EMPTY,
        clear: 0,
        master: None,
        association: Slot::Empty,
        timer: Timer::REST,
        due: false,
        repeated: false,
        #[cfg(feature = "rpk")]
        exchange: Exchange::REST,
    };

    /// Begins one, at rest.
    pub(super) fn start(
        &mut self,
        now: u64,
        offer: Offer,
        random: [u8; 32],
        credentials: &Credentials<'_>,
    ) {
        self.offer = Slot::Full(offer);
        self.random = random;
        self.hello(0, &[], credentials);
        self.restart_timer(now);
    }

    fn offer(&self) -> &Offer {
        self.offer.get().unwrap_or(&Offer::DEFAULT)
    }

    fn hello(&mut self, sequence: u16, cookie: &[u8], credentials: &Credentials<'_>) {
        let offer = self.offer.get().unwrap_or(&Offer::DEFAULT);
        let hello = ClientHello {
            random: &self.random,
            cookie,
            offer: offer.aeads,
            kind: credentials.kind(),
            #[cfg(feature = "rpk")]
            server_name: credentials.server_name(),
            cid: offer.cid.as_ref(),
        };
        // It fits: ROOM is made for it.
        self.flight
            .start(|place| write_message(place, CLIENT_HELLO, sequence, |w| hello.write(w)));
        self.transcript = Transcript(None);
        self.transcript.add(self.flight.message());
        self.due = true;
    }

    /// The Connection ID that is in records to us, as long as it is not known whether the server
    /// agrees: what we asked for.
    pub(super) fn own_cid(&self) -> &Cid {
        self.offer().cid.as_ref().unwrap_or(&Cid::EMPTY)
    }

    /// Takes one record; the association when the handshake is done.
    pub(super) fn handle(
        &mut self,
        now: u64,
        record: &mut [u8],
        credentials: &Credentials<'_>,
        aes: &mut dyn Aes,
    ) -> Result<Option<Association>, HandshakeError> {
        let Some(header) = Header::parse(record, self.own_cid().len()) else {
            return Ok(None);
        };
        if header.number.epoch != 0 {
            return self.handle_protected(record, aes);
        }
        let fragment = record.get(header.len..header.record_len());
        let fragment = fragment.unwrap_or_default();
        // A HelloVerifyRequest may come as of DTLS 1.0 (RFC 6347 §4.2.1).
        if header.version[0] != VERSION[0] {
            return Ok(None);
        }
        match ContentType::from_number(header.outer_type) {
            Some(ContentType::Handshake) => self.messages(now, fragment, credentials)?,
            Some(ContentType::Alert) => refused(Alert::from_bytes(fragment))?,
            // A ChangeCipherSpec tells nothing that the next record's epoch does not.
            _ => {}
        }
        Ok(None)
    }

    /// The server's Finished, or an alert instead of it.
    fn handle_protected(
        &mut self,
        record: &mut [u8],
        aes: &mut dyn Aes,
    ) -> Result<Option<Association>, HandshakeError> {
        let Some(association) = self.association.get_mut() else {
            return Ok(None);
        };
        let message = match association.open(aes, record).map(|opened| opened.content) {
            Ok(Content::Handshake(message)) => message,
            Ok(Content::Alert(alert)) => return refused(Some(alert)).map(|()| None),
            // Data of a server that was faster than its Finished, which was lost.
            Ok(Content::Data(_)) | Err(_) => return Ok(None),
        };
        let mut reader = Reader(message);
        while let Some(fragment) = Fragment::read(&mut reader) {
            let due = fragment.kind == FINISHED && fragment.sequence == self.next_in;
            if due && self.assembly.add(&fragment, Kind::Psk.longest_message())? {
                return self.finished().map(Some);
            }
        }
        Ok(None)
    }

    #[inline(never)]
    fn finished(&mut self) -> Result<Association, HandshakeError> {
        let hash = self.transcript.hash();
        let (Some(master), Some(mut association)) = (&self.master, self.association.take()) else {
            return Err(Misbehaved::OutOfTurn(FINISHED).into());
        };
        let expected = master.verify_data(Sender::Server, &hash);
        let data = self.assembly.body();
        let differs = data
            .iter()
            .zip(&expected)
            .fold(0, |all, (a, b)| all | (a ^ b));
        if data.len() != expected.len() || differs != 0 {
            self.association = Slot::Full(association);
            return Err(Misbehaved::Finished.into());
        }
        association.unreserve();
        Ok(association)
    }

    /// Messages before the keys.
    fn messages(
        &mut self,
        now: u64,
        record: &[u8],
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        let mut reader = Reader(record);
        while let Some(fragment) = Fragment::read(&mut reader) {
            match fragment.kind {
                // It is no part of a handshake (RFC 5246 §7.4.1.1); a Finished is protected.
                HELLO_REQUEST | FINISHED => {}
                HELLO_VERIFY_REQUEST => self.cookie(now, &fragment, credentials)?,
                kind if fragment.sequence < self.next_in => {
                    // The server's flight again: it has not got ours.
                    let last = kind == SERVER_HELLO_DONE && self.expected == Expected::Finished;
                    if last && !self.repeated {
                        self.repeated = true;
                        self.due = true;
                    }
                }
                _ if fragment.sequence > self.next_in => {
                    #[cfg(feature = "rpk")]
                    self.assembly.keep(&fragment, self.next_in);
                }
                kind if is_of_server(kind) => {
                    let longest = credentials.kind().longest_message();
                    if self.assembly.add(&fragment, longest)? {
                        self.message(now, kind, credentials)?;
                        #[cfg(feature = "rpk")]
                        self.kept_messages(now, credentials)?;
                    }
                }
                kind => return Err(Misbehaved::OutOfTurn(kind).into()),
            }
        }
        Ok(())
    }

    /// Those that came before their turn.
    #[cfg(feature = "rpk")]
    fn kept_messages(
        &mut self,
        now: u64,
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        let longest = credentials.kind().longest_message();
        while let Some(kind) = self.assembly.take_up(self.next_in, longest)? {
            self.message(now, kind, credentials)?;
        }
        Ok(())
    }

    fn cookie(
        &mut self,
        now: u64,
        fragment: &Fragment<'_>,
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        if self.expected != Expected::Hello || fragment.bytes.len() != fragment.len {
            return Ok(());
        }
        let decode = Misbehaved::Decode(HELLO_VERIFY_REQUEST);
        let cookie = read_cookie(fragment.bytes).ok_or(decode)?;
        if cookie_of(self.flight.message()) == Some(cookie) {
            // The hello that has it is on its way.
            return Ok(());
        }
        if self.cookies == COOKIES {
            return Err(Misbehaved::Cookies.into());
        }
        self.cookies += 1;
        self.next_in = 1;
        self.assembly.clear();
        #[cfg(feature = "rpk")]
        self.assembly.keep_nothing();
        self.hello(1, cookie, credentials);
        self.restart_timer(now);
        Ok(())
    }

    /// The message that is in the assembly.
    fn message(
        &mut self,
        now: u64,
        kind: u8,
        credentials: &Credentials<'_>,
    ) -> Result<(), HandshakeError> {
        let body = self.assembly.body();
        self.expected = match (self.expected, kind) {
            (Expected::Hello, SERVER_HELLO) => {
                let (offer, kind) = (self.offer(), credentials.kind());
                let hello = ServerHello::read(body, offer.aeads, kind, offer.cid.is_some())?;
                self.server = Slot::Full(hello);
                match kind {
                    Kind::Psk => Expected::KeyExchange,
                    #[cfg(feature = "rpk")]
                    _ => Expected::Certificate,
                }
            }
            #[cfg(feature = "rpk")]
            (Expected::Certificate, CERTIFICATE) => {
                self.certificate(credentials)?;
                Expected::ServerKeys
            }
            #[cfg(feature = "rpk")]
            (Expected::ServerKeys, SERVER_KEY_EXCHANGE) => {
                self.server_keys()?;
                Expected::Request
            }
            #[cfg(feature = "rpk")]
            (Expected::Request, CERTIFICATE_REQUEST) => {
                self.certificate_request()?;
                Expected::HelloDone
            }
            #[cfg(feature = "rpk")]
            (Expected::Request, SERVER_HELLO_DONE) if body.is_empty() => Expected::Finished,
            (Expected::KeyExchange, SERVER_KEY_EXCHANGE) if is_psk_hint(body) => {
                Expected::HelloDone
            }
            (Expected::KeyExchange | Expected::HelloDone, SERVER_HELLO_DONE) if body.is_empty() => {
                Expected::Finished
            }
            (Expected::KeyExchange, SERVER_KEY_EXCHANGE)
            | (Expected::KeyExchange | Expected::HelloDone, SERVER_HELLO_DONE) => {
                return Err(Misbehaved::Decode(kind).into());
            }
            _ => return Err(Misbehaved::OutOfTurn(kind).into()),
        };
        self.transcript.add(self.assembly.message());
        self.assembly.clear();
        self.next_in += 1;
        if self.expected == Expected::Finished {
            match credentials {
                Credentials::Psk { identity, key } => self.key_exchange(identity, key)?,
                #[cfg(feature = "rpk")]
                _ => self.key_pair_exchange(credentials)?,
            }
            self.restart_timer(now);
        }
        Ok(())
    }

    /// Makes the last flight, and the keys.
    // Its frame is no part of the caller's.
    #[inline(never)]
    fn key_exchange(&mut self, identity: &[u8], psk: &[u8]) -> Result<(), HandshakeError> {
        let Some(server) = self.server.get() else {
            return Err(Misbehaved::OutOfTurn(SERVER_HELLO_DONE).into());
        };
        let sequence = self.next_out();
        let fits = self.flight.start(|place| {
            write_message(place, CLIENT_KEY_EXCHANGE, sequence, |w| {
                w.u16(identity.len() as u16);
                w.put(identity);
            })
        });
        if !fits || psk.is_empty() {
            return Err(HandshakeError::Credentials);
        }
        self.transcript.add(self.flight.message());
        let hash = self.transcript.hash();
        let master = match server.extended_master_secret {
            true => MasterSecret::extended_of_psk(psk, &hash),
            false => MasterSecret::of_psk(psk, &self.random, &server.random),
        };
        let master = master.map_err(|_| HandshakeError::Credentials)?;
        self.finish_flight(master, &hash, sequence + 1);
        Ok(())
    }

    /// Adds our Finished to the flight; from it on there are keys.
    pub(super) fn finish_flight(&mut self, master: MasterSecret, hash: &[u8; 32], sequence: u16) {
        let Some(server) = self.server.get() else {
            return;
        };
        let finished = master.verify_data(Sender::Client, hash);
        let finished = self.flight.finish(sequence, finished);
        self.transcript.add(finished);
        // Without an answer to the extension there are no Connection IDs, in neither direction.
        let own_cid = server.cid.and(self.offer().cid).unwrap_or(Cid::EMPTY);
        let mut association = Association::new(&Start {
            role: Role::Client,
            keys: &master.keys(server.aead, &self.random, &server.random),
            own_cid,
            peer_cid: server.cid.unwrap_or(Cid::EMPTY),
            next_number: 0,
            received: Window::NEW,
        });
        association.use_all_numbers();
        self.association = Slot::Full(association);
        self.master = Some(master);
        self.due = true;
    }

    /// The number of our next message.
    pub(super) fn next_out(&self) -> u16 {
        1 + u16::from(self.cookies > 0)
    }

    fn restart_timer(&mut self, now: u64) {
        self.timer = Timer::start(now, self.offer().first_timeout_ms);
        self.repeated = false;
    }

    /// The flight, if it is to be sent now.
    pub(super) fn poll(
        &mut self,
        now: u64,
        aes: &mut dyn Aes,
        out: &mut [u8],
    ) -> Result<Option<usize>, HandshakeError> {
        if self.timer.expires(now) {
            self.timer.again(now).ok_or(HandshakeError::TimedOut)?;
            self.due = true;
            self.repeated = false;
        }
        if !core::mem::take(&mut self.due) {
            return Ok(None);
        }
        let association = self.association.get_mut();
        Ok(self.flight.write(&mut self.clear, association, aes, out))
    }

    /// An alert to the server.
    pub(super) fn write_alert(
        &mut self,
        alert: Alert,
        aes: &mut dyn Aes,
        out: &mut [u8],
    ) -> Option<usize> {
        match self.association.get_mut() {
            Some(association) => association.seal_alert(aes, alert, out).ok(),
            None => clear_record(ContentType::Alert, &alert.to_bytes(), &mut self.clear, out),
        }
    }

    pub(super) fn next_deadline(&self) -> u64 {
        if self.due { 0 } else { self.timer.at() }
    }
}

/// What an alert of the server means for the handshake.
fn refused(alert: Option<Alert>) -> Result<(), HandshakeError> {
    match alert {
        Some(alert) if alert.ends() => Err(HandshakeError::Refused(alert)),
        _ => Ok(()),
    }
}
