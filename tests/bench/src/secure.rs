//! Devices that make a DTLS handshake and register.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tinsmith_coap::{Code, Message, MessageType};
use tinsmith_dtls::{Client, ContentType, Credentials, Offer, Output, Received, SoftAes, records};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::register;

/// How often a device looks at its timers.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer may take before a Register is sent again.
const AGAIN: Duration = Duration::from_secs(2);

/// Registers `load-<number>` over DTLS with a pre-shared key, and is gone.
///
/// # Errors
/// The socket failed, the handshake did, the Register was refused, or it took too long.
pub async fn register_secure(
    server: SocketAddr,
    number: u32,
    identity: &str,
    key: &[u8],
) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    let mut client = Client::new();
    let mut random = [0; 32];
    random[..4].copy_from_slice(&number.to_be_bytes());
    client.connect(0, Offer::DEFAULT, random);
    let aes = &mut SoftAes::new();
    let credentials = Credentials {
        identity: identity.as_bytes(),
        key,
    };
    let start = Instant::now();
    let mut sent: Option<Instant> = None;
    let mut buffer = [0; 1500];
    while start.elapsed() < PATIENCE {
        let now = start.elapsed().as_millis() as u64;
        while let Some(output) = client.poll(now, aes, &mut buffer) {
            match output {
                Output::Transmit(len) => drop(socket.send(&buffer[..len]).await?),
                Output::Failed(error) => return Err(io::Error::other(error.to_string())),
            }
        }
        if let Some(association) = client.association_mut()
            && sent.is_none_or(|at| at.elapsed() > AGAIN)
        {
            association.use_all_numbers();
            let len = register(&mut buffer, number as u16, number);
            let kind = ContentType::ApplicationData;
            let sealed = association.seal(aes, kind, &mut buffer, len);
            let sealed = sealed.map_err(|error| io::Error::other(format!("{error:?}")))?;
            socket.send(&buffer[..sealed]).await?;
            sent = Some(Instant::now());
        }
        let Ok(received) = timeout(LOOK, socket.recv(&mut buffer)).await else {
            continue;
        };
        let own = client.own_cid_len();
        for record in records(&mut buffer[..received?], own) {
            if let Received::Data(data) = client.handle(now, record, &credentials, aes)
                && let Ok(message) = Message::parse(data)
                && message.message_type() == MessageType::Acknowledgement
                && message.code() != Code::EMPTY
            {
                return match message.code() {
                    Code::CREATED => Ok(()),
                    code => Err(io::Error::other(format!("the Register got {code}"))),
                };
            }
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
