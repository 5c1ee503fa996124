//! Trust anchors: who may write them, what is taken with them, and what does not run any more.

use lwm2m_objects::format::ContentFormat;
use tinsmith_coap::{Code, Szx};

use super::world::{BOOTSTRAP, SERVER, World};
use crate::testing::{
    Board, LAYERS, WIDTH, anchor, anchors_package, expected, package, package_with, signed,
};
use crate::{FirmwareState, ModelResult, SlotState, UpdateResult};

const INPUT: [i8; WIDTH] = [4; WIDTH];

/// Registered, with anchors of these signers from its bootstrap.
fn anchored(signers: &[u8]) -> World {
    let mut w = World::new(Board::small());
    w.anchors = signers.iter().map(|signer| anchor(*signer)).collect();
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
    w
}

fn install(w: &mut World, package: &[u8]) {
    assert_eq!(w.push(package).unwrap(), Code::CHANGED);
    assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
    let slot = w.client.device.update.state.trial().unwrap();
    let commit = format!("/27303/{slot}/10");
    assert_eq!(w.execute(&commit, "").unwrap(), Code::CHANGED);
}

/// The first block, which holds the head and little more, is refused with these results.
fn is_refused_at_the_head(w: &mut World, package: &[u8], update: UpdateResult, model: ModelResult) {
    let before = w.board.flash.steps();
    let tag = tinsmith_package::sha256(package);
    let answer = w.block(package, Some(&tag[..8]), 0, Szx::MAX).unwrap();
    assert!(!answer.code.is_success(), "{:?}", answer.code);
    assert_eq!(w.firmware().unwrap(), (0, update as i64));
    let slot = w.client.device.update.state.free_slot().unwrap();
    assert_eq!(w.number(&format!("/27303/{slot}/8")).unwrap(), model as i64);
    // The journal only: nothing was erased for the payload.
    assert!(w.board.flash.steps() - before < 300);
}

#[test]
fn with_an_anchor_only_what_it_signed_is_taken() {
    let mut w = anchored(&[1, 2]);
    let ids = w.anchor_ids().unwrap();
    assert_eq!(ids, [anchor(1).id().to_vec(), anchor(2).id().to_vec()]);
    let (integrity, signature) = (UpdateResult::IntegrityFailed, ModelResult::Signature);
    let unsigned = package(1, 1, 60);
    is_refused_at_the_head(&mut w, &unsigned, integrity, signature);
    is_refused_at_the_head(&mut w, &signed(3, &unsigned), integrity, signature);
    let mut forged = signed(1, &unsigned);
    let at = 45 + 30;
    forged[at] ^= 1;
    is_refused_at_the_head(&mut w, &forged, integrity, signature);
    for (sequence, signer) in [(1, 1), (2, 2)] {
        install(&mut w, &signed(signer, &package(2, sequence, 60)));
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 2, LAYERS));
        w.reboot();
        w.register().unwrap();
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 2, LAYERS));
        is_refused_at_the_head(&mut w, &package(1, 9, 60), integrity, signature);
    }
}

/// What the manifest demands is looked at before anything is computed.
#[test]
fn demands_come_first() {
    let mut w = anchored(&[1]);
    let other = package_with(&[0; 2000], 1, 60, |head| head.class_id = [7; 16]);
    let (kind, model) = (UpdateResult::UnsupportedPackage, ModelResult::OtherDevice);
    is_refused_at_the_head(&mut w, &signed(1, &other), kind, model);
}

#[test]
fn without_an_anchor_everything_is_taken_but_anchors() {
    let mut w = World::registered(Board::small());
    assert!(w.anchor_ids().unwrap().is_empty());
    install(&mut w, &package(1, 1, 60));
    install(&mut w, &signed(1, &package(2, 2, 60)));
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 2, LAYERS));
    let package = signed(1, &anchors_package(&[1], 3));
    assert!(!w.push(&package).unwrap().is_success());
    let kind = UpdateResult::UnsupportedPackage as i64;
    assert_eq!(w.firmware().unwrap(), (0, kind));
    assert!(w.anchor_ids().unwrap().is_empty());
}

#[test]
fn only_the_bootstrap_server_writes_anchors_and_nobody_reads_them() {
    let mut w = anchored(&[1]);
    let ids = w.anchor_ids().unwrap();
    w.anchors = vec![anchor(3)];
    for format in [ContentFormat::TLV, ContentFormat::SENML_CBOR] {
        let answer = w.write_anchors(SERVER, format).unwrap();
        assert_eq!(answer.code, Code::UNAUTHORIZED);
    }
    let read = w.ask(SERVER, Code::GET, "/27300/0/14", |_| {}).unwrap();
    assert_eq!(read.code, Code::METHOD_NOT_ALLOWED);
    assert_eq!(w.anchor_ids().unwrap(), ids);
    // Other resources of the object are nobody's to write.
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    let request = w.request().unwrap();
    w.reply(&request, Code::CHANGED, "").unwrap();
    let name = [(
        lwm2m_objects::Path::resource(27300, 0, 0),
        lwm2m_objects::OwnedValue::String("other".into()),
    )];
    let answer = w.put(BOOTSTRAP, "/27300/0", &name, ContentFormat::TLV);
    assert_eq!(answer.unwrap().code, Code::METHOD_NOT_ALLOWED);
    // What is no key changes nothing.
    let nonsense = [(
        lwm2m_objects::Path::resource_instance(27300, 0, 14, 0),
        lwm2m_objects::OwnedValue::Opaque(vec![1; 42]),
    )];
    let answer = w.put(BOOTSTRAP, "/27300/0", &nonsense, ContentFormat::TLV);
    assert_eq!(answer.unwrap().code, Code::BAD_REQUEST);
    let now = &w.client.device.trust.anchors;
    assert!(now.find(anchor(1).id()).is_some());
    // In any format, and one request replaces what another wrote.
    for format in [ContentFormat::SENML_CBOR, ContentFormat::TLV] {
        w.anchors = vec![anchor(4), anchor(5)];
        let answer = w.write_anchors(BOOTSTRAP, format).unwrap();
        assert_eq!(answer.code, Code::CHANGED);
        w.anchors = vec![anchor(3)];
        let answer = w.write_anchors(BOOTSTRAP, format).unwrap();
        assert_eq!(answer.code, Code::CHANGED);
        let now: Vec<_> = w.client.device.trust.anchors.iter().copied().collect();
        assert_eq!(now, [anchor(3)]);
    }
}

#[test]
fn what_runs_unsigned_stops_when_the_first_anchor_comes() {
    let mut w = World::registered(Board::small());
    install(&mut w, &package(1, 1, 60));
    install(&mut w, &package(2, 2, 60));
    assert_eq!(w.slots(), [SlotState::Verified, SlotState::Active]);
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    w.anchors = vec![anchor(1)];
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
    assert_eq!(w.slots(), [SlotState::Failed; 2]);
    for slot in 0..2 {
        let result = w.number(&format!("/27303/{slot}/8")).unwrap();
        assert_eq!(result, ModelResult::Signature as i64);
        let activated = w.execute(&format!("/27303/{slot}/9"), "").unwrap();
        assert_eq!(activated, Code::METHOD_NOT_ALLOWED);
    }
    install(&mut w, &signed(1, &package(3, 3, 60)));
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 3, LAYERS));
}

/// In each state that a package can be in.
#[test]
fn an_anchor_ends_whatever_is_under_way_unsigned() {
    for stage in [SlotState::Receiving, SlotState::Verified, SlotState::Trial] {
        let mut w = World::registered(Board::small());
        let p = package(1, 1, 60);
        let tag = tinsmith_package::sha256(&p);
        match stage {
            SlotState::Receiving => {
                for num in 0..3 {
                    w.block(&p, Some(&tag[..8]), num, Szx::new(5).unwrap())
                        .unwrap();
                }
            }
            _ => assert_eq!(w.push(&p).unwrap(), Code::CHANGED),
        }
        if stage == SlotState::Trial {
            assert_eq!(w.execute("/5/0/2", "").unwrap(), Code::CHANGED);
        }
        assert_eq!(w.slots()[0], stage);
        assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
        w.anchors = vec![anchor(1)];
        w.bootstrap(ContentFormat::TLV).unwrap();
        w.register().unwrap();
        if stage == SlotState::Receiving {
            let rest = w.push_from(&p, Some(&tag[..8]), 3, Szx::new(5).unwrap());
            rest.unwrap();
        }
        assert_eq!(w.slots()[0], SlotState::Failed, "{stage:?}");
        assert_eq!(w.firmware().unwrap().0, FirmwareState::Idle as i64);
        install(&mut w, &signed(1, &package(3, 3, 60)));
        assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 3, LAYERS));
    }
}

#[test]
fn a_signed_package_replaces_the_anchors() {
    let mut w = anchored(&[1]);
    install(&mut w, &signed(1, &package(1, 1, 60)));
    // Unsigned, by somebody else, for another class, with nonsense inside: as any package.
    for bad in [
        anchors_package(&[9], 5),
        signed(9, &anchors_package(&[9], 5)),
        signed(
            1,
            &package_with(&[0x80], 5, 0, |h| h.kind = tinsmith_package::Kind::Anchors),
        ),
    ] {
        assert!(!w.push(&bad).unwrap().is_success());
        assert_eq!(w.anchor_ids().unwrap(), [anchor(1).id()]);
    }
    // Both, so that what the old one signed goes on.
    let both = signed(1, &anchors_package(&[2, 1], 5));
    assert_eq!(w.push(&both).unwrap(), Code::CHANGED);
    assert_eq!(w.firmware().unwrap(), (0, UpdateResult::Success as i64));
    assert_eq!(w.anchor_ids().unwrap(), [anchor(2).id(), anchor(1).id()]);
    assert_eq!(w.number("/27303/0/23").unwrap(), 5);
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    // The new one alone: what the old one signed stops.
    let only = signed(2, &anchors_package(&[2], 6));
    assert_eq!(w.push(&only).unwrap(), Code::CHANGED);
    assert_eq!(w.anchor_ids().unwrap(), [anchor(2).id()]);
    assert_eq!(w.slots()[0], SlotState::Failed);
    // Nothing brings the old one back.
    for old in [&both, &only] {
        assert!(!w.push(old).unwrap().is_success());
    }
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.anchor_ids().unwrap(), [anchor(2).id()]);
    assert!(!w.push(&both).unwrap().is_success());
    assert!(!w.push(&signed(1, &package(3, 7, 60))).unwrap().is_success());
    install(&mut w, &signed(2, &package(3, 7, 60)));
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 3, LAYERS));
}

#[test]
fn anchors_in_small_blocks() {
    let mut w = anchored(&[1]);
    let p = signed(1, &anchors_package(&[2, 3, 4, 5], 5));
    let tag = tinsmith_package::sha256(&p);
    let code = w.push_from(&p, Some(&tag[..8]), 0, Szx::new(0).unwrap());
    assert_eq!(code.unwrap(), Code::CHANGED);
    assert_eq!(w.anchor_ids().unwrap().len(), 4);
    let long = signed(
        2,
        &package_with(&[0; 400], 6, 0, |head| {
            head.kind = tinsmith_package::Kind::Anchors;
        }),
    );
    let tag = tinsmith_package::sha256(&long);
    let answer = w.block(&long, Some(&tag[..8]), 0, Szx::MAX).unwrap();
    assert_eq!(answer.code, Code::REQUEST_ENTITY_TOO_LARGE);
}

#[test]
fn anchors_of_the_factory_hold_until_others_come() {
    let factory: &'static [_] = Box::leak(Box::new([anchor(7)]));
    let mut board = Board::small();
    board.anchors = factory;
    let mut w = World::registered(board);
    assert_eq!(w.anchor_ids().unwrap(), [anchor(7).id()]);
    assert!(!w.push(&package(1, 1, 60)).unwrap().is_success());
    install(&mut w, &signed(7, &package(1, 1, 60)));
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.infer(&INPUT).unwrap(), expected(&INPUT, 1, LAYERS));
    assert_eq!(w.execute("/1/0/9", "").unwrap(), Code::CHANGED);
    w.anchors = vec![anchor(1)];
    w.bootstrap(ContentFormat::TLV).unwrap();
    w.register().unwrap();
    assert_eq!(w.anchor_ids().unwrap(), [anchor(1).id()]);
    w.reboot();
    w.register().unwrap();
    assert_eq!(w.anchor_ids().unwrap(), [anchor(1).id()]);
    assert_eq!(w.slots()[0], SlotState::Failed);
}
