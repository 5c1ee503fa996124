//! The power fails, or the flash does, while trust anchors are written: the old ones or the new
//! ones, and never none.

use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::Code;

use super::world::{BOOTSTRAP, Story, World};
use crate::testing::{Board, LAYERS, WIDTH, anchor, anchors_package, expected, package, signed};

const INPUT: [i8; WIDTH] = [6; WIDTH];

fn install(w: &mut World, signer: u8, step: i8, sequence: u64) -> Story<()> {
    let package = signed(signer, &package(step, sequence, 60));
    assert_eq!(w.push(&package)?, Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "")?, Code::CHANGED);
    let slot = w.client.device.update.state.trial().unwrap();
    assert_eq!(w.execute(&format!("/27303/{slot}/10"), "")?, Code::CHANGED);
    Ok(())
}

fn anchored(erase: u32, write: u32) -> World {
    let mut w = World::new(Board::with(erase, write));
    w.anchors = vec![anchor(1)];
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
    install(&mut w, 1, 1, 1).unwrap();
    w
}

/// Which signer the device trusts after the cut; no other's package is taken, nor an unsigned one,
/// and nothing else runs.
fn check(w: &mut World, cut: u64, whole: bool) {
    w.reboot();
    w.settle().unwrap();
    let trusted: Vec<u8> = [1, 2]
        .into_iter()
        .filter(|signer| {
            let anchors = &w.client.device.trust.anchors;
            anchors.find(anchor(*signer).id()).is_some()
        })
        .collect();
    assert_eq!(trusted.len(), 1, "cut {cut}: {trusted:?}");
    let signer = trusted[0];
    assert!(!whole || signer == 2, "cut {cut}");
    let runs = w.client.device.update.state.running().is_some();
    assert_eq!(runs, signer == 1, "cut {cut}");
    if runs {
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    }
    let (state, _) = w.firmware().unwrap();
    assert_eq!(state, 0, "cut {cut}");
    assert!(!w.push(&package(3, 9, 60)).unwrap().is_success());
    let other = signed(3 - signer, &package(3, 9, 60));
    assert!(!w.push(&other).unwrap().is_success(), "cut {cut}");
    install(w, signer, 3, 9).unwrap();
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 3, LAYERS));
    assert_eq!(w.board.flash.misuse(), None);
}

fn at_every_unit(story: impl Fn(&mut World) -> Story<()>) {
    for (erase, write) in [(2048, 4), (4096, 32)] {
        let mut cuts = 0;
        for n in 1.. {
            let mut w = anchored(erase, write);
            w.board.flash.cut_after(n);
            let whole = story(&mut w).is_ok();
            check(&mut w, n, whole);
            cuts = n;
            if whole {
                break;
            }
        }
        assert!(cuts > 5, "{cuts}");
    }
}

#[test]
fn in_a_bootstrap() {
    at_every_unit(|w| {
        assert_eq!(w.execute("/1/0/9", "")?, Code::CHANGED);
        w.anchors = vec![anchor(2)];
        w.bootstrap(ContentFormat::TLV)
    });
}

#[test]
fn in_a_package_with_anchors() {
    at_every_unit(|w| {
        let package = signed(1, &anchors_package(&[2], 5));
        assert_eq!(w.push(&package)?, Code::CHANGED);
        Ok(())
    });
}

/// Nothing is promised that the journal does not take.
#[test]
fn flash_that_fails_leaves_the_old_ones() {
    let mut w = anchored(2048, 4);
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    w.anchors = vec![anchor(2)];
    w.failing = 3;
    let answer = w.write_anchors(BOOTSTRAP, ContentFormat::TLV).unwrap();
    assert_eq!(answer.code, Code::INTERNAL_SERVER_ERROR);
    let anchors = |w: &World| {
        w.client
            .device
            .trust
            .anchors
            .iter()
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(anchors(&w), [anchor(1)]);
    assert!(w.client.device.update.state.running().is_some());
    let answer = w.write_anchors(BOOTSTRAP, ContentFormat::TLV).unwrap();
    assert_eq!(answer.code, Code::CHANGED);
    assert_eq!(anchors(&w), [anchor(2)]);
    assert!(w.client.device.update.state.running().is_none());
}
