//! An upload that both sides lose and take up again, at every block and at any stored count.

#![allow(clippy::unwrap_used)]

use tinsmith_coap::block::{
    Assembler, AssemblerLimits, Incoming, Tag, Upload, UploadBlock, UploadStep, Verdict,
};
use tinsmith_coap::{
    Block, Builder, Code, Instant, Message, MessageType, OptionNumber, Szx, Token,
};

const NOW: Instant = Instant::ZERO;
const LIMITS: AssemblerLimits = AssemblerLimits {
    max_body: 10_000,
    preferred: Szx::MAX,
    lifetime_ms: None,
};

fn incoming<'a>(block: &UploadBlock, body: &'a [u8]) -> Incoming<'a> {
    Incoming {
        block1: block.block1,
        tag: block.tag,
        size1: block.size1,
        payload: &body[block.offset as usize..][..block.len],
    }
}

fn answer(upload: &mut Upload, code: Code, reply: Option<Block>) -> UploadStep {
    let mut buf = [0; 32];
    let kind = MessageType::Acknowledgement;
    let mut builder = Builder::new(&mut buf, kind, code, 0, Token::EMPTY).unwrap();
    if let Some(block) = reply {
        builder.block(OptionNumber::BLOCK1, block).unwrap();
    }
    upload
        .on_response(&Message::parse(builder.as_bytes()).unwrap())
        .unwrap()
}

/// Sends at most `blocks` blocks; whether the body is complete.
fn send(
    upload: &mut Upload,
    assembler: &mut Assembler,
    stored: &mut Vec<u8>,
    body: &[u8],
    blocks: usize,
) -> bool {
    for _ in 0..blocks {
        let block = upload.next_block();
        let incoming = incoming(&block, body);
        let (last, reply) = match assembler.check(NOW, &incoming) {
            Verdict::Deliver {
                offset,
                chunk,
                last,
                reply,
            } => {
                assert_eq!(offset as usize, stored.len());
                stored.extend_from_slice(chunk);
                assembler.advance(NOW, &incoming);
                (last, reply)
            }
            Verdict::Duplicate { last, reply } => (last, reply),
            other => panic!("{other:?}"),
        };
        let code = if last { Code::CHANGED } else { Code::CONTINUE };
        if answer(upload, code, reply) == UploadStep::Done(Code::CHANGED) {
            return true;
        }
    }
    false
}

#[test]
fn goes_on_where_it_was_after_both_sides_restart() {
    let body: Vec<u8> = (0..9_999u32).map(|i| ((i * 31) >> 3) as u8).collect();
    let tag = Tag::new(b"\x01\x02\x03\x04\x05\x06\x07\x08");
    for exponent in [2, 6] {
        let szx = Szx::new(exponent).unwrap();
        let total = body.len() as u32;
        let blocks = body.len().div_ceil(szx.size());
        for cut in 0..=blocks {
            for write_unit in [1, 256, 4096] {
                let mut stored = Vec::new();
                let mut upload = Upload::new(total, szx, tag);
                let mut assembler = Assembler::new(LIMITS);
                let done = send(&mut upload, &mut assembler, &mut stored, &body, cut);
                assert_eq!(done, cut == blocks);
                // The device remembers whole write units only.
                stored.truncate(stored.len() / write_unit * write_unit);
                let received = stored.len() as u32;
                let mut assembler = Assembler::resume(LIMITS, NOW, tag, received);
                let mut upload = Upload::resume(total, szx, tag, received);
                assert!(send(
                    &mut upload,
                    &mut assembler,
                    &mut stored,
                    &body,
                    usize::MAX
                ));
                assert!(stored == body, "szx {exponent} cut {cut} unit {write_unit}");
            }
        }
    }
}
