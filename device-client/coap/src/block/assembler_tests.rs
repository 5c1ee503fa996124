use super::*;

const LIMITS: AssemblerLimits = AssemblerLimits {
    max_body: 100,
    preferred: Szx::MIN,
    lifetime_ms: Some(1_000),
};
const NOW: Instant = Instant::ZERO;

fn block<'a>(num: u32, more: bool, tag: &[u8], payload: &'a [u8]) -> Incoming<'a> {
    Incoming {
        block1: Block::new(num, more, Szx::MIN),
        tag: (!tag.is_empty()).then(|| Tag::new(tag).unwrap()),
        size1: None,
        payload,
    }
}

fn take(assembler: &mut Assembler, incoming: &Incoming<'_>) -> (u32, bool) {
    let verdict = assembler.check(NOW, incoming);
    let Verdict::Deliver { offset, last, .. } = verdict else {
        panic!("{verdict:?}")
    };
    assembler.advance(NOW, incoming);
    (offset, last)
}

#[test]
fn delivers_in_order_once() {
    for tag in [&b""[..], b"tag"] {
        let mut assembler = Assembler::new(LIMITS);
        let (first, second) = (block(0, true, tag, &[0; 16]), block(1, true, tag, &[1; 16]));
        let last = block(2, false, tag, &[2; 5]);
        assert_eq!(take(&mut assembler, &first), (0, false));
        assert_eq!(take(&mut assembler, &second), (16, false));
        let reply = second.block1;
        let again = Verdict::Duplicate { last: false, reply };
        assert_eq!(assembler.check(NOW, &second), again);
        assert_eq!(take(&mut assembler, &last), (32, true));
        let again = Verdict::Duplicate {
            last: true,
            reply: last.block1,
        };
        assert_eq!(assembler.check(NOW, &last), again);
        assert_eq!(assembler.progress().unwrap().0, 37);
        assert!(!assembler.is_receiving());
    }
}

#[test]
fn with_a_tag_every_old_block_is_a_duplicate() {
    let mut assembler = Assembler::new(LIMITS);
    let first = block(0, true, b"t", &[0; 16]);
    take(&mut assembler, &first);
    take(&mut assembler, &block(1, true, b"t", &[1; 16]));
    let again = Verdict::Duplicate {
        last: false,
        reply: first.block1,
    };
    assert_eq!(assembler.check(NOW, &first), again);
    take(&mut assembler, &block(2, false, b"t", &[1; 16]));
    assert_eq!(assembler.check(NOW, &first), again);
    let bad = Verdict::Refuse(Refusal::BadRequest);
    assert_eq!(assembler.check(NOW, &block(1, false, b"t", &[1; 16])), bad);
    assert_eq!(assembler.check(NOW, &block(2, true, b"t", &[1; 16])), bad);
}

#[test]
fn without_a_tag_another_first_block_is_another_body() {
    let mut assembler = Assembler::new(LIMITS);
    take(&mut assembler, &block(0, true, b"", &[0; 16]));
    let again = assembler.check(NOW, &block(0, true, b"", &[0; 16]));
    assert!(matches!(again, Verdict::Duplicate { last: false, .. }));
    assert_eq!(
        assembler.check(NOW, &block(0, true, b"", &[9; 16])),
        Verdict::Another
    );
    take(&mut assembler, &block(1, true, b"", &[0; 16]));
    assert_eq!(
        assembler.check(NOW, &block(0, true, b"", &[0; 16])),
        Verdict::Another
    );
    take(&mut assembler, &block(2, false, b"", &[0; 16]));
    take(&mut assembler, &block(0, true, b"", &[0; 16]));
}

#[test]
fn another_tag_or_size_is_another_body() {
    let mut assembler = Assembler::new(LIMITS);
    take(
        &mut assembler,
        &Incoming {
            size1: Some(40),
            ..block(0, true, b"a", &[0; 16])
        },
    );
    let other = block(0, true, b"b", &[0; 16]);
    assert_eq!(assembler.check(NOW, &other), Verdict::Another);
    let size = Incoming {
        size1: Some(41),
        ..block(0, true, b"a", &[0; 16])
    };
    assert_eq!(assembler.check(NOW, &size), Verdict::Another);
    let late = block(1, true, b"b", &[0; 16]);
    assert_eq!(
        assembler.check(NOW, &late),
        Verdict::Refuse(Refusal::Incomplete)
    );
    assembler.reset();
    assert_eq!(take(&mut assembler, &other), (0, false));
}

#[test]
fn gap_is_incomplete_and_length_must_fit() {
    let mut assembler = Assembler::new(LIMITS);
    let incomplete = Verdict::Refuse(Refusal::Incomplete);
    assert_eq!(
        assembler.check(NOW, &block(1, true, b"", &[0; 16])),
        incomplete
    );
    take(&mut assembler, &block(0, true, b"", &[0; 16]));
    assert_eq!(
        assembler.check(NOW, &block(2, true, b"", &[0; 16])),
        incomplete
    );
    let bad = Verdict::Refuse(Refusal::BadRequest);
    assert_eq!(assembler.check(NOW, &block(1, true, b"", &[0; 15])), bad);
    assert_eq!(assembler.check(NOW, &block(1, false, b"", &[0; 17])), bad);
}

#[test]
fn too_large_is_refused_early() {
    let mut assembler = Assembler::new(LIMITS);
    let refusal = Refusal::TooLarge { max_body: 100 };
    assert_eq!(refusal.code(), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(refusal.size1(), Some(100));
    let told = Incoming {
        size1: Some(101),
        ..block(0, true, b"", &[0; 16])
    };
    assert_eq!(assembler.check(NOW, &told), Verdict::Refuse(refusal));
    let whole = Incoming {
        block1: None,
        ..block(0, false, b"", &[0; 101])
    };
    assert_eq!(assembler.check(NOW, &whole), Verdict::Refuse(refusal));
    let far = block(Block::MAX_NUM, false, b"", &[0; 16]);
    assert_eq!(assembler.check(NOW, &far), Verdict::Refuse(refusal));
}

#[test]
fn asks_for_smaller_blocks_with_the_first() {
    let mut assembler = Assembler::new(LIMITS);
    let szx = Szx::new(1).unwrap();
    let first = Incoming {
        block1: Block::new(0, true, szx),
        ..block(0, true, b"", &[0; 32])
    };
    let Verdict::Deliver { reply, .. } = assembler.check(NOW, &first) else {
        panic!()
    };
    assert_eq!(reply, Block::new(0, true, Szx::MIN));
    assembler.advance(NOW, &first);
    assert_eq!(
        take(&mut assembler, &block(2, false, b"", &[0; 3])),
        (32, true)
    );
}

#[test]
fn old_body_is_forgotten() {
    let mut assembler = Assembler::new(LIMITS);
    take(&mut assembler, &block(0, true, b"", &[0; 16]));
    let later = Instant::from_millis(1_000);
    let next = block(1, true, b"", &[0; 16]);
    assert_eq!(
        assembler.check(later, &next),
        Verdict::Refuse(Refusal::Incomplete)
    );
    assert_eq!(assembler.progress(), None);
}

#[test]
fn resumed_body_takes_an_overlapping_block_from_where_it_was() {
    let mut assembler = Assembler::resume(LIMITS, NOW, Tag::new(b"t"), 24);
    let payload: Vec<u8> = (16..32).collect();
    let overlapping = block(1, true, b"t", &payload);
    let Verdict::Deliver { offset, chunk, .. } = assembler.check(NOW, &overlapping) else {
        panic!()
    };
    assert_eq!((offset, chunk), (24, &payload[8..]));
    assembler.advance(NOW, &overlapping);
    assert_eq!(
        take(&mut assembler, &block(2, false, b"t", &[1])),
        (32, true)
    );
    let mut fresh = Assembler::resume(LIMITS, NOW, Tag::new(b"t"), 0);
    assert_eq!(
        take(&mut fresh, &block(0, true, b"t", &[0; 16])),
        (0, false)
    );
}
