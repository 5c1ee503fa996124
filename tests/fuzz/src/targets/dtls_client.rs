//! A DTLS client in its handshake, fed with steps: datagrams, handshake messages, extensions of a
//! ServerHello, time that passes. Nobody who does not have the key gets it to open.

use tinsmith_dtls::{Aead, Cid, Client, Credentials, Offer, Output, Received, SoftAes, records};

/// Outputs that one step may cause.
const ENOUGH: usize = 8;

const CREDENTIALS: Credentials<'static> = Credentials::Psk {
    identity: b"device",
    key: b"key",
};

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0];
    record.extend_from_slice(&(content.len() as u16).to_be_bytes());
    record.extend_from_slice(content);
    record
}

fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let head = [kind, len[1], len[2], len[3], 0, sequence, 0, 0, 0];
    [&head[..], &len[1..], body].concat()
}

fn server_hello(extensions: &[u8]) -> Vec<u8> {
    let len = (extensions.len() as u16).to_be_bytes();
    let start = [&[254, 253][..], &[7; 32], &[0, 0xc0, 0xa8, 0]].concat();
    [&start[..], &len, extensions].concat()
}

pub(crate) fn run(data: &[u8]) {
    let mut client = Client::new();
    let mut aes = SoftAes::new();
    let mut out = [0; 1280];
    let mut now = 0u64;
    let offer = Offer {
        aeads: &[Aead::Ccm8, Aead::Gcm],
        cid: Some(Cid::EMPTY),
        first_timeout_ms: 1000,
    };
    client.connect(now, offer, [5; 32]);
    let mut rest = data;
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        let sequence = step >> 4;
        let mut datagram = match step % 8 {
            0 => argument.to_vec(),
            1 => record(22, argument),
            2 => record(22, &message(step >> 3 & 31, sequence & 3, argument)),
            3 => record(22, &message(2, sequence, &server_hello(argument))),
            4 => record(22, &message(14, sequence, &[])),
            5 => record(21, argument),
            6 => {
                now += u64::from(*length) << 8;
                Vec::new()
            }
            _ => {
                client.connect(now, offer, [*length; 32]);
                Vec::new()
            }
        };
        let own = client.own_cid_len();
        for record in records(&mut datagram, own) {
            let received = client.handle(now, record, &CREDENTIALS, &mut aes);
            assert!(!matches!(received, Received::Connected | Received::Data(_)));
        }
        let mut outputs = 0;
        while let Some(output) = client.poll(now, &mut aes, &mut out) {
            if let Output::Transmit(len) = output {
                assert!(len <= out.len());
            }
            outputs += 1;
            assert!(outputs < ENOUGH, "poll never ends");
        }
        let deadline = client.next_deadline();
        assert!(
            deadline.is_none_or(|at| at > now),
            "poll left something due"
        );
        assert!(client.association().is_none());
    }
}
