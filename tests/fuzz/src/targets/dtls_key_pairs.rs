//! A DTLS client with a key pair, and all that it reads for it: its account (keys, certificates),
//! then the server's Certificate, ServerKeyExchange and CertificateRequest, each a part of the input.
//! Nobody who does not agree on a secret gets it to open.

use tinsmith_dtls::{
    Aead, Cid, Client, Credentials, Name, Offer, Output, Received, SoftAes, Trust, Usage,
    public_key_info, records,
};

/// Parts of an input.
const PARTS: usize = 6;

fn record(content: &[u8]) -> Vec<u8> {
    let mut record = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0];
    record.extend_from_slice(&(content.len() as u16).to_be_bytes());
    record.extend_from_slice(content);
    record
}

fn message(kind: u8, sequence: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let head = [kind, len[1], len[2], len[3], 0, sequence, 0, 0, 0];
    record(&[&head[..], &len[1..], body].concat())
}

/// Parts after their lengths, of two bytes; what is missing is empty.
fn parts(mut rest: &[u8]) -> [&[u8]; PARTS] {
    let mut all = [&[][..]; PARTS];
    for part in &mut all {
        let Some((len, tail)) = rest.split_first_chunk() else {
            break;
        };
        let len = usize::from(u16::from_be_bytes(*len)).min(tail.len());
        (*part, rest) = tail.split_at(len);
    }
    all
}

pub(crate) fn run(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else {
        return;
    };
    let [own, private, server, certificate, keys, request] = parts(rest);
    if let Some(info) = public_key_info(private) {
        assert_eq!(public_key_info(private), Some(info));
    }
    let trust = Trust {
        usage: Usage::from_number(how & 3).expect("one of four"),
        certificate: server,
        authorities: &[server],
        name: Name::Dns("server.example"),
        now: (how & 8 != 0).then_some(1_767_225_600),
    };
    let is_raw = how & 4 != 0;
    let credentials = if is_raw {
        Credentials::RawKeys {
            public: own,
            private,
            server,
        }
    } else {
        Credentials::Certificates {
            own,
            private,
            server: trust,
        }
    };
    let _ = credentials.are_usable();
    let offer = Offer {
        aeads: &[Aead::Ccm8],
        cid: Some(Cid::EMPTY),
        first_timeout_ms: 1000,
    };
    let mut client = Client::new();
    client.connect_as(0, offer, &credentials, [5; 32], [9; 32]);
    let types: &[u8] = match is_raw {
        true => &[0, 10, 0, 19, 0, 1, 2, 0, 20, 0, 1, 2],
        false => &[0, 0],
    };
    let hello = [&[254, 253][..], &[7; 32], &[0, 0xc0, 0xae, 0], types].concat();
    let mut flight = vec![message(2, 0, &hello), message(11, 1, certificate)];
    flight.push(message(12, 2, keys));
    let mut next = 3;
    if !request.is_empty() {
        flight.push(message(13, next, request));
        next += 1;
    }
    flight.push(message(14, next, &[]));
    let mut aes = SoftAes::new();
    for mut datagram in flight {
        for record in records(&mut datagram, client.own_cid_len()) {
            let received = client.handle(0, record, &credentials, &mut aes);
            assert!(!matches!(received, Received::Connected | Received::Data(_)));
        }
        let mut out = [0; 1280];
        let mut outputs = 0;
        while let Some(output) = client.poll(0, &mut aes, &mut out) {
            assert!(matches!(output, Output::Transmit(len) if len <= out.len()));
            outputs += 1;
            assert!(outputs < 4, "poll never ends");
        }
        assert!(client.association().is_none());
    }
}
