//! Writes well-formed inputs into `corpus/<target>/`, for the fuzzer to start from.

use std::fs;
use std::path::Path as FilePath;

use lwm2m_objects::format::encode_vec;
use lwm2m_objects::{ContentFormat, OwnedValue, Path};
use tinsmith_coap::{Builder, Code, MessageType, OptionNumber, Token};
use tinsmith_package::{Head, Kind, VENDOR_ID, encode_prefix, sha256};

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = FilePath::new("corpus").join(target);
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
    ];
    for (target, format) in many {
        let base = Path::instance(3, 0);
        let payload = encode_vec(format, &base, &device).expect("the values fit");
        save(target, "device", &[&[DEVICE], &payload[..]].concat());
    }
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

fn main() {
    formats();
    messages();
    packages();
}
