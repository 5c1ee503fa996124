//! A DTLS server with pre-shared keys or a key pair, for one client, made of the crate's record layer: what a
//! client meets, and what it does not meet in good company.
#![allow(dead_code, unreachable_pub)]

use sha2::{Digest, Sha256};

use super::pairs::{Pairs, premaster};
use tinsmith_dtls::{
    Aead, Alert, AlertDescription, Association, Cid, Content, ContentType, Credentials, Header,
    MasterSecret, Role, Sender, SoftAes, Start, Window, records,
};

/// What a server is like.
#[derive(Clone)]
pub struct Manner {
    pub identity: Vec<u8>,
    pub key: Vec<u8>,
    pub aead: Aead,
    /// The Connection ID that it gives out; none if it does not know the extension.
    pub cid: Option<Cid>,
    pub cookie: Vec<u8>,
    pub hint: Option<Vec<u8>>,
    pub extended: bool,
    /// Bytes of body in one fragment of a handshake message.
    pub fragment: usize,
    /// The same of its Finished.
    pub finished: usize,
    /// Each record in a datagram of its own.
    pub apart: bool,
    /// Changes the body of each message that it sends.
    pub tamper: fn(u8, &mut Vec<u8>),
    /// Key pairs instead of the pre-shared key.
    pub pairs: Option<Pairs>,
}

impl Manner {
    pub fn plain() -> Self {
        Self {
            identity: b"device-1".to_vec(),
            key: b"0123456789abcdef".to_vec(),
            aead: Aead::Ccm8,
            cid: Some(Cid::new(b"server-1").expect("short")),
            cookie: vec![0xc0; 20],
            hint: None,
            extended: true,
            fragment: 1000,
            finished: 12,
            apart: false,
            tamper: |_, _| {},
            pairs: None,
        }
    }

    /// What a client with its pre-shared key has.
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials::Psk {
            identity: &self.identity,
            key: &self.key,
        }
    }
}

struct Hello {
    random: [u8; 32],
    cookie: Vec<u8>,
    suites: Vec<u16>,
    extended: bool,
    cid: Option<Cid>,
}

pub struct Server {
    manner: Manner,
    random: [u8; 32],
    clear: u64,
    hello: Option<Hello>,
    transcript: Sha256,
    /// The flight that answers a ClientHello, in messages.
    flight: Vec<Vec<u8>>,
    next_out: u16,
    association: Option<Association>,
    master: Option<MasterSecret>,
    finished: Option<Vec<u8>>,
    /// The client has shown its key, or has shown that it is its own.
    shown: bool,
    proven: bool,
    pub connected: bool,
    pub received: Vec<Vec<u8>>,
    pub alert: Option<Alert>,
    pub handshakes: usize,
}

fn take<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8], len: usize) -> Option<usize> {
    let bytes = take(bytes, len)?;
    Some(
        bytes
            .iter()
            .fold(0, |all, byte| all << 8 | usize::from(*byte)),
    )
}

fn vector<'b>(bytes: &mut &'b [u8], len: usize) -> Option<&'b [u8]> {
    let len = number(bytes, len)?;
    take(bytes, len)
}

fn read_hello(mut body: &[u8]) -> Option<Hello> {
    take(&mut body, 2)?;
    let random = take(&mut body, 32)?.try_into().ok()?;
    vector(&mut body, 1)?;
    let cookie = vector(&mut body, 1)?.to_vec();
    let suites = vector(&mut body, 2)?.chunks(2);
    let suites = suites.map(|s| u16::from_be_bytes([s[0], *s.last().unwrap_or(&0)]));
    let suites = suites.collect();
    vector(&mut body, 1)?;
    let mut extensions = vector(&mut body, 2)?;
    let (mut extended, mut cid) = (false, None);
    while !extensions.is_empty() {
        let kind = number(&mut extensions, 2)?;
        let mut content = vector(&mut extensions, 2)?;
        match kind {
            23 => extended = true,
            54 => cid = Some(Cid::new(vector(&mut content, 1)?).ok()?),
            _ => {}
        }
    }
    Some(Hello {
        random,
        cookie,
        suites,
        extended,
        cid,
    })
}

/// A message in one piece.
fn message(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let mut message = vec![kind];
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(&sequence.to_be_bytes());
    message.extend_from_slice(&[0; 3]);
    message.extend_from_slice(&len[1..]);
    message.extend_from_slice(body);
    message
}

/// The part of a message from `offset` on.
pub fn fragment(message: &[u8], offset: usize, len: usize) -> Vec<u8> {
    let (header, body) = message.split_at(12);
    let mut fragment = header.to_vec();
    fragment[6..9].copy_from_slice(&(offset as u32).to_be_bytes()[1..]);
    fragment[9..].copy_from_slice(&(len as u32).to_be_bytes()[1..]);
    fragment.extend_from_slice(&body[offset..offset + len]);
    fragment
}

/// All of a message, in fragments with at most `most` bytes of its body.
fn fragments(message: &[u8], most: usize) -> impl Iterator<Item = Vec<u8>> {
    let body = message.len() - 12;
    let offsets = (0..body.max(1)).step_by(most);
    offsets.map(move |offset| fragment(message, offset, most.min(body - offset)))
}

impl Server {
    pub fn new(manner: Manner, seed: u8) -> Self {
        Self {
            manner,
            random: [seed; 32],
            clear: 0,
            hello: None,
            transcript: Sha256::new(),
            flight: Vec::new(),
            next_out: 0,
            association: None,
            master: None,
            finished: None,
            shown: false,
            proven: false,
            connected: false,
            received: Vec::new(),
            alert: None,
            handshakes: 0,
        }
    }

    /// Takes a datagram; the datagrams that answer it.
    pub fn handle(&mut self, datagram: &[u8]) -> Vec<Vec<u8>> {
        let mut datagram = datagram.to_vec();
        let own = self.manner.cid.map_or(0, |cid| cid.len());
        let mut out = Vec::new();
        for record in records(&mut datagram, own) {
            let Some(header) = Header::parse(record, own) else {
                continue;
            };
            if header.number.epoch == 0 {
                let (kind, start) = (header.outer_type, header.len);
                match ContentType::from_number(kind) {
                    Some(ContentType::Handshake) => self.clear_messages(&record[start..], &mut out),
                    Some(ContentType::Alert) => self.alert = Alert::from_bytes(&record[start..]),
                    _ => {}
                }
            } else {
                self.protected(record, &mut out);
            }
        }
        if self.manner.apart {
            return out;
        }
        let together = out.concat();
        if together.is_empty() {
            vec![]
        } else {
            vec![together]
        }
    }

    fn clear_messages(&mut self, mut bytes: &[u8], out: &mut Vec<Vec<u8>>) {
        let mut read = || {
            let whole = bytes;
            let kind = number(&mut bytes, 1)?;
            let len = number(&mut bytes, 3)?;
            take(&mut bytes, 8)?;
            let body = take(&mut bytes, len)?;
            Some((kind, body, &whole[..12 + len]))
        };
        while let Some((kind, body, whole)) = read() {
            match kind {
                1 => drop(self.client_hello(body, whole, out)),
                11 => drop(self.client_certificate(body, whole)),
                15 => drop(self.client_proof(body, whole)),
                16 => drop(self.key_exchange(body, whole)),
                _ => {}
            }
        }
    }

    fn client_hello(&mut self, body: &[u8], whole: &[u8], out: &mut Vec<Vec<u8>>) -> Option<()> {
        let hello = read_hello(body)?;
        if hello.cookie != self.manner.cookie {
            let mut body = vec![0xfe, 0xff, self.manner.cookie.len() as u8];
            body.extend_from_slice(&self.manner.cookie);
            (self.manner.tamper)(3, &mut body);
            out.push(self.clear_record(22, &message(3, 0, &body)));
            return Some(());
        }
        if self.connected {
            return None;
        }
        let known = self
            .hello
            .as_ref()
            .is_some_and(|h| h.random == hello.random);
        if !known && !hello.suites.contains(&self.suite()) {
            out.push(self.clear_record(21, &[2, 40]));
            return None;
        }
        if !known {
            self.handshakes += 1;
            self.transcript = Sha256::new();
            self.transcript.update(whole);
            self.next_out = u16::from(!self.manner.cookie.is_empty());
            self.association = None;
            (self.shown, self.proven) = (false, false);
            self.flight = self.answer(&hello);
            for message in &self.flight {
                self.transcript.update(message);
            }
            self.hello = Some(hello);
        }
        for message in self.flight.clone() {
            for fragment in fragments(&message, self.manner.fragment) {
                out.push(self.clear_record(22, &fragment));
            }
        }
        Some(())
    }

    fn answer(&mut self, hello: &Hello) -> Vec<Vec<u8>> {
        let mut server_hello = vec![0xfe, 0xfd];
        server_hello.extend_from_slice(&self.random);
        server_hello.push(0);
        server_hello.extend_from_slice(&self.suite().to_be_bytes());
        server_hello.push(0);
        let mut extensions = vec![0xff, 0x01, 0, 1, 0];
        if self.manner.extended && hello.extended {
            extensions.extend_from_slice(&[0, 23, 0, 0]);
        }
        if let (Some(own), Some(_)) = (&self.manner.cid, hello.cid) {
            let len = own.len() as u8;
            extensions.extend_from_slice(&[0, 54, 0, len + 1, len]);
            extensions.extend_from_slice(own.as_bytes());
        }
        if let Some(pairs) = &self.manner.pairs {
            extensions.extend_from_slice(&pairs.extensions);
        }
        server_hello.extend_from_slice(&(extensions.len() as u16).to_be_bytes());
        server_hello.extend_from_slice(&extensions);
        let mut bodies = vec![(2, server_hello)];
        if let Some(hint) = &self.manner.hint {
            let len = (hint.len() as u16).to_be_bytes();
            bodies.push((12, [&len[..], hint].concat()));
        }
        if let Some(pairs) = &self.manner.pairs {
            bodies.extend(pairs.bodies(&hello.random, &self.random));
        }
        bodies.push((14, vec![]));
        let mut messages = Vec::new();
        for (kind, mut body) in bodies {
            (self.manner.tamper)(kind, &mut body);
            messages.push(message(kind, self.next_out, &body));
            self.next_out += 1;
        }
        messages
    }

    fn suite(&self) -> u16 {
        match &self.manner.pairs {
            None => self.manner.aead.psk_suite(),
            Some(_) => self.manner.aead.ecdhe_suite(),
        }
    }

    fn client_certificate(&mut self, body: &[u8], whole: &[u8]) -> Option<()> {
        let expected = self.manner.pairs.as_ref()?.client.as_deref()?;
        if body == expected && !self.shown && self.association.is_none() {
            self.transcript.update(whole);
            self.shown = true;
        }
        Some(())
    }

    fn client_proof(&mut self, body: &[u8], whole: &[u8]) -> Option<()> {
        let pairs = self.manner.pairs.as_ref()?;
        self.association.as_ref().filter(|_| !self.proven)?;
        let hash = self.transcript.clone().finalize().into();
        if pairs.has_signed(&hash, body) {
            self.transcript.update(whole);
            self.proven = true;
        }
        Some(())
    }

    fn key_exchange(&mut self, mut body: &[u8], whole: &[u8]) -> Option<()> {
        let hello = self.hello.as_ref().filter(|_| self.association.is_none())?;
        let extended = self.manner.extended && hello.extended;
        let master = if let Some(pairs) = &self.manner.pairs {
            if pairs.client.is_some() && !self.shown {
                return None;
            }
            self.proven = pairs.client.is_none();
            let premaster = premaster(&self.random, body)?;
            self.transcript.update(whole);
            let hash = self.transcript.clone().finalize().into();
            match extended {
                true => MasterSecret::extended_of_agreement(&premaster, &hash),
                false => MasterSecret::of_agreement(&premaster, &hello.random, &self.random),
            }
        } else {
            if vector(&mut body, 2)? != self.manner.identity {
                return None;
            }
            self.proven = true;
            self.transcript.update(whole);
            let hash = self.transcript.clone().finalize().into();
            let key = &self.manner.key;
            let master = match extended {
                true => MasterSecret::extended_of_psk(key, &hash),
                false => MasterSecret::of_psk(key, &hello.random, &self.random),
            };
            master.ok()?
        };
        let agreed = hello.cid.and(self.manner.cid);
        let mut association = Association::new(&Start {
            role: Role::Server,
            keys: &master.keys(self.manner.aead, &hello.random, &self.random),
            own_cid: agreed.unwrap_or(Cid::EMPTY),
            peer_cid: agreed.and(hello.cid).unwrap_or(Cid::EMPTY),
            next_number: 0,
            received: Window::NEW,
        });
        association.use_all_numbers();
        self.association = Some(association);
        self.master = Some(master);
        Some(())
    }

    fn protected(&mut self, record: &mut [u8], out: &mut Vec<Vec<u8>>) {
        let Some(association) = &mut self.association else {
            return;
        };
        let opened = association.open(&mut SoftAes::new(), record);
        match opened.map(|opened| opened.content) {
            Ok(Content::Data(data)) if self.connected => self.received.push(data.to_vec()),
            Ok(Content::Alert(alert)) => self.alert = Some(alert),
            Ok(Content::Handshake(message)) => {
                let message = message.to_vec();
                self.client_finished(&message, out);
            }
            _ => {}
        }
    }

    fn client_finished(&mut self, finished: &[u8], out: &mut Vec<Vec<u8>>) {
        if !self.proven {
            return;
        }
        if !self.connected {
            let Some(master) = &self.master else { return };
            let hash = self.transcript.clone().finalize().into();
            if finished.get(12..) != Some(&master.verify_data(Sender::Client, &hash)[..]) {
                return;
            }
            self.transcript.update(finished);
            let hash = self.transcript.clone().finalize().into();
            let mut data = master.verify_data(Sender::Server, &hash).to_vec();
            (self.manner.tamper)(20, &mut data);
            self.finished = Some(message(20, self.next_out, &data));
            self.connected = true;
        }
        let change = self.clear_record(20, &[1]);
        out.push(change);
        if let Some(finished) = self.finished.clone() {
            for fragment in fragments(&finished, self.manner.finished) {
                out.push(self.seal(ContentType::Handshake, &fragment));
            }
        }
    }

    pub fn seal(&mut self, kind: ContentType, content: &[u8]) -> Vec<u8> {
        let association = self.association.as_mut().expect("connected");
        let mut buffer = content.to_vec();
        buffer.resize(content.len() + association.overhead(), 0);
        let sealed = association.seal(&mut SoftAes::new(), kind, &mut buffer, content.len());
        sealed.expect("there is room");
        buffer
    }

    pub fn send_alert(&mut self, description: AlertDescription) -> Vec<u8> {
        let alert = Alert::fatal(description);
        self.seal(ContentType::Alert, &alert.to_bytes())
    }

    pub fn clear_record(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xfe, 0xfd];
        record.extend_from_slice(&self.clear.to_be_bytes());
        record.extend_from_slice(&(content.len() as u16).to_be_bytes());
        record.extend_from_slice(content);
        self.clear += 1;
        record
    }

    pub fn manner(&self) -> &Manner {
        &self.manner
    }

    pub fn association(&self) -> Option<&Association> {
        self.association.as_ref()
    }
}
