//! Properties: what is built parses to the same; hostile bytes never panic; buffers are kept.
#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use tinsmith_coap::block::{
    Assembler, AssemblerLimits, Download, Incoming, Source, Upload, Verdict,
};
use tinsmith_coap::{
    Builder, Code, Endpoint, FixedBuffer, Instant, Message, MessageType, Numbering, OptionNumber,
    Output, Parameters, Received, Reliability, Request, Szx, Token,
};

type Small = Endpoint<FixedBuffer<128>, FixedBuffer<64>, 2, 4>;

#[derive(Clone, Debug)]
struct Parts {
    kind: MessageType,
    code: Code,
    id: u16,
    token: Vec<u8>,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

fn parts() -> impl Strategy<Value = Parts> {
    let codes = vec![
        Code::GET,
        Code::POST,
        Code::CONTENT,
        Code::NOT_FOUND,
        Code::CONTINUE,
    ];
    let option = (
        prop_oneof![0u16..70, any::<u16>()],
        vec(any::<u8>(), 0..300),
    );
    (
        any::<bool>(),
        proptest::sample::select(codes),
        any::<u16>(),
        vec(any::<u8>(), 0..=8),
        vec(option, 0..8),
        vec(any::<u8>(), 0..64),
    )
        .prop_map(|(confirmable, code, id, token, mut options, payload)| {
            options.retain(|(number, value)| {
                let limits = OptionNumber(*number).length_limits();
                limits.is_none_or(|(min, max)| (min..=max).contains(&value.len()))
            });
            options.sort_by_key(|(number, _)| *number);
            let kind = if confirmable {
                MessageType::Confirmable
            } else {
                MessageType::NonConfirmable
            };
            Parts {
                kind,
                code,
                id,
                token,
                options,
                payload,
            }
        })
}

fn build(parts: &Parts, buf: &mut [u8]) -> Option<usize> {
    let token = Token::new(&parts.token)?;
    let mut builder = Builder::new(buf, parts.kind, parts.code, parts.id, token).ok()?;
    for (number, value) in &parts.options {
        builder.option(OptionNumber(*number), value).ok()?;
    }
    builder.payload(&parts.payload).ok()?;
    Some(builder.len())
}

fn read_everything(message: &Message<'_>) -> usize {
    let known = [OptionNumber::URI_PATH, OptionNumber::BLOCK1];
    let _ = (
        message.observe(),
        message.block1(),
        message.block2(),
        message.size1(),
    );
    let _ = (
        message.size2(),
        message.content_format(),
        message.accept(),
        message.etag(),
    );
    let _ = (
        message.request_tag(),
        message.max_age(),
        message.unrecognised_critical(&known),
    );
    message.uri_path().count() + message.uri_query().count() + message.options().count()
}

/// Bytes that look like a message more often than chance would have it.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (
        parts(),
        vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
        any::<u8>(),
    )
        .prop_map(|(parts, changes, cut)| {
            let mut buf = vec![0; 4096];
            let len = build(&parts, &mut buf).unwrap();
            buf.truncate(len);
            for (at, byte) in changes {
                let at = at.index(buf.len());
                buf[at] = byte;
            }
            buf.truncate(len.saturating_sub(usize::from(cut / 32)));
            buf
        });
    prop_oneof![vec(any::<u8>(), 0..64), mutated]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn parse_of_build_is_the_same(parts in parts()) {
        let mut buf = vec![0; 4096];
        let len = build(&parts, &mut buf).unwrap();
        let message = Message::parse(&buf[..len]).unwrap();
        prop_assert_eq!(message.message_type(), parts.kind);
        prop_assert_eq!(message.code(), parts.code);
        prop_assert_eq!(message.message_id(), parts.id);
        let token = message.token();
        prop_assert_eq!(token.as_bytes(), &parts.token);
        let options: Vec<_> =
            message.options().map(|option| (option.number.0, option.value.to_vec())).collect();
        prop_assert_eq!(options, parts.options);
        prop_assert_eq!(message.payload(), &parts.payload);
    }

    #[test]
    fn builder_stays_in_its_buffer(parts in parts(), size in 0usize..200) {
        let mut full = vec![0; 4096];
        let needed = build(&parts, &mut full).unwrap();
        let mut buf = vec![0xa5; 4096];
        let built = build(&parts, &mut buf[..size]);
        prop_assert_eq!(built, (needed <= size).then_some(needed));
        prop_assert!(buf[size..].iter().all(|byte| *byte == 0xa5));
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in hostile()) {
        if let Ok(message) = Message::parse(&bytes) {
            read_everything(&message);
            prop_assert_eq!(
                4 + message.token().as_bytes().len()
                    + message.options().map(|option| option.value.len() + 1).sum::<usize>()
                    + message.payload().len() <= bytes.len(),
                true
            );
        }
        let _ = tinsmith_coap::stateless::refusal(&bytes);
    }

    #[test]
    fn endpoint_survives_hostile_peers(
        datagrams in vec((hostile(), 0u64..200_000, any::<u8>()), 0..40),
        seed in any::<u32>(),
    ) {
        let mut endpoint = Small::new(Parameters::RFC7252, Numbering::ALL, seed);
        let (mut now, mut out) = (0, [0; 256]);
        let mut handles = Vec::new();
        for (datagram, wait, action) in datagrams {
            now += wait;
            let at = Instant::from_millis(now);
            match endpoint.handle(at, &datagram) {
                Received::Request { handle, .. } => handles.push(handle),
                Received::Notification { handle, .. } => {
                    let _ = endpoint.accept(at, handle, &mut out);
                }
                _ => {}
            }
            let token = Token::new(&[action]).unwrap();
            let reliability = Reliability::Confirmable;
            match action % 6 {
                0 => {
                    let code = Code::GET;
                    let request = Request { code, token, reliability, response_timeout_ms: None };
                    let _ = endpoint.start_request(at, request, &mut out, |_| Ok(()));
                }
                1 => {
                    let code = Code::CONTENT;
                    let _ = endpoint.notify(at, token, code, reliability, &mut out, |_| Ok(()));
                }
                2 => {
                    if let Some(handle) = handles.pop() {
                        let code = Code::CONTENT;
                        let _ = endpoint.respond(at, handle, code, &mut out, |_| Ok(()));
                    }
                }
                3 => {
                    if let Some(handle) = handles.pop() {
                        let _ = endpoint.refuse(at, handle, &mut out);
                    }
                }
                4 => {
                    endpoint.cancel(token);
                }
                _ => {
                    let _ = endpoint.ping(at, &mut out);
                }
            }
            let mut turns = 0;
            while endpoint.poll(at, &mut out).is_some() {
                turns += 1;
                prop_assert!(turns < 20);
            }
            prop_assert!(endpoint.next_deadline().is_none_or(|deadline| deadline > at));
        }
        // Left alone, it comes to rest.
        let mut turns = 0;
        while let Some(deadline) = endpoint.next_deadline() {
            while let Some(output) = endpoint.poll(deadline, &mut out) {
                prop_assert!(!matches!(output, Output::Transmit(0)));
            }
            turns += 1;
            prop_assert!(turns < 100);
        }
        prop_assert!(endpoint.is_idle(Instant::from_millis(u64::MAX)));
    }

    #[test]
    fn block_machines_survive_hostile_peers(messages in vec(hostile(), 0..20), szx in 0u8..=6) {
        let szx = Szx::new(szx).unwrap();
        let limits = AssemblerLimits { max_body: 5_000, preferred: szx, lifetime_ms: Some(1) };
        let mut assembler = Assembler::new(limits);
        let mut upload = Upload::new(5_000, szx, Token::new(b"tag"));
        let mut download = Download::new(5_000, szx);
        let source = Source { preferred: szx, total: Some(5_000) };
        for bytes in &messages {
            let Ok(message) = Message::parse(bytes) else { continue };
            if let Ok(incoming) = Incoming::of(&message)
                && let Verdict::Deliver { offset, chunk, .. } =
                    assembler.check(Instant::ZERO, &incoming)
            {
                prop_assert!(offset as usize + chunk.len() <= 5_000);
                assembler.advance(Instant::ZERO, &incoming);
            }
            let _ = upload.on_response(&message);
            let block = upload.next_block();
            prop_assert!(block.offset as usize + block.len <= 5_000);
            let _ = download.on_response(&message);
            prop_assert!(download.received() <= 5_000);
            if let Ok(block) = message.block2()
                && let Ok(window) = source.window(block)
            {
                prop_assert!(window.offset as usize + window.len <= 5_000);
            }
        }
    }
}
