//! Writes well-formed inputs into `corpus/<target>/`, to replay and for the fuzzer to start from.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path as FilePath;

use lwm2m_objects::format::encode_vec;
use lwm2m_objects::{ContentFormat, OwnedValue, Path};
use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
use tinsmith_package::{
    Algorithm, Head, Kind, Manifest, Signature, TrustAnchor, VENDOR_ID, encode_prefix, sha256,
};

fn save(target: &str, name: &str, bytes: &[u8]) {
    let corpus = FilePath::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).expect("corpus/ can be made");
    fs::write(folder.join(name), bytes).expect("corpus/ can be written");
}

/// The index of the path `/3/0` and of the single resources of each type in the targets' table.
const DEVICE: u8 = 2;
const SINGLES: [(u8, Path, OwnedValueOf); 5] = [
    (3, Path::resource(3, 0, 0), || {
        OwnedValue::String("Tinsmith".into())
    }),
    (4, Path::resource(3, 0, 9), || OwnedValue::Integer(-77)),
    (8, Path::resource(5, 0, 0), || {
        OwnedValue::Opaque(vec![1, 2, 0xff])
    }),
    (9, Path::resource(6, 0, 0), || OwnedValue::Float(48.25)),
    (10, Path::resource(1, 0, 6), || OwnedValue::Boolean(true)),
];
type OwnedValueOf = fn() -> OwnedValue;

fn formats() {
    let device = vec![
        (
            Path::resource(3, 0, 0),
            OwnedValue::String("Tinsmith".into()),
        ),
        (Path::resource(3, 0, 9), OwnedValue::Integer(300)),
        (Path::resource_instance(3, 0, 11, 0), OwnedValue::Integer(0)),
        (
            Path::resource_instance(3, 0, 11, 7),
            OwnedValue::Integer(-1),
        ),
        (Path::resource(3, 0, 13), OwnedValue::Time(1_700_000_000)),
    ];
    let many = [
        ("tlv", ContentFormat::TLV),
        ("senml_json", ContentFormat::SENML_JSON),
        ("senml_cbor", ContentFormat::SENML_CBOR),
        ("lwm2m_cbor", ContentFormat::LWM2M_CBOR),
    ];
    for (target, format) in many {
        let base = Path::instance(3, 0);
        let payload = encode_vec(format, &base, &device).expect("the values fit");
        save(target, "device", &[&[DEVICE], &payload[..]].concat());
    }
    // {[3, 0]: {0: "T", [11, 7]: -1}}
    let joined = b"\xa1\x82\x03\x00\xa2\x00\x61T\x82\x0b\x07\x20";
    save("lwm2m_cbor", "joined", &[&[DEVICE], &joined[..]].concat());
    let all = [("text", ContentFormat::TEXT), ("cbor", ContentFormat::CBOR)];
    for (target, format) in many.into_iter().chain(all) {
        for (choice, path, value) in &SINGLES {
            let payload = encode_vec(format, path, &vec![(*path, value())]).expect("it fits");
            save(
                target,
                &format!("single-{choice}"),
                &[&[*choice], &payload[..]].concat(),
            );
        }
    }
    let links = b"</>;rt=\"oma.lwm2m\";ct=\"110 112\",</1/0>,</3>;ver=1.1,</3/0>,</5/0>;dim=2";
    save("link", "registration", links);
}

fn messages() {
    let mut buffer = [0; 128];
    let token = Token::new(b"token").expect("short");
    let mut builder = Builder::new(
        &mut buffer,
        MessageType::Confirmable,
        Code::POST,
        0x1234,
        token,
    )
    .expect("there is room");
    let options: [(OptionNumber, &[u8]); 5] = [
        (OptionNumber::URI_PATH, b"rd"),
        (OptionNumber::CONTENT_FORMAT, &[40]),
        (OptionNumber::URI_QUERY, b"ep=device"),
        (OptionNumber::URI_QUERY, b"lwm2m=1.1"),
        (OptionNumber::BLOCK1, &[0x0e]),
    ];
    for (number, value) in options {
        builder.option(number, value).expect("in order");
    }
    builder.payload(b"</3/0>").expect("there is room");
    let message = builder.as_bytes();
    save("coap_message", "register", message);
    let step = [&[0, message.len() as u8], message].concat();
    save(
        "coap_endpoint",
        "request",
        &[&step[..], &[3, 2, 1, 2, 2, 255], &step[..]].concat(),
    );
}

/// The public keys of RFC 8032 §7.1, test 3, and of draft-ietf-suit-manifest, appendix B.
const ED25519: &str = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
const P256: &str = "8496811aae0baaabd26157189eecda26beaa8bf11b6f3fe6e2b5659c85dbc0ad\
                    3b1f2a4b6c098131c0a36dacd1d78bd381dcdfb09c052db33991db7338b4a896";

fn signatures(head: &Head<'_>) {
    let mut set = vec![0x82];
    for (name, algorithm, key) in [
        ("ed25519", Algorithm::EdDsa, ED25519),
        ("p256", Algorithm::Es256, P256),
    ] {
        let key = lwm2m_objects::hex::decode(key).expect("digits");
        let anchor = TrustAnchor::new(algorithm, &key).expect("a key");
        let (bytes, len) = anchor.encode();
        save("signature", name, &bytes[..len]);
        set.extend_from_slice(&bytes[..len]);
        let signature = Signature {
            algorithm,
            key_id: *anchor.id(),
            bytes: [7; 64],
        };
        let prefix = Manifest::of(head)
            .expect("the texts fit")
            .prefix(Some(&signature));
        save("signature", &format!("head-{name}"), &prefix);
        save("package", &format!("signed-{name}"), &prefix);
    }
    save("signature", "set", &set);
}

/// Steps of `dtls_client`: the messages of a server, whole and in fragments.
fn handshakes() {
    let extensions = [0xff, 1, 0, 1, 0, 0, 23, 0, 0, 0, 54, 0, 3, 2, 9, 9];
    let hello = [&[3, extensions.len() as u8], &extensions[..]].concat();
    let cookie = [0x1a, 7, 254, 255, 4, 1, 2, 3, 4];
    let hint = [0x62, 6, 0, 4, b'h', b'i', b'n', b't'];
    save("dtls_client", "hello", &[&hello[..], &[4 | 16, 0]].concat());
    let second = [&[3 | 16, extensions.len() as u8], &extensions[..]].concat();
    let all = [&cookie[..], &second, &hint, &[4 | 48, 0, 6, 200]].concat();
    save("dtls_client", "cookie", &all);
    // The first bytes of a ServerHello, then the rest.
    let mut fragments = vec![1, 16, 2, 0, 0, 40, 0, 0, 0, 0, 0, 0, 0, 4, 254, 253, 7, 7];
    fragments.extend_from_slice(&[1, 15, 2, 0, 0, 40, 0, 0, 0, 0, 4, 0, 0, 3, 7, 7, 7]);
    save("dtls_client", "fragments", &fragments);
    save("dtls_client", "alert", &[5, 2, 2, 40, 7, 0, 6, 255]);
}

/// Steps of `dtls_record`, for each protection, without and with a Connection ID.
fn associations() {
    for first in [0, 1, 2, 8 << 1, 8 << 1 | 2] {
        let sealed = [
            13, 3, b'a', b'b', b'c', 0x2d, 2, 1, 0, 13, 3, b'd', b'e', b'f',
        ];
        let stranger = [0, 14, 23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 0];
        let steps = [&[first][..], &sealed, &stranger, &[3, 0], &sealed].concat();
        save("dtls_record", &format!("steps-{first}"), &steps);
    }
    let mut stored = vec![0, 3, 77, 1, 1, 2];
    stored.extend_from_slice(&[7; 40]);
    stored.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
    stored.extend_from_slice(&[0, 0, 0, 0, 0, 0, 1, 0x11, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    save("dtls_record", "stored", &stored);
}

/// Steps of `oscore`, with keys that are known and with new ones.
fn oscore() {
    let ask = [1, 3, b'a', b'b', b'c', 0x81, 0];
    let answer = [2, 2, b'd', b'e', 0x82, 1, b'f'];
    let again = [3, 0, 3, 2, 1, 0x80];
    let stranger = [0, 12, 0x41, 2, 0, 1, 7, 0x92, 9, 0, 0xff, 1, 2, 3];
    let value = [5, 11, 0x19, 5, 5, 0x44, 0x61, 0x6c, 0x65, 0x6b, 1, 2, 3];
    let restart = [4, 11, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
    for first in [0, 1] {
        let parts: [&[u8]; 9] = [
            &[first],
            &ask,
            &ask,
            &answer,
            &again,
            &stranger,
            &value,
            &restart,
            &ask,
        ];
        save("oscore", &format!("steps-{first}"), &parts.concat());
    }
}

/// Steps of `server_oscore`: a Register, a Read and an Observe that are answered, a restart, what was
/// sealed before it, and a context that is taken away.
fn server_oscore() {
    let register = [1, 0];
    let (read, observe) = ([8, 0], [8, 1, 0, 0]);
    let answer = [4, 2, 69, 0xff, b'4', b'2'];
    let (again, restart, removed) = ([6, 0], [11, 0], [10, 0]);
    let plain = [3, 3, 0x41, 1, 0, 9, 5, 0];
    let parts: [&[u8]; 13] = [
        &register, &register, &read, &answer, &observe, &answer, &again, &restart, &register,
        &read, &plain, &removed, &again,
    ];
    save("server_oscore", "steps", &parts.concat());
}

fn packages() {
    let payload = b"payload";
    let head = Head {
        sequence: 7,
        kind: Kind::Module,
        slot: Some(1),
        vendor_id: VENDOR_ID,
        class_id: [0; 16],
        digest: sha256(payload),
        size: payload.len() as u32,
        abi: 1,
        arena_bytes: 4096,
        trial_s: 60,
        model_name: "motion",
        model_version: "1.0.0",
        source_digest: [9; 32],
        compiler: "tinsmith 0.1.0",
    };
    save(
        "package",
        "module",
        &encode_prefix(&head).expect("the texts fit"),
    );
    signatures(&head);
    let any = Head {
        slot: None,
        trial_s: 0,
        ..head
    };
    save(
        "package",
        "any-slot",
        &encode_prefix(&any).expect("the texts fit"),
    );
}

/// A .npy file of `shape` with values that count up.
fn npy(shape: &str, count: u8) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    let header = format!("{header:<117}\n");
    let values = (0..count).flat_map(|n| f32::from(n).to_le_bytes());
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

fn archives() {
    let (x, y) = (npy("(2, 3)", 6), npy("(2,)", 2));
    save("samples", "npy", &x);
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in [("x.npy", &x), ("y.npy", &y)] {
        let options = zip::write::SimpleFileOptions::default();
        archive.start_file(name, options).expect("in memory");
        archive.write_all(data).expect("in memory");
    }
    let archive = archive.finish().expect("in memory").into_inner();
    save("samples", "npz", &archive);
    let card = br#"{"name":"m","version":"1","task":"classify",
        "inputs":[{"name":"input","shape":[3]}],"labels":["a","b"],"licence":"MIT"}"#;
    save("samples", "card", card);
}

/// Steps of the targets that are fed with steps: kind, length, that many bytes.
fn steps(steps: &[(u8, u8, &[u8])]) -> Vec<u8> {
    let bytes = steps.iter().map(|(kind, length, argument)| {
        let head = [*kind, *length];
        [&head, *argument].concat()
    });
    bytes.collect::<Vec<_>>().concat()
}

fn shards() {
    // A Register whose commit is durable at once, a Read, and its answer.
    let answer = [69, 0xff, b'x', b'y', b'z', b'.'];
    let read = steps(&[(0x52, 0, &[]), (0x56, 0, &[]), (0x67, 3, &answer)]);
    save("server_shard", "read", &read);
    // The commit is held, fails, and the device registers again.
    let failed = steps(&[(2, 0, &[]), (8, 0, &[]), (0x34, 1, &[]), (0x38, 1, &[])]);
    save("server_shard", "failed-commit", &failed);
    // A package is pushed, time passes, the peer is gone.
    let push = [
        (0x34, 0, &[][..]),
        (0x92, 6, &[]),
        (0x7d, 255, &[0; 510]),
        (9, 0, &[]),
    ];
    save("server_shard", "push", &steps(&push));
}

/// A request of the bootstrap server, its length made a multiple of 5 by that of the token.
fn bootstrap(code: Code, id: u16, path: &[&str], values: &[(Path, OwnedValue)]) -> Vec<u8> {
    let mut payload = Vec::new();
    if let Some((first, _)) = values.first() {
        let base = Path::instance(first.object_id().unwrap_or(0), 1);
        payload = encode_vec(ContentFormat::TLV, &base, &values.to_vec()).expect("it fits");
    }
    let build = |token: usize| {
        let mut buffer = [0; 256];
        let token = Token::new(&[7; 5][..token]).expect("short");
        let mut builder = Builder::new(&mut buffer, MessageType::Confirmable, code, id, token)
            .expect("there is room");
        for segment in path {
            let option = builder.option(OptionNumber::URI_PATH, segment.as_bytes());
            option.map(drop).expect("in order");
        }
        if !payload.is_empty() {
            let tlv = builder.option(OptionNumber::CONTENT_FORMAT, &11542u16.to_be_bytes());
            tlv.map(drop).expect("in order");
            builder.payload(&payload).map(drop).expect("there is room");
        }
        builder.as_bytes().to_vec()
    };
    let fits = (1..=5).map(build).find(|bytes| bytes.len() % 5 == 0);
    fits.expect("one of five lengths fits")
}

fn devices() {
    let at = Path::resource;
    let uri = OwnedValue::String("coap://127.0.0.1:58598".into());
    let security = [
        (at(0, 1, 0), uri),
        (at(0, 1, 1), OwnedValue::Boolean(false)),
        (at(0, 1, 2), OwnedValue::Integer(3)),
        (at(0, 1, 10), OwnedValue::Integer(1)),
    ];
    let server = [
        (at(1, 1, 0), OwnedValue::Integer(1)),
        (at(1, 1, 1), OwnedValue::Integer(300)),
        (at(1, 1, 7), OwnedValue::String("U".into())),
    ];
    let requests = [
        bootstrap(Code::PUT, 1, &["0", "1"], &security),
        bootstrap(Code::PUT, 2, &["1", "1"], &server),
        bootstrap(Code::POST, 3, &["bs"], &[]),
    ];
    // The Bootstrap-Request is answered, the accounts are written, Finish, and time passes.
    let mut told = steps(&[(0x2c, 9, &[0; 45]), (0x20, 1, &[68, 0xff, 1, 1, 1])]);
    save("client_device", "asked", &told);
    for request in &requests {
        told.extend(steps(&[(0, (request.len() / 5) as u8, request)]));
    }
    told.extend(steps(&[(0x2c, 9, &[0; 45])]));
    save("client_device", "bootstrapped", &told);
    // The Register is answered, the device read.
    told.extend(steps(&[(
        0xa2,
        2,
        &[65, 0x82, b'r', b'd', 1, b'1', 0xff, 1, 1, 1],
    )]));
    let read = bootstrap(Code::GET, 4, &["3", "0"], &[]);
    told.extend(steps(&[(0x82, (read.len() / 5) as u8, &read)]));
    save("client_device", "registered", &told);
    let damaged = [&[0xaa, 0, 3, 0x5a], &told[..]].concat();
    save("client_device", "damaged-journal", &damaged);
}

/// A ClientHello that offers one suite, and the record of an association.
fn dtls() {
    for (name, cid) in [("hello", None), ("hello-cid", Some(b"mine"))] {
        let mut body = vec![0xfe, 0xfd];
        body.extend_from_slice(&[0x33; 32]);
        body.extend_from_slice(&[0, 0, 0, 4, 0xc0, 0xa8, 0, 0xff, 1, 0]);
        if let Some(cid) = cid {
            body.extend_from_slice(&[0, 13, 0, 23, 0, 0, 0, 54, 0, 5, 4]);
            body.extend_from_slice(cid);
        }
        let len = body.len() as u8;
        let mut datagram = vec![0, 22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12 + len];
        datagram.extend_from_slice(&[1, 0, 0, len, 0, 0, 0, 0, 0, 0, 0, len]);
        datagram.extend_from_slice(&body);
        save("dtls_server", name, &datagram);
    }
    let mut record = vec![1, 1, 1, 4, 10, 0, 0, 1, 0x13, 0x88, 3];
    record.extend_from_slice(b"dev");
    record.extend_from_slice(&[1, 1, 1]);
    record.extend_from_slice(&[0xaa; 40]);
    for number in [20u64, 2, 3] {
        record.extend_from_slice(&number.to_be_bytes());
    }
    record.extend_from_slice(&[8, 1, 0, 0, 0, 1, 7, 7, 7, 0]);
    save("dtls_server", "record", &record);
    // Version 3, of a name that one authority gives, with the marks of its chain.
    let mut certified = vec![1, 3, 1, 4, 10, 0, 0, 1, 0x13, 0x88, 3, 0, 35];
    certified.extend_from_slice(&[7; 32]);
    certified.extend_from_slice(b"dev");
    certified.push(2);
    certified.extend_from_slice(&[9; 16]);
    certified.extend_from_slice(&record[14..]);
    save("dtls_server", "record-certified", &certified);
}

fn main() {
    dtls();
    formats();
    messages();
    handshakes();
    associations();
    oscore();
    server_oscore();
    packages();
    archives();
    shards();
    devices();
}
