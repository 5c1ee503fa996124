use super::*;
use crate::flash::FlashOp;
use crate::mem_flash::MemFlash;

#[test]
fn bytes_move_down_by_any_distance() {
    for from in 0..=9 {
        let mut bytes: Vec<u8> = (0..9).collect();
        move_down(&mut bytes, from);
        let moved: Vec<u8> = (from as u8..9).collect();
        assert_eq!(bytes[..9 - from], moved[..], "{from}");
    }
}

fn begin(r: &mut Receiver, head_len: usize, len: u32, last: bool, buf: &mut [u8; RECEIVE]) -> bool {
    let fits = r.fits(head_len, len, last);
    r.begin_payload(head_len, len, buf);
    fits
}

const SLOT: Region = Region {
    offset: 0,
    size: 8192,
    erase_unit: 1024,
};

fn layout(write_unit: u32) -> FlashLayout {
    let journal = Region {
        offset: 16384,
        size: 8192,
        erase_unit: 4096,
    };
    FlashLayout {
        journal,
        slots: [
            SLOT,
            Region {
                offset: 8192,
                ..SLOT
            },
        ],
        write_unit,
    }
}

fn work(r: &mut Receiver, f: &mut MemFlash, l: &FlashLayout, buf: &mut [u8; RECEIVE]) {
    while let Some(step) = r.step(&SLOT, l, buf) {
        f.apply(match step {
            Step::Erase { offset, len } => FlashOp::Erase { offset, len },
            Step::Program { offset, len } => FlashOp::Program {
                offset,
                data: &buf[..len as usize],
            },
            Step::Sync => FlashOp::Sync,
        })
        .unwrap();
        r.done(step, &SLOT, buf);
    }
}

#[test]
fn payload_lands_at_the_start_of_the_slot_for_every_block_size_and_write_unit() {
    let head = [7u8; 100];
    let payload: Vec<u8> = (0..3333u32).map(|i| (i * 7) as u8).collect();
    let package = [&head[..], &payload].concat();
    for write_unit in [1, 4, 8, 16, 32] {
        for block in [16, 64, 512, 1024] {
            let l = layout(write_unit);
            let mut f = MemFlash::new(16384, write_unit as usize);
            f.apply(FlashOp::Program {
                offset: 0,
                data: &[0; 32],
            })
            .unwrap();
            let mut buf = [0; RECEIVE];
            let mut r = Receiver::new(None);
            for (i, chunk) in package.chunks(block).enumerate() {
                let offset = (i * block) as u32;
                let last = offset as usize + chunk.len() == package.len();
                assert_eq!(r.take(offset, chunk, last, &mut buf), Block::Taken);
                assert_eq!(
                    r.take(offset, chunk, last && r.payload.is_some(), &mut buf),
                    Block::Duplicate
                );
                if r.payload.is_none() && r.received >= 100 {
                    assert!(begin(&mut r, 100, 3333, last, &mut buf));
                }
                work(&mut r, &mut f, &l, &mut buf);
            }
            assert!(r.is_complete());
            assert_eq!(f.image()[..3333], payload[..]);
            assert_eq!(f.misuse(), None);
        }
    }
}

#[test]
fn it_goes_on_at_the_last_whole_unit_after_a_reset() {
    let l = layout(8);
    let mut f = MemFlash::new(16384, 8);
    let mut buf = [0; RECEIVE];
    let mut r = Receiver::new(Bytes::new(b"tagtagta"));
    let package: Vec<u8> = (0..5000u32).map(|i| (i / 3) as u8).collect();
    assert_eq!(r.take(0, &package[..1024], false, &mut buf), Block::Taken);
    assert!(begin(&mut r, 40, 4960, false, &mut buf));
    for i in 1..3 {
        work(&mut r, &mut f, &l, &mut buf);
        let at = i * 1024;
        let block = &package[at..at + 1024];
        assert_eq!(r.take(at as u32, block, false, &mut buf), Block::Taken);
    }
    work(&mut r, &mut f, &l, &mut buf);
    assert_eq!(r.received, 3072);
    let mut record = [0; 64];
    let n = r.encode(&mut record).unwrap();
    let mut r = Receiver::decode(&record[..n]).unwrap();
    assert_eq!((r.received, r.tag), (40 + 2048, Bytes::new(b"tagtagta")));
    assert_eq!(
        r.take(4096, &package[4096..5000], true, &mut buf),
        Block::Gap
    );
    for at in [2048, 3072, 4096] {
        let end = (at + 1024).min(5000);
        let block = r.take(at as u32, &package[at..end], end == 5000, &mut buf);
        assert_eq!(block, Block::Taken);
        work(&mut r, &mut f, &l, &mut buf);
    }
    assert!(r.is_complete());
    assert_eq!(f.image()[..4960], package[40..]);
    assert_eq!(f.misuse(), None);
}

#[test]
fn lengths_must_agree_with_the_head() {
    let mut buf = [0; RECEIVE];
    let mut r = Receiver::new(None);
    assert_eq!(r.take(0, &[0; 512], false, &mut buf), Block::Taken);
    assert!(begin(&mut r, 12, 1000, false, &mut buf));
    assert_eq!(r.take(512, &[0; 512], true, &mut buf), Block::WrongLength);
    assert_eq!(r.take(512, &[0; 100], true, &mut buf), Block::WrongLength);
    assert_eq!(r.take(512, &[0; 500], false, &mut buf), Block::WrongLength);
    assert_eq!(
        r.take(u32::MAX, &[0; 500], false, &mut buf),
        Block::WrongLength
    );
    assert_eq!(r.take(512, &[0; 500], true, &mut buf), Block::Taken);
    let mut r = Receiver::new(None);
    assert_eq!(r.take(0, &[0; 512], true, &mut buf), Block::Taken);
    assert!(!begin(&mut r, 12, 1000, true, &mut buf));
}
