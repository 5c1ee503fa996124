//! The bytes of records, pinned: what is stored must be readable for ever.

use super::*;
use crate::slot::{Slot, SlotState};
use lwm2m_objects::hex;
use tinsmith_lwm2m::{Endpoint, Now};
use tinsmith_store as store;

/// Written by the version before schema 2: the device `cut-off`, in the middle of a transfer, and
/// `steady`, with a model installed.
const OLD: [&str; 2] = [
    "\
     0001a700a600666d6f74696f6e0165312e302e300258208686cac7d3e566685c30a1b5ea2a466ca6af16\
     e6fb7d14e4ec107b0e37b660880301041b000001a214fb8e0805190258019018ac1843081876185b1892\
     187818ab18ad18dc188e18bb18a0188f170b0282aa00000160026003f604f605800600070008800900aa\
     00010160026003f604f60580060007000880090003af001b000001a214fb8e1001010202031b000001a2\
     14fb8e10041b000001a21a21ea1005a6005820e3948b978f708000ef63f532040b6ab9352a79037c9874\
     93e2d82771d1708f55011938b40219120003184404f4056e74696e736d69746820302e312e30061a6b07\
     6b6807825820d0d366bd5630fff7167d156eb056434e107d1ad87be3eab883c2723bc0b4491e1939d608\
     0009f40af40b000c000df60ef604f6051a6b076b680682a2001b000001a214fb8e08017477616e746564\
     3a206d6f74696f6e20312e302e30a2001b000001a214fb8e840178266275696c74206533393438623937\
     2028313435313620422c206172656e612034363038204229",
    "\
     0001a700a60064676169740163372e310258208686cac7d3e566685c30a1b5ea2a466ca6af16e6fb7d14\
     e4ec107b0e37b660880301041b000001a214fb894105190258019018ac1843081876185b1892187818ab\
     18ad18dc188e18bb18a0188f170b0282aa00000164676169740263372e310358208686cac7d3e566685c\
     30a1b5ea2a466ca6af16e6fb7d14e4ec107b0e37b66088045820a65f1b5ba7ee5f5424f3f99f8ea4dc20\
     fe3333c2fdbb453121757eb2dd93a1ea059018ac1843081876185b1892187818ab18ad18dc188e18bb18\
     a0188f170b0604070108800900aa00010160026003f604f60580060007000880090003f604a600010190\
     18ac1843081876185b1892187818ab18ad18dc188e18bb18a0188f170b021b000001a214fb89d003a600\
     5820a65f1b5ba7ee5f5424f3f99f8ea4dc20fe3333c2fdbb453121757eb2dd93a1ea011938b402191200\
     03181b04f4056e74696e736d69746820302e312e3004182805f6051a6b076b660687a2001b000001a214\
     fb851901781b7265616420746865206361706162696c697479206f626a65637473a2001b000001a214fb\
     8941017077616e7465643a206761697420372e31a2001b000001a214fb89740178266275696c74206136\
     3566316235622028313435313620422c206172656e612034363038204229a2001b000001a214fb89b401\
     73616c6c20626c6f636b73206172652073656e74a2001b000001a214fb89c00173746865206465766963\
     6520696e7374616c6c73a2001b000001a214fb89c801727468652064657669636520636f6d6d697473a2\
     001b000001a214fb89d001756761697420372e3120697320696e7374616c6c6564",
];
const NEW: &str = "\
    0002a76764657369726564a6656d6f64656c616d6776657273696f6e617666736f757263655820010101\
    01010101010101010101010101010101010101010101010101010101016a67656e65726174696f6e0665\
    73696e63650767747269616c5f73086a6361706162696c69747990090909090909090909090909090909\
    0965736c6f747381aa68696e7374616e636501656d6f64656c616d6776657273696f6e617666736f7572\
    636558200101010101010101010101010101010101010101010101010101010101010101666d6f64756c\
    65f6696275696c745f666f7281096573746174656b726f6c6c65645f6261636b66726573756c74206972\
    6563656976696e67810a6872656365697665640b67617474656d7074af6269640c6a67656e6572617469\
    6f6e0664737465706773656e64696e6767737461727465640d68646561646c696e650e68617274656661\
    6374a6666d6f64756c655820020202020202020202020202020202020202020202020202020202020202\
    02026c6d6f64756c655f6279746573036b6172656e615f6279746573046a636f6d70696c655f6d730566\
    636163686564f568636f6d70696c657261636873657175656e63650f677061636b616765825820030303\
    0303030303030303030303030303030303030303030303030303030303106d726573756c745f6265666f\
    72651166707573686564f5686578656375746564f4657472696573126872656a65637465641370747261\
    6e736665725f73746172746564146b7472616e736665725f6d73f6646c617374a66a67656e6572617469\
    6f6e056a6361706162696c69747990090909090909090909090909090909096261741568617274656661\
    6374f66b7472616e736665725f6d7316676661696c757265a165747269616ca166726573756c74176873\
    657175656e636518186874696d656c696e6581a2626174181964746578746174";

fn artefact() -> Artefact {
    Artefact {
        module: Digest([2; 32]),
        module_bytes: 3,
        arena_bytes: 4,
        compile_ms: 5,
        cached: true,
        compiler: "c".into(),
    }
}

/// One with something in every field.
fn full() -> DeviceRecord {
    let mut record = DeviceRecord {
        desired: Some(Box::new(Desired {
            model: "m".into(),
            version: "v".into(),
            source: Digest([1; 32]),
            generation: 6,
            since: 7,
            trial_s: 8,
            artefact: None,
        })),
        capability: Some([9; 16]),
        slots: vec![Slot {
            instance: 1,
            model: "m".into(),
            version: "v".into(),
            source: Some(Digest([1; 32])),
            module: None,
            built_for: vec![9],
            state: SlotState::RolledBack,
            result: -1,
            receiving: vec![10],
            received: 11,
        }],
        attempt: Some(Box::new(Attempt {
            id: 12,
            generation: 6,
            step: Step::Sending,
            started: 13,
            deadline: 14,
            artefact: Some(artefact()),
            sequence: Some(15),
            package: Some((Digest([3; 32]), 16)),
            result_before: 17,
            pushed: true,
            executed: false,
            tries: 18,
            rejected: 19,
            transfer_started: Some(20),
            transfer_ms: None,
            resend: false,
        })),
        last: Some(Box::new(Finished {
            generation: 5,
            capability: [9; 16],
            at: 21,
            artefact: None,
            transfer_ms: Some(22),
            failure: Some(Failure::Trial { result: 23 }),
        })),
        sequence: 24,
        timeline: Default::default(),
        pieces: 0,
        left: Vec::new(),
        installed: None,
        before: None,
    };
    record.note(25, "t");
    record
}

#[test]
fn the_bytes_of_a_device() {
    let bytes = store::encode(SCHEMA, &full()).unwrap();
    assert_eq!(hex::encode(&bytes), NEW);
    let back: DeviceRecord = store::decode(SCHEMA..=SCHEMA, &bytes).unwrap();
    assert_eq!(back, full());
    assert_eq!(Reconciler::key("dev").to_bytes(), b"\0\0\x03dev");
}

#[test]
fn a_device_of_schema_1_is_restored() {
    let mut reconciler = Reconciler::new();
    for (name, old) in ["cut-off", "steady"].into_iter().zip(OLD) {
        reconciler
            .restore(name, &hex::decode(old).unwrap())
            .unwrap();
    }
    let record = reconciler.status("cut-off").unwrap().record;
    let desired = record.desired.unwrap();
    assert_eq!((desired.model.as_str(), desired.trial_s), ("motion", 600));
    let attempt = record.attempt.unwrap();
    assert_eq!((attempt.step, attempt.pushed), (Step::Sending, false));
    assert_eq!(attempt.sequence, Some(1_795_648_360));
    assert_eq!(attempt.package.unwrap().1, 14_806);
    assert_eq!(attempt.artefact.unwrap().module_bytes, 14_516);
    assert_eq!(record.timeline.len(), 2);

    let status = reconciler.status("steady").unwrap();
    assert_eq!(status.summary, Summary::Installed);
    let record = status.record;
    assert_eq!(record.slots[0].state, SlotState::Active);
    assert_eq!(record.last.unwrap().transfer_ms, Some(40));
    assert_eq!(record.sequence, 1_795_648_358);
}

#[test]
fn an_unreadable_device_is_shown_and_left_alone() {
    let now = Now { mono: 1, wall: 2 };
    let endpoint: Endpoint = "dev".into();
    let mut reconciler = Reconciler::new();
    assert!(reconciler.restore("dev", &[0, 9, 0xa0]).is_err());
    let status = reconciler.status("dev").unwrap();
    assert_eq!(status.summary, Summary::Unreadable);
    assert!(status.detail.contains("schema 9"), "{}", status.detail);

    // Whatever happens, nothing is stored.
    reconciler.event(now, &harness::registered(true, &[]));
    reconciler.ask(now, AskId(1), &endpoint, Ask::Decide(Command::Forget));
    assert_eq!(reconciler.command(now, &endpoint, Command::Retry), None);
    let mut refused = 0;
    while let Some(output) = reconciler.poll() {
        match output {
            Output::Answer(AskId(1), Reply::Unreadable(_), None) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused, 1);
}
