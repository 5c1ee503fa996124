//! The power fails after every n-th flash unit of a bootstrap and of a whole update.

use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::Code;

use super::world::{Story, World};
use crate::SlotState;
use crate::testing::{Board, LAYERS, WIDTH, expected, package};

const INPUT: [i8; WIDTH] = [5; WIDTH];

fn update(w: &mut World, step: i8, sequence: u64) -> Story<()> {
    assert_eq!(w.push(&package(step, sequence, 60))?, Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "")?, Code::CHANGED);
    let slot = w.client.device.update.state.trial().unwrap();
    assert_eq!(w.execute(&format!("/27303/{slot}/10"), "")?, Code::CHANGED);
    Ok(())
}

/// After the cut: which module works? Then another update must go through.
fn recover(w: &mut World, allowed: &[i8], cut: u64) {
    w.reboot();
    w.settle().unwrap();
    let active = w.slots().contains(&SlotState::Active);
    assert!(
        active || allowed.contains(&0),
        "cut {cut}: no module is left"
    );
    if active {
        let got = w.infer(&INPUT).unwrap();
        let works = |step: &&i8| **step != 0 && got == expected(&INPUT, **step, LAYERS);
        assert!(allowed.iter().find(works).is_some(), "cut {cut}: {got:?}");
    }
    let (state, _) = w.firmware().unwrap();
    if state != 0 {
        assert_ne!(state, 3, "cut {cut}: no update survives a reset");
        let code = w.ask(super::world::SERVER, Code::PUT, "/5/0/0", |b| {
            b.payload(&[0]).unwrap();
        });
        assert_eq!(code.unwrap().code, Code::CHANGED, "cut {cut}");
    }
    update(w, 3, 9).unwrap();
    assert_eq!(
        w.infer(&INPUT).unwrap(),
        expected(&INPUT, 3, LAYERS),
        "cut {cut}"
    );
    w.reboot();
    w.settle().unwrap();
    assert_eq!(
        w.infer(&INPUT).unwrap(),
        expected(&INPUT, 3, LAYERS),
        "cut {cut}"
    );
    assert_eq!(w.board.flash.misuse(), None);
}

/// Tries every n until the story ends without a cut; gives the number of cuts.
fn at_every_unit(
    erase: u32,
    write: u32,
    prepare: impl Fn(&mut World),
    story: impl Fn(&mut World) -> Story<()>,
    allowed: &[i8],
) -> u64 {
    for n in 1.. {
        let mut w = World::registered(Board::with(erase, write));
        prepare(&mut w);
        w.board.flash.cut_after(n);
        let whole = story(&mut w).is_ok();
        recover(&mut w, if whole { &allowed[1..] } else { allowed }, n);
        if whole {
            return n;
        }
    }
    0
}

#[test]
fn an_update_of_a_running_module() {
    let cuts = at_every_unit(
        2048,
        32,
        |w| update(w, 1, 1).unwrap(),
        |w| update(w, 2, 2),
        &[1, 2],
    );
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn the_first_update() {
    let cuts = at_every_unit(8192, 32, |_| {}, |w| update(w, 2, 2), &[0, 2]);
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_rollback_of_a_committed_module() {
    let prepare = |w: &mut World| {
        update(w, 1, 1).unwrap();
        update(w, 2, 2).unwrap();
    };
    let story = |w: &mut World| {
        let slot = w.client.device.update.state.active().unwrap();
        assert_eq!(w.execute(&format!("/27303/{slot}/11"), "")?, Code::CHANGED);
        Ok(())
    };
    let cuts = at_every_unit(2048, 16, prepare, story, &[2, 1]);
    assert!(cuts > 5, "{cuts}");
}

#[test]
fn a_bootstrap() {
    let mut cuts = 0;
    for n in 1.. {
        let mut w = World::new(Board::with(2048, 4));
        w.board.flash.cut_after(n);
        let whole = w.bootstrap(ContentFormat::TLV).is_ok();
        w.reboot();
        let request = w.request().unwrap();
        // Either it is bootstrapped and registers, or it asks again; never half of it.
        assert!(
            request.path == "rd" || (request.path == "bs" && !whole),
            "cut {n}"
        );
        cuts = n;
        if whole {
            break;
        }
    }
    assert!(cuts > 10, "{cuts}");
}
