//! Devices that make a DTLS handshake, register, and update their registration.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tinsmith_coap::{
    BuildError, Builder, Code, Message, MessageType, OptionNumber, Token, stateless,
};
use tinsmith_dtls::{Client, ContentType, Credentials, Offer, Output, Received, SoftAes, records};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::register;

/// How often a device looks at its timers.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer may take before a request is sent again.
const AGAIN: Duration = Duration::from_secs(2);
const MTU: usize = 1500;

/// A device with an association.
pub struct SecureDevice {
    socket: UdpSocket,
    client: Client,
    aes: SoftAes,
    start: Instant,
    id: u16,
    /// Its registration.
    location: Vec<Vec<u8>>,
}

impl SecureDevice {
    /// Registers `load-<number>` over DTLS with a pre-shared key.
    ///
    /// # Errors
    /// The socket failed, the handshake did, the Register was refused, or it took too long.
    pub async fn register(
        server: SocketAddr,
        number: u32,
        identity: &str,
        key: &[u8],
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(server).await?;
        let mut client = Client::new();
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_be_bytes());
        client.connect(0, Offer::DEFAULT, random);
        let mut device = Self {
            socket,
            client,
            aes: SoftAes::new(),
            start: Instant::now(),
            id: number as u16,
            location: Vec::new(),
        };
        let credentials = Credentials::Psk {
            identity: identity.as_bytes(),
            key,
        };
        let mut request = [0; MTU];
        let len = register(&mut request, device.id, number);
        device
            .ask(&request[..len], Code::CREATED, &credentials)
            .await?;
        Ok(device)
    }

    /// Says that it is alive (LwM2M TS 1.1 §6.2.2).
    ///
    /// # Errors
    /// The socket failed, the Update was refused, or it took too long.
    pub async fn update(&mut self) -> io::Result<()> {
        let mut request = [0; 128];
        self.id = self.id.wrapping_add(1);
        let build = |buf: &mut [u8]| -> Result<usize, BuildError> {
            let token = Token::new(&self.id.to_be_bytes()).unwrap_or(Token::EMPTY);
            let mut b = Builder::new(buf, MessageType::Confirmable, Code::POST, self.id, token)?;
            for segment in &self.location {
                b.option(OptionNumber::URI_PATH, segment)?;
            }
            Ok(b.len())
        };
        let len = build(&mut request).map_err(|error| io::Error::other(format!("{error:?}")))?;
        let none = Credentials::Psk {
            identity: &[],
            key: &[],
        };
        self.ask(&request[..len], Code::CHANGED, &none).await
    }

    /// Sends a request until it is answered. What the server asks meanwhile is answered with 4.04.
    async fn ask(
        &mut self,
        request: &[u8],
        expected: Code,
        credentials: &Credentials<'_>,
    ) -> io::Result<()> {
        let begun = Instant::now();
        let token = Message::parse(request).ok().map(|message| message.token());
        let mut sent: Option<Instant> = None;
        let mut buffer = [0; MTU];
        while begun.elapsed() < PATIENCE {
            let now = self.start.elapsed().as_millis() as u64;
            while let Some(output) = self.client.poll(now, &mut self.aes, &mut buffer) {
                match output {
                    Output::Transmit(len) => drop(self.socket.send(&buffer[..len]).await?),
                    Output::Failed(error) => return Err(io::Error::other(error.to_string())),
                }
            }
            if sent.is_none_or(|at| at.elapsed() > AGAIN) && self.seal_and_send(request).await? {
                sent = Some(Instant::now());
            }
            let Ok(received) = timeout(LOOK, self.socket.recv(&mut buffer)).await else {
                continue;
            };
            let own = self.client.own_cid_len();
            let mut reply = None;
            let mut answered = None;
            for record in records(&mut buffer[..received?], own) {
                let received = self.client.handle(now, record, credentials, &mut self.aes);
                let Received::Data(data) = received else {
                    continue;
                };
                let Ok(message) = Message::parse(data) else {
                    continue;
                };
                if message.code().is_request() {
                    let mut out = [0; 64];
                    let none = |_: &mut Builder<'_>| Ok(());
                    let made = stateless::reply(&message, 0, Code::NOT_FOUND, &mut out, none);
                    reply = made.ok().map(|len| out[..len].to_vec());
                } else if message.code().is_response() {
                    // A server that takes its time answers separately (RFC 7252 §5.2.2).
                    if message.message_type() == MessageType::Confirmable {
                        reply = acknowledgement(message.message_id());
                    }
                    if token != Some(message.token()) {
                        continue;
                    }
                    if expected == Code::CREATED {
                        self.location = message.location_path().map(<[u8]>::to_vec).collect();
                    }
                    answered = Some(message.code());
                }
            }
            if let Some(reply) = reply {
                self.seal_and_send(&reply).await?;
            }
            match answered {
                Some(code) if code == expected => return Ok(()),
                Some(code) => return Err(io::Error::other(format!("{code} for {expected}"))),
                None => {}
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }

    /// False while there is no association.
    async fn seal_and_send(&mut self, message: &[u8]) -> io::Result<bool> {
        let Some(association) = self.client.association_mut() else {
            return Ok(false);
        };
        association.use_all_numbers();
        let mut buffer = [0; MTU];
        buffer[..message.len()].copy_from_slice(message);
        let kind = ContentType::ApplicationData;
        let sealed = association.seal(&mut self.aes, kind, &mut buffer, message.len());
        let len = sealed.map_err(|error| io::Error::other(format!("{error:?}")))?;
        self.socket.send(&buffer[..len]).await?;
        Ok(true)
    }
}

fn acknowledgement(id: u16) -> Option<Vec<u8>> {
    let mut out = [0; 8];
    let kind = MessageType::Acknowledgement;
    let made = Builder::new(&mut out, kind, Code::EMPTY, id, Token::EMPTY).map(|b| b.len());
    made.ok().map(|len| out[..len].to_vec())
}
