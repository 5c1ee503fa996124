//! The net between a client and its servers with OSCORE, and the far ends of those. It sees every
//! datagram, can lose, double and swap them, and holds the client to using no nonce twice.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

use tinsmith_coap::{Code, Message, MessageType, OptionNumber};
use tinsmith_dtls::SoftAes;
use tinsmith_oscore::{Master, Opened, OscoreOption, Peer, Start};

/// What a server has of one client.
pub(super) struct Far {
    peer: Peer<128, 32>,
    master: Master,
    secret: Vec<u8>,
    seed: u64,
    /// Its answers by message id, as they are before they are sealed.
    replies: HashMap<u16, Vec<u8>>,
    /// Its last request, and as it was sent.
    last: Option<(Vec<u8>, Vec<u8>)>,
    /// Keys of the client's messages: the ID Context that was named last.
    context: Vec<u8>,
    /// Partial IVs of its requests by token.
    asked: HashMap<Vec<u8>, u64>,
    /// It asks for new keys, or for a proof of freshness, this often.
    pub(super) challenges: usize,
}

/// What was sealed with a key and a nonce.
type Nonces = HashMap<(Vec<u8>, Vec<u8>, bool, u64), Vec<u8>>;

/// What becomes of datagrams.
#[derive(Default)]
pub(super) struct Net {
    far: HashMap<SocketAddr, Far>,
    /// Those on their way to the client.
    queue: VecDeque<(SocketAddr, Vec<u8>)>,
    /// All that went to the client, and all that it sent.
    pub(super) to_client: Vec<(SocketAddr, Vec<u8>)>,
    pub(super) from_client: Vec<(SocketAddr, Vec<u8>)>,
    /// One of so many is lost, doubled or held back; none if it is 0.
    pub(super) trouble: u64,
    /// What is held back.
    late: Vec<(SocketAddr, Vec<u8>)>,
    seed: u64,
    nonces: Nonces,
    /// How often a server had to show that its request was a new one.
    pub(super) challenged: usize,
    /// Messages that were sent to a server with OSCORE as they are.
    pub(super) plain: usize,
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *seed >> 33
}

impl Far {
    /// The end whose client has this secret; ids as the client sees them.
    pub(super) fn new(secret: &[u8], sender: &[u8], recipient: &[u8], start: Start<'_>) -> Self {
        let master = Master::new(secret, b"salt", recipient, sender).unwrap();
        let peer = Peer::new(master.clone(), start).unwrap();
        let mut far = Self {
            peer,
            master,
            secret: secret.to_vec(),
            seed: 7,
            replies: HashMap::new(),
            last: None,
            context: Vec::new(),
            asked: HashMap::new(),
            challenges: 0,
        };
        far.reserve();
        far
    }

    /// A server that knows of nothing but the secret.
    pub(super) fn lose(&mut self) {
        self.peer = Peer::new(self.master.clone(), Start::Lost).unwrap();
        self.replies.clear();
        self.last = None;
    }

    /// A server that asks for new keys itself, with its next request.
    pub(super) fn begin_anew(&mut self) {
        self.peer.rederive(*b"server's");
    }

    /// A server that was started again.
    pub(super) fn restart(&mut self) {
        let mut stored = [0; 100];
        let len = self.peer.encode(&mut stored).unwrap();
        let start = Start::Stored(&stored[..len]);
        self.peer = Peer::new(self.master.clone(), start).unwrap();
        self.replies.clear();
        self.last = None;
        self.reserve();
    }

    fn reserve(&mut self) {
        if self.peer.numbers_left() < 100 {
            let reservation = self.peer.reserve(10_000);
            self.peer.confirm_reserved(reservation);
        }
    }

    pub(super) fn seal(&mut self, message: &[u8]) -> Vec<u8> {
        self.reserve();
        let mut out = [0; 2_000];
        let len = self.peer.seal(&mut SoftAes::new(), message, &mut out);
        out[..len.unwrap()].to_vec()
    }

    /// The content of a message that is new.
    #[cfg(feature = "dtls")]
    pub(super) fn take(&mut self, datagram: &[u8]) -> Vec<u8> {
        match self.open(datagram) {
            (Opened::Message(message), plain) if !message.repeated => plain,
            (other, _) => panic!("{other:?}"),
        }
    }

    fn open(&mut self, datagram: &[u8]) -> (Opened, Vec<u8>) {
        let mut out = [0; 2_000];
        let seed = &mut self.seed;
        let mut random = |place: &mut [u8]| place.fill_with(|| next(seed) as u8);
        let aes = &mut SoftAes::new();
        let mut datagram = datagram.to_vec();
        let opened = self.peer.open(aes, &mut random, &mut datagram, &mut out);
        self.reserve();
        let len = match opened {
            Opened::Message(message) => message.len,
            Opened::Answer { len, .. } => len,
            _ => 0,
        };
        (opened, out[..len].to_vec())
    }
}

impl Net {
    pub(super) fn add(&mut self, address: &str, far: Far) {
        self.far.insert(address.parse().unwrap(), far);
    }

    pub(super) fn far(&mut self, address: &str) -> &mut Far {
        let address: SocketAddr = address.parse().unwrap();
        self.far.get_mut(&address).unwrap()
    }

    /// What is on its way is lost.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.late.clear();
    }

    pub(super) fn seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// How many nonces the client has used.
    pub(super) fn nonces(&self) -> usize {
        self.nonces.len()
    }

    /// A datagram of the client: what its receiver makes of it.
    pub(super) fn takes(&mut self, to: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.from_client.push((to, datagram.to_vec()));
        self.look_at_nonce(to, datagram);
        if !self.far.contains_key(&to) {
            return vec![datagram.to_vec()];
        }
        let copies = self.copies();
        (0..copies)
            .filter_map(|_| self.arrives(to, datagram))
            .collect()
    }

    fn copies(&mut self) -> usize {
        if self.trouble == 0 {
            return 1;
        }
        match next(&mut self.seed) % (2 * self.trouble) {
            0 => 0,
            1 => 2,
            _ => 1,
        }
    }

    fn arrives(&mut self, to: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let far = self.far.get_mut(&to)?;
        match far.open(datagram) {
            (Opened::Message(message), plain) => {
                // It has to show that its request is a new one.
                if message.again {
                    self.challenged += 1;
                    let (again, _) = far.last.clone()?;
                    let sealed = far.seal(&again);
                    far.last = Some((again, sealed.clone()));
                    self.on_its_way(to, &sealed);
                    return None;
                }
                let parsed = Message::parse(&plain).unwrap();
                let reply = far.replies.get(&parsed.message_id()).cloned();
                let is_request = parsed.code().is_request();
                if !message.repeated {
                    return Some(plain);
                }
                let answer = match is_request {
                    true => far.seal(&reply?),
                    false if parsed.message_type() == MessageType::Confirmable => {
                        let [high, low] = parsed.message_id().to_be_bytes();
                        vec![0x60, 0, high, low]
                    }
                    false => return None,
                };
                self.on_its_way(to, &answer);
                None
            }
            (Opened::Answer { why, .. }, answer) => {
                far.challenges += usize::from(why.is_none());
                self.on_its_way(to, &answer);
                None
            }
            (Opened::Unprotected, _) => {
                self.plain += 1;
                Some(datagram.to_vec())
            }
            (Opened::Dropped(_), _) => None,
        }
    }

    /// A message for the client; false, and nothing done, if its server has no OSCORE.
    pub(super) fn sends(&mut self, from: SocketAddr, message: &[u8]) -> bool {
        let Some(far) = self.far.get_mut(&from) else {
            return false;
        };
        let sealed = far.seal(message);
        if let Ok(parsed) = Message::parse(message) {
            if parsed.code().is_response() {
                far.replies.insert(parsed.message_id(), message.to_vec());
            }
            if parsed.code().is_request() {
                far.last = Some((message.to_vec(), sealed.clone()));
            }
        }
        self.on_its_way(from, &sealed);
        true
    }

    /// The last request of a server once more, as CoAP repeats it.
    pub(super) fn repeat(&mut self, from: SocketAddr) {
        let far = self.far.get(&from);
        if let Some((_, last)) = far.and_then(|far| far.last.clone()) {
            self.on_its_way(from, &last);
        }
    }

    /// A datagram as it is, from anybody.
    pub(super) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.queue.push_back((from, datagram.to_vec()));
    }

    fn on_its_way(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.note_request(from, datagram);
        self.to_client.push((from, datagram.to_vec()));
        for _ in 0..self.copies() {
            if self.trouble > 0 && next(&mut self.seed).is_multiple_of(2 * self.trouble) {
                self.late.push((from, datagram.to_vec()));
            } else {
                self.queue.push_back((from, datagram.to_vec()));
                self.queue.extend(self.late.drain(..));
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.queue.pop_front()
    }

    fn note_request(&mut self, from: SocketAddr, datagram: &[u8]) {
        let (Some(far), Ok(message)) = (self.far.get_mut(&from), Message::parse(datagram)) else {
            return;
        };
        let option = message.option(OptionNumber::OSCORE);
        let option = option.and_then(OscoreOption::decode);
        if let Some(option) = option.filter(|_| message.code().is_request()) {
            let token = message.token().as_bytes().to_vec();
            far.asked.insert(token, option.partial_iv.unwrap());
            far.context = option.kid_context.unwrap_or_default().to_vec();
        }
    }

    /// The same key and nonce are only used for the same bytes.
    fn look_at_nonce(&mut self, to: SocketAddr, datagram: &[u8]) {
        let (Some(far), Ok(message)) = (self.far.get_mut(&to), Message::parse(datagram)) else {
            return;
        };
        let Some(option) = message.option(OptionNumber::OSCORE) else {
            return;
        };
        let option = OscoreOption::decode(option).unwrap();
        if message.code().is_request() {
            far.context = option.kid_context.unwrap_or_default().to_vec();
        }
        let context = option
            .kid_context
            .map_or(far.context.clone(), <[u8]>::to_vec);
        let token = message.token().as_bytes().to_vec();
        let (own, number) = match option.partial_iv {
            Some(number) => (true, number),
            None => (false, far.asked[&token]),
        };
        let sealed = message.payload().to_vec();
        let nonce = (far.secret.clone(), context, own, number);
        let before = self.nonces.insert(nonce.clone(), sealed.clone());
        assert!(before.is_none_or(|b| b == sealed), "used twice: {nonce:?}");
    }

    /// Every datagram of the client was protected, but for those without a code and the answers to
    /// messages that were not.
    pub(super) fn assert_protected(&self) {
        let bare: HashSet<_> = (self.from_client.iter())
            .filter(|(to, _)| self.far.contains_key(to))
            .filter_map(|(_, datagram)| {
                let message = Message::parse(datagram).unwrap();
                let bare = message.option(OptionNumber::OSCORE).is_none();
                let kind = message.message_type();
                let empty = message.code() == Code::EMPTY;
                (bare && !empty).then_some((message.code(), kind == MessageType::Acknowledgement))
            })
            .collect();
        assert!(bare.is_empty(), "{bare:?}");
    }
}
