use super::*;
use crate::flash::FlashOp;
use crate::mem_flash::MemFlash;

const REGION: Region = Region {
    offset: 4096,
    size: 8192,
    erase_unit: 2048,
};

fn mounted(region: Region, write_unit: u32, flash: &MemFlash) -> Journal {
    let mut journal = Journal::new(region, write_unit);
    journal.mount(flash);
    journal
}

fn put(j: &mut Journal, f: &mut MemFlash, key: u8, data: &[u8]) -> bool {
    let mut buf = [0u8; BUFFER];
    buf[8..8 + data.len()].copy_from_slice(data);
    assert!(j.put(key, data.len(), &mut buf, f));
    while let Some(step) = j.step(f, &mut buf) {
        let ok = f
            .apply(match step {
                Step::Erase { offset, len } => FlashOp::Erase { offset, len },
                Step::Program { offset, len } => FlashOp::Program {
                    offset,
                    data: &buf[..len as usize],
                },
                Step::Sync => FlashOp::Sync,
            })
            .is_ok();
        if j.done(ok, f) {
            return true;
        }
        if !ok {
            return false;
        }
    }
    false
}

#[test]
fn crc_check_value() {
    assert_eq!(crc32(&[b"1234", b"56789"]), 0xCBF4_3926);
}

#[test]
fn newest_record_of_each_key_is_found_after_many_compactions() {
    for write_unit in [1, 4, 8, 16, 32] {
        let mut f = MemFlash::new(16384, write_unit);
        let mut j = mounted(REGION, write_unit as u32, &f);
        for i in 0..200u32 {
            let len = (i as usize * 37) % 900;
            let data = vec![i as u8; len];
            assert!(put(&mut j, &mut f, (i % 3) as u8, &data));
            let fresh = mounted(REGION, write_unit as u32, &f);
            assert_eq!(fresh.get((i % 3) as u8, &f), Some(&data[..]));
            assert_eq!(f.misuse(), None);
        }
    }
}

#[test]
fn records_that_do_not_fit_a_half_together_are_refused() {
    let region = Region {
        offset: 0,
        size: 2048,
        erase_unit: 128,
    };
    let mut f = MemFlash::new(2048, 4);
    let mut j = mounted(region, 4, &f);
    assert!(put(&mut j, &mut f, 0, &[1; 500]));
    assert!(put(&mut j, &mut f, 1, &[2; 400]));
    assert!(!j.put(2, 200, &mut [0; BUFFER], &f));
    assert!(put(&mut j, &mut f, 2, &[3; 40]));
    assert!(put(&mut j, &mut f, 2, &[4; 40]));
    let j = mounted(region, 4, &f);
    let lens = [0, 1, 2].map(|k| j.get(k, &f).map(<[u8]>::len));
    assert_eq!(lens, [Some(500), Some(400), Some(40)]);
    assert_eq!(f.misuse(), None);
}

#[test]
fn a_cut_at_any_unit_leaves_the_old_or_the_new() {
    for write_unit in [4, 16] {
        let mut total = None;
        for n in 1.. {
            let mut f = MemFlash::new(16384, write_unit);
            let mut j = mounted(REGION, write_unit as u32, &f);
            f.cut_after(n);
            let mut stored = [None, None, None];
            let mut tried = (0, 0);
            let mut finished = true;
            for i in 0..12u8 {
                let key = i % 3;
                tried = (key, i);
                if !put(&mut j, &mut f, key, &vec![i; 700]) {
                    finished = false;
                    break;
                }
                stored[usize::from(key)] = Some(i);
            }
            f.restore();
            let mut j = mounted(REGION, write_unit as u32, &f);
            for key in 0..3u8 {
                let got = j.get(key, &f).map(|d| d[0]);
                let old = stored[usize::from(key)];
                let new = (key == tried.0).then_some(tried.1);
                assert!(got == old || got == new, "cut {n}: key {key} is {got:?}");
            }
            assert!(put(&mut j, &mut f, 1, b"after"));
            let j = mounted(REGION, write_unit as u32, &f);
            assert_eq!(j.get(1, &f), Some(&b"after"[..]));
            assert_eq!(f.misuse(), None, "cut {n}");
            if finished {
                total = Some(n);
                break;
            }
        }
        assert!(total.unwrap() > 100);
    }
}
