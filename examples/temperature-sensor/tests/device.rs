//! The device as a process, against a server of a few lines.
#![allow(clippy::unwrap_used)]

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Token};

struct Device(Child);

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server for bootstrap and management.
struct Server {
    socket: UdpSocket,
    device: Option<SocketAddr>,
    id: u16,
}

impl Server {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let wait = Some(Duration::from_millis(100));
        socket.set_read_timeout(wait).unwrap();
        Self {
            socket,
            device: None,
            id: 1,
        }
    }

    /// The next datagram that `wanted` takes.
    fn receive(&mut self, wanted: impl Fn(&Message<'_>) -> bool) -> Vec<u8> {
        let end = Instant::now() + Duration::from_secs(20);
        let mut buf = [0; 2048];
        while Instant::now() < end {
            let Ok((len, from)) = self.socket.recv_from(&mut buf) else {
                continue;
            };
            let Ok(message) = Message::parse(&buf[..len]) else {
                continue;
            };
            if wanted(&message) {
                self.device = Some(from);
                return buf[..len].to_vec();
            }
        }
        panic!("the device is silent");
    }

    fn send(&self, b: &Builder<'_>) {
        self.socket
            .send_to(b.as_bytes(), self.device.unwrap())
            .unwrap();
    }

    /// Waits for a request of the device and answers it; its payload.
    fn serve(&mut self, path: &[u8], code: Code, location: &[&[u8]]) -> String {
        let request = self.receive(|m| m.code() == Code::POST && m.uri_path().next() == Some(path));
        let m = Message::parse(&request).unwrap();
        let (id, token) = (m.message_id(), m.token());
        let mut buf = [0; 64];
        let kind = MessageType::Acknowledgement;
        let mut b = Builder::new(&mut buf, kind, code, id, token).unwrap();
        b.options(OptionNumber::LOCATION_PATH, location).unwrap();
        self.send(&b);
        String::from_utf8(m.payload().to_vec()).unwrap()
    }

    /// Asks the device; the answer's code and payload.
    fn ask(&mut self, code: Code, path: &str, format: u32, payload: &[u8]) -> (Code, Vec<u8>) {
        self.id += 1;
        let token = Token::new(&self.id.to_be_bytes()).unwrap();
        let mut buf = [0; 256];
        let kind = MessageType::Confirmable;
        let mut b = Builder::new(&mut buf, kind, code, self.id, token).unwrap();
        let segments = path.split('/').filter(|s| !s.is_empty());
        b.options(OptionNumber::URI_PATH, segments).unwrap();
        b.uint(OptionNumber::CONTENT_FORMAT, format).unwrap();
        b.payload(payload).unwrap();
        self.send(&b);
        let answer = self.receive(|m| m.token() == token && m.code() != Code::EMPTY);
        let m = Message::parse(&answer).unwrap();
        (m.code(), m.payload().to_vec())
    }
}

/// A resource in TLV, shorter than 256 bytes.
fn tlv(id: u8, value: &[u8]) -> Vec<u8> {
    [&[0xC8, id, value.len() as u8], value].concat()
}

#[test]
fn a_server_reads_and_resets_the_sensor() {
    let mut server = Server::new();
    let uri = format!("coap://{}", server.socket.local_addr().unwrap());
    let flash = std::env::temp_dir().join(format!("temperature-sensor-{}", std::process::id()));
    let _ = std::fs::remove_file(&flash);
    let device = Command::new(env!("CARGO_BIN_EXE_temperature-sensor"))
        .args(["thermometer", &uri, "nrf52840-dk"])
        .arg(&flash)
        .spawn();
    let _device = Device(device.unwrap());

    server.serve(b"bs", Code::CHANGED, &[]);
    let security = [tlv(0, uri.as_bytes()), tlv(10, &[7])].concat();
    for (path, body) in [("/0/1", security), ("/1/0", tlv(0, &[7]))] {
        assert_eq!(server.ask(Code::PUT, path, 11542, &body).0, Code::CHANGED);
    }
    assert_eq!(server.ask(Code::POST, "/bs", 0, &[]).0, Code::CHANGED);
    let links = server.serve(b"rd", Code::CREATED, &[b"rd", b"1"]);
    assert!(links.contains(",</3303/0>,"), "{links}");

    let text = |answer: (Code, Vec<u8>)| {
        assert_eq!(answer.0, Code::CONTENT);
        String::from_utf8(answer.1).unwrap()
    };
    assert_eq!(text(server.ask(Code::GET, "/3303/0/5701", 0, &[])), "Cel");
    let value = text(server.ask(Code::GET, "/3303/0/5700", 0, &[]));
    assert!(value.parse::<f64>().is_ok(), "{value}");
    let reset = server.ask(Code::POST, "/3303/0/5605", 0, &[]);
    assert_eq!(reset.0, Code::CHANGED);
    let written = server.ask(Code::PUT, "/3303/0/5700", 0, b"1");
    assert_eq!(written.0, Code::METHOD_NOT_ALLOWED);
    std::fs::remove_file(&flash).unwrap();
}
