//! Datagrams and time in; datagrams, data and ends out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use openssl::error::ErrorStack;
use openssl::ssl::SslContext;
use sha2::Sha256;
use tinsmith_dtls::{Cid, connection_id};
use tinsmith_peer::Identity;

use crate::associations::{Associations, Entry};
use crate::cid::{self, CID_LEN};
use crate::config::{Config, Counters, Output};
use crate::context;
use crate::cookie::{Cookies, keyed};
use crate::credentials::Credentials;
use crate::handshake::{Detached, Failure, Handshake, Opening, Progress};
use crate::hello::{ClientHello, is_hello};
use crate::pending::Handshakes;
use crate::siblings::{Siblings, Whose};

/// The DTLS side of one UDP socket, or of one of several at the same address.
///
/// [`handle`](Self::handle) for each datagram, [`tick`](Self::tick) at
/// [`next_deadline`](Self::next_deadline), [`send`](Self::send) for data; after each of them
/// [`poll`](Self::poll) until it gives nothing. Times are milliseconds of a monotonic clock.
///
/// An association belongs to whoever proved an identity; its number is not used again while it is
/// there. Its address is that of the newest authentic record, if it has a Connection ID (RFC 9146
/// §6); without one it is the association.
///
/// # Several at one address
/// Each has a socket and a thread of its own, and what they promise together is in [`Siblings`]. A
/// datagram may come to any of them; who sees that it is another's says so
/// ([`Output::HandOver`]), and only the one whose association it is opens its records. What a later
/// handshake takes the place of ends wherever it is ([`Output::Ask`]).
///
/// # When there is no room
/// A handshake too many is not begun. For an association too many one of the others goes: of
/// the next 16 in turn, at the server that has most of them, the one that was not heard for the
/// longest time. Its peer is not told, as it
/// is most likely gone; if it is not, its datagrams are not answered and it begins again.
pub struct Server {
    pub(crate) config: Config,
    pub(crate) context: SslContext,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) siblings: Arc<Siblings>,
    cookies: Cookies,
    /// What Connection IDs are made unguessable with.
    naming: Hmac<Sha256>,
    named: u64,
    pub(crate) handshakes: Handshakes,
    pub(crate) associations: Associations,
    pub(crate) outputs: VecDeque<Output>,
    pub(crate) counters: Counters,
}

impl Server {
    /// A server without associations, alone at its address. `seed` are random bytes for this one
    /// only.
    ///
    /// # Errors
    /// OpenSSL can't be set up.
    pub fn new(
        now: u64,
        config: Config,
        credentials: Arc<dyn Credentials>,
        seed: [u8; 32],
    ) -> Result<Self, ErrorStack> {
        let config = Config {
            worker: 0,
            ..config
        };
        Self::beside(now, config, credentials, &Siblings::new(1, seed))
    }

    /// The same beside others of its listener. Which it is, the configuration says; there is one for
    /// each number, and their clocks show the same time.
    ///
    /// # Errors
    /// OpenSSL can't be set up.
    pub fn beside(
        now: u64,
        config: Config,
        credentials: Arc<dyn Credentials>,
        siblings: &Arc<Siblings>,
    ) -> Result<Self, ErrorStack> {
        let seed = siblings.seed();
        let mut naming = keyed(seed);
        naming.update(b"names");
        naming.update(&[config.worker]);
        let index = usize::from(config.worker);
        Ok(Self {
            context: context::context(&credentials, config.own.as_ref())?,
            config,
            credentials,
            cookies: Cookies::new(now, seed.clone()),
            naming,
            named: 0,
            handshakes: Handshakes::default(),
            associations: Associations::new(Arc::clone(siblings), index),
            siblings: Arc::clone(siblings),
            outputs: VecDeque::new(),
            counters: Counters::default(),
        })
    }

    /// Takes a datagram; its bytes may be changed.
    pub fn handle(&mut self, now: u64, from: SocketAddr, datagram: &mut [u8]) {
        if is_hello(datagram) {
            return self.hello(now, from, datagram);
        }
        match self.whose(from, datagram) {
            Whose::Ours => {}
            Whose::Theirs(other) => return self.hand_over(other, from, datagram),
            Whose::Both(other) => self.hand_over(other, from, datagram),
        }
        self.take(now, from, datagram);
    }

    /// Takes a datagram that is no hello and belongs here.
    pub(crate) fn take(&mut self, now: u64, from: SocketAddr, datagram: &mut [u8]) {
        let name = connection_id(datagram, CID_LEN);
        let known = match name {
            Some(name) => self.associations.named(name),
            None => self.associations.at(from),
        };
        let Some(number) = known else {
            // Its client may have moved since.
            let at = name.and_then(|name| self.handshakes.named(name));
            return self.handshake(now, at.unwrap_or(from), from, datagram);
        };
        if self.handshakes.get(from).is_none() {
            if !self.records(now, number, from, datagram) {
                self.counters.dropped += 1;
            }
            return;
        }
        // It may be of the handshake that is to follow.
        let copy = datagram.to_vec();
        if !self.records(now, number, from, datagram) {
            self.handshake(now, from, from, &copy);
        }
    }

    fn hello(&mut self, now: u64, from: SocketAddr, datagram: &[u8]) {
        let Some(hello) = ClientHello::parse(datagram) else {
            self.counters.dropped += 1;
            return;
        };
        if !self.cookies.is_right(now, from, &hello) {
            let cookie = self.cookies.make(now, from, &hello);
            self.counters.cookies += 1;
            return self.transmit(from, hello.verify_request(&cookie));
        }
        match self.handshakes.get(from) {
            // The answer is under way, and is repeated by its own timer.
            Some(handshake) if handshake.random() == hello.random => return,
            Some(_) => drop(self.handshakes.remove(from)),
            None => {}
        }
        let number = self.associations.free_number(self.config.worker);
        let place = self.siblings.place(from, &self.config);
        let (Some(number), Some(place)) = (number, place) else {
            self.counters.refused += 1;
            return;
        };
        let opening = Opening {
            hello: datagram,
            random: *hello.random,
            own_cid: self.name(number),
            mtu: self.config.mtu,
            first_timeout: self.config.first_timeout,
        };
        self.counters.begun += 1;
        let mut handshake = match Handshake::start(&self.context, &opening) {
            Ok(Some(handshake)) => handshake,
            Ok(None) => {
                let why = Failure::Refused("its ClientHello".to_owned());
                return self.failed(from, why);
            }
            Err(error) => return self.failed(from, Failure::Refused(error.to_string())),
        };
        let progress = handshake.drive();
        let time = self.config.handshake_time.as_millis() as u64;
        self.handshakes
            .insert(from, handshake, now.saturating_add(time), place);
        self.settle(now, from, from, progress);
    }

    fn name(&mut self, number: u32) -> Cid {
        self.named += 1;
        let mut naming = self.naming.clone();
        naming.update(&self.named.to_be_bytes());
        let made = naming.finalize().into_bytes();
        cid::make(number, [made[0], made[1], made[2]])
    }

    /// A datagram of the handshake that began at an address.
    fn handshake(&mut self, now: u64, at: SocketAddr, from: SocketAddr, datagram: &[u8]) {
        let Some(pending) = self.handshakes.get_mut(at) else {
            self.counters.dropped += 1;
            return;
        };
        let progress = pending.handshake.handle(datagram);
        self.settle(now, at, from, progress);
    }

    /// Sends what a handshake has to send, and ends it if it is over.
    fn settle(&mut self, now: u64, at: SocketAddr, from: SocketAddr, progress: Progress) {
        let Some(pending) = self.handshakes.get_mut(at) else {
            return;
        };
        for datagram in pending.handshake.transmits() {
            self.outputs.push_back(Output::Transmit(at, datagram));
        }
        match progress {
            Progress::Going => self.handshakes.arm(now, at),
            Progress::Data(data) => {
                if let Some(number) = self.detach(now, at, from) {
                    self.received(number, data);
                }
            }
            Progress::Failed(why) => {
                self.handshakes.remove(at);
                self.failed(at, why);
            }
        }
    }

    pub(crate) fn failed(&mut self, from: SocketAddr, why: Failure) {
        self.counters.failed += 1;
        self.outputs.push_back(Output::Failed(from, why));
    }

    /// Makes an association of a complete handshake, with a peer that was heard from an address.
    fn detach(&mut self, now: u64, at: SocketAddr, from: SocketAddr) -> Option<u32> {
        let handshake = self.handshakes.remove(at)?;
        let number = cid::number_of(handshake.own_cid().as_bytes())?;
        let Detached {
            association,
            proven,
        } = handshake.detach()?;
        // It may have been taken away meanwhile.
        let Some(is_of_one) = self.lets_in(&proven.identity, &proven.by) else {
            self.refuse(from, association);
            return None;
        };
        let identity = Arc::new(proven.identity);
        self.counters.completed += 1;
        if self.associations.get(number).is_some() {
            // The counter has come round while the handshake was under way.
            return None;
        }
        // What the new one takes the place of.
        let at = self.associations.at(from);
        if let Some(old) = at.or_else(|| self.siblings.stray(from)) {
            self.replaced(old);
        }
        if is_of_one {
            self.only(&identity, number);
        }
        self.make_room();
        let mut entry = Entry {
            association,
            address: from,
            identity,
            is_of_one,
            by: proven.by,
            heard: now,
            asked: None,
        };
        match self.config.reserve {
            None => entry.association.use_all_numbers(),
            Some(count) => {
                // Before its first record is durable a restart forgets the association, and its
                // numbers with it.
                let mark = entry.association.reserve(count);
                entry.association.confirm_reserved(mark);
            }
        }
        self.associations.insert(number, entry);
        self.keep(number);
        Some(number)
    }

    /// Does what is due.
    pub fn tick(&mut self, now: u64) {
        while let Some(address) = self.handshakes.due(now) {
            let Some(pending) = self.handshakes.get_mut(address) else {
                continue;
            };
            if now < pending.ends {
                let progress = pending.handshake.handle_timeout();
                self.settle(now, address, address, progress);
            } else if pending.handshake.is_complete() {
                // Its client has nothing to say yet, and needs nothing repeated any more.
                self.detach(now, address, address);
            } else {
                let why = pending.handshake.given_up();
                self.handshakes.remove(address);
                self.failed(address, why);
            }
        }
    }

    /// When to call [`tick`](Self::tick); none if there is nothing to wait for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.handshakes.next_deadline()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What happened since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Handshakes in progress, and associations.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        (self.handshakes.len(), self.associations.len())
    }

    /// Whose an association is.
    #[must_use]
    pub fn identity(&self, number: u32) -> Option<&Identity> {
        let entry = self.associations.get(number)?;
        Some(&entry.identity)
    }

    pub(crate) fn transmit(&mut self, to: SocketAddr, datagram: Vec<u8>) {
        self.outputs.push_back(Output::Transmit(to, datagram));
    }
}
