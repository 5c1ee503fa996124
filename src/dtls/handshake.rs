//! One handshake by OpenSSL, up to the association that is left of it.
//!
//! OpenSSL knows no Connection IDs and is let go of after the handshake, so everything that is
//! encrypted is opened here first: records with a Connection ID are translated to ones without
//! before it sees them, and application data never gets to it. Until the client's first data, which
//! proves that it has our Finished, OpenSSL stays to repeat its last flight.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::OnceLock;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{ErrorCode, Ssl, SslContext, SslStream};
use openssl::x509::X509VerifyResult;
use tinsmith_dtls::{
    Aead, Alert, Association, Cid, Content, ContentType, Header, Keys, MAX_OVERHEAD, MasterSecret,
    Number, Role, SoftAes, Start, Window,
};
use tinsmith_peer::Identity;
use zeroize::Zeroizing;

use crate::agreement::{Agreement, agreement, attach};
use crate::cid::CID_LEN;
use crate::ffi;
use crate::proof;

/// Datagrams to and from OpenSSL.
#[derive(Default)]
struct Wire {
    to_openssl: VecDeque<Vec<u8>>,
    from_openssl: Vec<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, place: &mut [u8]) -> io::Result<usize> {
        let datagram = self.to_openssl.pop_front();
        let datagram = datagram.ok_or(io::ErrorKind::WouldBlock)?;
        let len = datagram.len().min(place.len());
        place[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.from_openssl.push(datagram.to_vec());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody has this PSK identity.
    UnknownIdentity(Vec<u8>),
    /// What came after the keys was encrypted with others: this identity has another key here.
    WrongKey(Vec<u8>),
    /// The client went on no further.
    TimedOut,
    /// The client sent an alert.
    Alert(Alert),
    /// The client's certificate or raw public key is not believed, and why.
    NotBelieved(String),
    /// OpenSSL refused what the client sent or wants.
    Refused(String),
}

/// What a datagram led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// Nothing yet.
    Going,
    /// The first data is here.
    Data(Vec<u8>),
    /// It is over.
    Failed(Failure),
}

/// Both directions once the keys are known.
struct Secured {
    keys: Keys,
    association: Association,
}

/// What is left of a handshake.
pub(crate) struct Detached {
    pub(crate) association: Association,
    pub(crate) identity: Identity,
    pub(crate) is_of_one: bool,
}

pub(crate) struct Handshake {
    stream: SslStream<Wire>,
    /// Of the ClientHello.
    random: [u8; 32],
    own_cid: Cid,
    secured: Option<Secured>,
    is_complete: bool,
    /// The number of our next encrypted record.
    next_number: u64,
    /// Encrypted records that were not of this handshake's keys.
    foreign: usize,
}

/// What a handshake starts from.
pub(crate) struct Opening<'h> {
    /// The datagram with the ClientHello, whose cookie was right.
    pub(crate) hello: &'h [u8],
    pub(crate) random: [u8; 32],
    pub(crate) own_cid: Cid,
    /// Longest datagram to the client.
    pub(crate) mtu: u32,
    pub(crate) first_timeout: Duration,
}

impl Handshake {
    /// Starts one; none if OpenSSL can't read what our parser can.
    pub(crate) fn start(
        context: &SslContext,
        opening: &Opening<'_>,
    ) -> Result<Option<Self>, ErrorStack> {
        let mut ssl = Ssl::new(context)?;
        ssl.set_accept_state();
        ssl.set_mtu(opening.mtu)?;
        attach(
            &mut ssl,
            Agreement {
                own_cid: opening.own_cid,
                peer_cid: None,
                identity: None,
                is_known: false,
                is_of_one: false,
                proven: OnceLock::new(),
                first_timeout: opening.first_timeout,
            },
        )?;
        let wire = Wire {
            to_openssl: VecDeque::from([opening.hello.to_vec()]),
            from_openssl: Vec::new(),
        };
        let mut stream = SslStream::new(ssl, wire)?;
        ffi::set_timer(&mut stream);
        if !ffi::listen(&mut stream) {
            return Ok(None);
        }
        Ok(Some(Self {
            stream,
            random: opening.random,
            own_cid: opening.own_cid,
            secured: None,
            is_complete: false,
            next_number: 0,
            foreign: 0,
        }))
    }

    pub(crate) fn random(&self) -> &[u8; 32] {
        &self.random
    }

    pub(crate) fn own_cid(&self) -> &Cid {
        &self.own_cid
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Takes a datagram of the client.
    pub(crate) fn handle(&mut self, datagram: &[u8]) -> Progress {
        let mut rest = datagram;
        let mut clear = Vec::new();
        while let Some(header) = Header::parse(rest, CID_LEN) {
            let (record, after) = rest.split_at(header.record_len());
            rest = after;
            if header.number.epoch == 0 && header.cid.is_empty() {
                clear.extend_from_slice(record);
                continue;
            }
            // The keys may come of what is before it.
            let progress = self.feed(std::mem::take(&mut clear));
            if !matches!(progress, Progress::Going) {
                return progress;
            }
            match self.encrypted(record) {
                Progress::Going => {}
                over => return over,
            }
        }
        self.feed(clear)
    }

    fn feed(&mut self, records: Vec<u8>) -> Progress {
        if records.is_empty() {
            return Progress::Going;
        }
        self.stream.get_mut().to_openssl.push_back(records);
        self.drive()
    }

    fn encrypted(&mut self, record: &[u8]) -> Progress {
        let number = match Header::parse(record, CID_LEN) {
            Some(header) => header.number,
            None => return Progress::Going,
        };
        let is_complete = self.is_complete;
        let Some(secured) = self.secured() else {
            return Progress::Going;
        };
        let mut copy = record.to_vec();
        let Ok(opened) = secured.association.open(&mut SoftAes::new(), &mut copy) else {
            self.foreign += 1;
            return Progress::Going;
        };
        match opened.content {
            Content::Data(data) if is_complete => Progress::Data(data.to_vec()),
            // Before the handshake is complete nobody has anything to say.
            Content::Data(_) => Progress::Going,
            Content::Alert(alert) if alert.ends() => Progress::Failed(Failure::Alert(alert)),
            Content::Alert(_) => Progress::Going,
            Content::Handshake(message) => {
                let record = seal_clear(&secured.keys, number, message);
                self.feed(record.unwrap_or_default())
            }
        }
    }

    /// Lets OpenSSL go on as far as it can.
    pub(crate) fn drive(&mut self) -> Progress {
        let result = if self.is_complete {
            // A Finished that comes again makes it repeat its own.
            self.stream.ssl_read(&mut [0; 64]).map(|_| ())
        } else {
            self.stream.accept()
        };
        match result {
            Ok(()) => {
                self.is_complete = true;
                Progress::Going
            }
            Err(error) => match error.code() {
                ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Progress::Going,
                _ => Progress::Failed(self.failure(error.to_string())),
            },
        }
    }

    /// When OpenSSL wants to repeat its flight, from now.
    pub(crate) fn timeout(&mut self) -> Option<Duration> {
        if self.is_complete {
            return None;
        }
        ffi::timeout(&mut self.stream)
    }

    /// Repeats the flight if it is time.
    pub(crate) fn handle_timeout(&mut self) -> Progress {
        match ffi::handle_timeout(&mut self.stream) {
            true => Progress::Going,
            false => Progress::Failed(self.failure(String::new())),
        }
    }

    fn failure(&self, text: String) -> Failure {
        let ssl = self.stream.ssl();
        let agreement = agreement(ssl);
        let identity = agreement.and_then(|agreement| agreement.identity.clone());
        let is_known = agreement.is_some_and(|agreement| agreement.is_known);
        match identity {
            Some(identity) if !is_known => Failure::UnknownIdentity(identity),
            Some(identity) if self.foreign > 0 => Failure::WrongKey(identity),
            _ if text.is_empty() => Failure::TimedOut,
            None if ssl.verify_result() != X509VerifyResult::OK => {
                Failure::NotBelieved(proof::why(ssl.verify_result()))
            }
            _ => Failure::Refused(text),
        }
    }

    /// Why it did not get any further.
    pub(crate) fn given_up(&self) -> Failure {
        self.failure(String::new())
    }

    /// The keys, as soon as OpenSSL has them.
    fn secured(&mut self) -> Option<&mut Secured> {
        if self.secured.is_none() {
            self.secured = self.derive();
        }
        self.secured.as_mut()
    }

    fn derive(&self) -> Option<Secured> {
        let ssl = self.stream.ssl();
        let mut master = Zeroizing::new([0; 48]);
        if ssl.session()?.master_key(&mut *master) != master.len() {
            return None;
        }
        let suite = u16::from_be_bytes(self.suite()?);
        let (mut client, mut server) = ([0; 32], [0; 32]);
        ssl.client_random(&mut client);
        ssl.server_random(&mut server);
        let secret = MasterSecret::new(*master);
        let keys = secret.keys(Aead::of_suite(suite)?, &client, &server);
        let association = self.association(&keys, Window::NEW)?;
        Some(Secured { keys, association })
    }

    fn suite(&self) -> Option<[u8; 2]> {
        Some(self.stream.ssl().current_cipher()?.protocol_id())
    }

    fn association(&self, keys: &Keys, received: Window) -> Option<Association> {
        let peer_cid = agreement(self.stream.ssl())?.peer_cid;
        Some(Association::new(&Start {
            role: Role::Server,
            keys,
            own_cid: peer_cid.map_or(Cid::EMPTY, |_| self.own_cid),
            peer_cid: peer_cid.unwrap_or(Cid::EMPTY),
            next_number: self.next_number,
            received,
        }))
    }

    /// What OpenSSL wants to send.
    pub(crate) fn transmits(&mut self) -> Vec<Vec<u8>> {
        let datagrams = std::mem::take(&mut self.stream.get_mut().from_openssl);
        let translated = datagrams.iter().map(|datagram| self.translate(datagram));
        translated.filter(|datagram| !datagram.is_empty()).collect()
    }

    /// Notes the numbers of encrypted records, and puts the client's Connection ID into them.
    fn translate(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(datagram.len() + 2 * MAX_OVERHEAD);
        let mut rest = datagram;
        while let Some(header) = Header::parse(rest, 0) {
            let (record, after) = rest.split_at(header.record_len());
            rest = after;
            if header.number.epoch == 0 {
                out.extend_from_slice(record);
                continue;
            }
            self.next_number = self.next_number.max(header.number.sequence + 1);
            let translated = self.secured().and_then(|secured| add_cid(secured, record));
            out.extend_from_slice(&translated.unwrap_or_default());
        }
        out
    }

    /// Lets go of OpenSSL; none before it is complete.
    pub(crate) fn detach(mut self) -> Option<Detached> {
        if !self.is_complete {
            return None;
        }
        let received = *self.secured()?.association.received();
        let secured = self.secured.take()?;
        let association = self.association(&secured.keys, received)?;
        let proven = agreement(self.stream.ssl())?.proven()?;
        Some(Detached {
            association,
            identity: proven.identity,
            is_of_one: proven.is_of_one,
        })
    }
}

/// The record without a Connection ID that OpenSSL reads.
fn seal_clear(keys: &Keys, number: Number, message: &[u8]) -> Option<Vec<u8>> {
    let kind = ContentType::Handshake;
    let mut record = message.to_vec();
    record.resize(message.len() + MAX_OVERHEAD, 0);
    let aes = &mut SoftAes::new();
    let sealed = keys
        .client
        .seal(aes, number, &[], kind, &mut record, message.len(), 0);
    record.truncate(sealed.ok()?);
    Some(record)
}

/// The record as the client wants it.
fn add_cid(secured: &Secured, record: &[u8]) -> Option<Vec<u8>> {
    let cid = secured.association.peer_cid();
    if cid.is_empty() {
        return Some(record.to_vec());
    }
    let aes = &mut SoftAes::new();
    let mut copy = record.to_vec();
    let plain = secured.keys.server.open(aes, &[], &mut copy).ok()?;
    let kind = ContentType::from_number(plain.content_type)?;
    let (number, len) = (plain.number, plain.content.len());
    let mut out = plain.content.to_vec();
    out.resize(len + MAX_OVERHEAD, 0);
    let sealed = secured
        .keys
        .server
        .seal(aes, number, cid.as_bytes(), kind, &mut out, len, 0);
    out.truncate(sealed.ok()?);
    Some(out)
}
