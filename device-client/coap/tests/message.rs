//! The message format: vectors of RFC 7252 and what the strict view refuses.

use tinsmith_coap::{
    Block, BuildError, Builder, Code, Message, MessageType, OptionNumber, ParseError, Szx, Token,
    content_format,
};

#[test]
fn request_and_response_of_rfc7252_figure_16() {
    let request = b"\x40\x01\x7d\x34\xbbtemperature";
    let message = Message::parse(request).unwrap();
    assert_eq!(message.message_type(), MessageType::Confirmable);
    assert_eq!(message.code(), Code::GET);
    assert_eq!(message.message_id(), 0x7d34);
    assert_eq!(message.token(), Token::EMPTY);
    assert_eq!(message.uri_path().collect::<Vec<_>>(), [b"temperature"]);
    assert_eq!(message.payload(), b"");

    let response = b"\x60\x45\x7d\x34\xff22.3 C";
    let message = Message::parse(response).unwrap();
    assert_eq!(message.message_type(), MessageType::Acknowledgement);
    assert_eq!(message.code().to_string(), "2.05");
    assert_eq!(message.payload(), b"22.3 C");
}

#[test]
fn token_of_rfc7252_figure_17() {
    let message = Message::parse(b"\x41\x01\x7d\x35\x20\xbbtemperature").unwrap();
    assert_eq!(message.token().as_bytes(), [0x20]);
    assert_eq!(message.uri_path().next(), Some(&b"temperature"[..]));
}

#[test]
fn builds_a_register() {
    let mut buf = [0; 200];
    let token = Token::new(&[1, 2, 3, 4]).unwrap();
    let mut builder = Builder::new(
        &mut buf,
        MessageType::Confirmable,
        Code::POST,
        0x1234,
        token,
    )
    .unwrap();
    builder
        .options(OptionNumber::URI_PATH, ["rd"])
        .and_then(|b| {
            b.uint(
                OptionNumber::CONTENT_FORMAT,
                u32::from(content_format::LINK_FORMAT),
            )
        })
        .and_then(|b| {
            b.options(
                OptionNumber::URI_QUERY,
                ["ep=device-0001", "lt=300", "lwm2m=1.1"],
            )
        })
        .and_then(|b| b.payload(b"</1/0>,</3/0>,</5/0>"))
        .unwrap();
    let message = Message::parse(builder.as_bytes()).unwrap();
    assert_eq!(message.token(), token);
    assert_eq!(message.content_format(), Some(40));
    let query: Vec<_> = message.uri_query().collect();
    assert_eq!(query, [&b"ep=device-0001"[..], b"lt=300", b"lwm2m=1.1"]);
    assert_eq!(message.payload(), b"</1/0>,</3/0>,</5/0>");
    assert_eq!(message.accept(), None);
}

#[test]
fn refuses_what_the_format_forbids() {
    let cases: &[(&[u8], ParseError)] = &[
        (b"", ParseError::TooShort),
        (b"\x40\x01\x00", ParseError::TooShort),
        (b"\x00\x01\x00\x00", ParseError::Version(0)),
        (b"\x80\x01\x00\x00", ParseError::Version(2)),
        (b"\xc0\x01\x00\x00", ParseError::Version(3)),
        (b"\x49\x01\x00\x00123456789", ParseError::TokenLength(9)),
        (b"\x4d\x01\x00\x00\x01", ParseError::TokenLength(13)),
        (b"\x4f\x01\x00\x00", ParseError::TokenLength(15)),
        (b"\x42\x01\x00\x00\x01", ParseError::TokenTruncated),
        (
            b"\x40\x20\x00\x00",
            ParseError::ReservedClass(Code::new(1, 0)),
        ),
        (
            b"\x40\x60\x00\x00",
            ParseError::ReservedClass(Code::new(3, 0)),
        ),
        (
            b"\x60\xc0\x00\x00",
            ParseError::ReservedClass(Code::new(6, 0)),
        ),
        (
            b"\x60\xff\x00\x00",
            ParseError::ReservedClass(Code::new(7, 31)),
        ),
        (b"\x41\x00\x00\x00\x01", ParseError::EmptyWithContent),
        (b"\x40\x00\x00\x00\xff\x01", ParseError::EmptyWithContent),
        (b"\x60\x00\x00\x00\x00", ParseError::EmptyWithContent),
        (
            b"\x50\x00\x00\x00",
            ParseError::TypeAndCode(MessageType::NonConfirmable, Code::EMPTY),
        ),
        (
            b"\x60\x01\x00\x00",
            ParseError::TypeAndCode(MessageType::Acknowledgement, Code::GET),
        ),
        (
            b"\x70\x45\x00\x00",
            ParseError::TypeAndCode(MessageType::Reset, Code::CONTENT),
        ),
        (b"\x40\x01\x00\x00\xf0", ParseError::ReservedDelta),
        (b"\x40\x01\x00\x00\xfe", ParseError::ReservedDelta),
        (b"\x40\x01\x00\x00\x0f", ParseError::ReservedLength),
        (b"\x40\x01\x00\x00\x02a", ParseError::OptionTruncated),
        (b"\x40\x01\x00\x00\xd0", ParseError::OptionTruncated),
        (b"\x40\x01\x00\x00\xe0\x00", ParseError::OptionTruncated),
        (b"\x40\x01\x00\x00\x0d", ParseError::OptionTruncated),
        (b"\x40\x01\x00\x00\x0e\xff", ParseError::OptionTruncated),
        (b"\x40\x01\x00\x00\xe0\xff\xff", ParseError::OptionNumber),
        (
            b"\x40\x01\x00\x00\xe0\xfe\xf2\x10",
            ParseError::OptionNumber,
        ),
        (b"\x40\x01\x00\x00\xff", ParseError::MarkerWithoutPayload),
        (
            b"\x40\x01\x00\x00\x00\xff",
            ParseError::MarkerWithoutPayload,
        ),
    ];
    for (datagram, error) in cases {
        assert_eq!(
            Message::parse(datagram).unwrap_err(),
            *error,
            "{datagram:02x?}"
        );
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn highest_option_number_is_fine() {
    let message = Message::parse(b"\x40\x01\x00\x00\xe0\xfe\xf2").unwrap();
    assert_eq!(
        message.options().next().unwrap().number,
        OptionNumber(0xffff)
    );
}

#[test]
fn unrecognised_critical_options_are_found() {
    use OptionNumber as O;
    let known = [O::URI_PATH, O::URI_QUERY, O::ACCEPT, O::BLOCK2];
    let find = |options: &[u8]| {
        let datagram = [&b"\x40\x01\x00\x00"[..], options].concat();
        Message::parse(&datagram)
            .unwrap()
            .unrecognised_critical(&known)
    };
    assert_eq!(find(b"\xb1a\x01b"), None, "Uri-Path may be repeated");
    assert_eq!(find(b"\x10"), Some(O::IF_MATCH));
    assert_eq!(find(b"\x91x"), Some(O::OSCORE));
    assert_eq!(find(b"\x61x"), None, "Observe is elective");
    assert_eq!(
        find(b"\xd1\x04\x00\x01\x00"),
        Some(O::ACCEPT),
        "Accept twice"
    );
    assert_eq!(
        find(b"\xd3\x04\x00\x00\x00"),
        Some(O::ACCEPT),
        "Accept of three bytes"
    );
    assert_eq!(find(b"\xd4\x0a\x00\x00\x00\x00"), Some(O::BLOCK2));
}

#[test]
fn ill_sized_options_are_not_seen() {
    let message = Message::parse(b"\x60\x45\x00\x00\x49123456789\x02ok").unwrap();
    assert_eq!(message.etag(), Some(&b"ok"[..]));
    let message = Message::parse(b"\x60\x45\x00\x00\x64\x00\x00\x00\x01").unwrap();
    assert_eq!(message.observe(), None);
}

#[test]
fn block_values_of_rfc7959_section_2_2() {
    let block = Block::from_value(0x2e).unwrap();
    assert_eq!((block.num, block.more, block.szx.size()), (2, true, 1024));
    assert_eq!(block.offset(), 2048);
    assert_eq!(block.value(), 0x2e);
    assert_eq!(Block::from_value(7), None);
    assert_eq!(Block::from_value(0x0100_0000), None);
    assert_eq!(Block::new(1 << 20, false, Szx::MIN), None);
    assert_eq!(Szx::at_most(1023).size(), 512);
    assert_eq!(Szx::at_most(0).size(), 16);
    let message = Message::parse(b"\x60\x45\x00\x00\xd1\x0a\x07").unwrap();
    assert!(message.block2().is_err());
    assert_eq!(message.block1(), Ok(None));
}

#[test]
fn integers_take_as_few_bytes_as_possible() {
    for (value, len) in [
        (0, 0),
        (1, 1),
        (255, 1),
        (256, 2),
        (65_536, 3),
        (u32::MAX, 4),
    ] {
        let mut buf = [0; 16];
        let mut builder = Builder::new(
            &mut buf,
            MessageType::Confirmable,
            Code::GET,
            0,
            Token::EMPTY,
        )
        .unwrap();
        builder.uint(OptionNumber::MAX_AGE, value).unwrap();
        let message = Message::parse(builder.as_bytes()).unwrap();
        assert_eq!(message.option(OptionNumber::MAX_AGE).unwrap().len(), len);
        assert_eq!(message.max_age(), Some(value));
    }
}

#[test]
fn builder_refuses_wrong_order_and_lengths() {
    let mut buf = [0; 64];
    let mut builder = Builder::new(
        &mut buf,
        MessageType::Confirmable,
        Code::GET,
        0,
        Token::EMPTY,
    )
    .unwrap();
    builder.option(OptionNumber::URI_PATH, b"a").unwrap();
    let before = builder.len();
    let order = builder
        .option(OptionNumber::OBSERVE, b"")
        .map(|_| ())
        .unwrap_err();
    assert_eq!(order, BuildError::Order(OptionNumber::OBSERVE));
    let length = builder
        .option(OptionNumber::ACCEPT, b"abc")
        .map(|_| ())
        .unwrap_err();
    assert_eq!(length, BuildError::Length(OptionNumber::ACCEPT));
    builder.payload(b"x").unwrap();
    assert_eq!(builder.len(), before + 2);
    assert!(builder.option(OptionNumber::SIZE1, b"").is_err());
    assert!(builder.payload(b"y").is_err());
    assert_eq!(builder.payload_space(), 0);
}

#[test]
fn codes_and_tokens() {
    assert_eq!(Code::NOT_FOUND.to_string(), "4.04");
    assert_eq!((Code::CONTINUE.class(), Code::CONTINUE.detail()), (2, 31));
    assert!(Code::IPATCH.is_request() && !Code::EMPTY.is_request());
    assert_eq!(Token::new(&[0; 9]), None);
    let token = Token::with_prefix(0xab, 0x0102_0304_0506_0708);
    assert_eq!(token.as_bytes(), [0xab, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(token.to_string(), "ab02030405060708");
}
