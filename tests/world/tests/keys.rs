//! A server changes the key that it signs with: devices are told by the old key, with loss, power
//! cuts and cuts of the server, and never trust nobody.

use lwm2m_objects::{OwnedValue, Path, ids};
use tinsmith_client::{Event, SlotState};
use tinsmith_lwm2m::{Body, Operation, Outcome};
use tinsmith_order::{Artefact, KeyId, PackageJob};
use tinsmith_update::Summary;
use tinsmith_world::{Chance, Signers, Weather, World, models, tell};

const DEVICE: [&str; 1] = ["pump-1"];
const HOUR: u64 = 3_600_000;
/// Numbers of keys.
const OLD: u8 = 1;
const NEW: u8 = 2;

#[test]
fn devices_go_from_an_old_key_to_a_new_one() {
    tell(300, story);
}

fn story(seed: u64) {
    let mut chance = Chance::new(seed ^ 0x006b_6579);
    let mut world = World::new(seed, &DEVICE, 1, Weather::FAIR);
    world.sign_with(&[OLD]);
    installed(&mut world, seed, "motion");
    trusts(&mut world, seed, &[OLD]);

    change(&mut world, &mut chance, &[NEW, OLD]);
    trusts(&mut world, seed, &[NEW, OLD]);
    runs(&mut world, seed, "motion");
    // Signed with the new one from now on.
    let signed_anew = chance.below(2) == 0;
    if signed_anew {
        installed(&mut world, seed, "maintenance");
    }

    let received = receptions(&world);
    change(&mut world, &mut chance, &[NEW]);
    trusts(&mut world, seed, &[NEW]);
    let model = if signed_anew { "maintenance" } else { "motion" };
    let summary = |world: &World| world.status(0).map(|status| status.summary);
    let done = world.run_while(26 * HOUR, |world| {
        summary(world) != Some(Summary::Installed)
    });
    assert!(done, "seed {seed}: {:#?}", world.status(0));
    runs(&mut world, seed, model);
    if signed_anew {
        assert_eq!(receptions(&world), received, "seed {seed}: sent again");
    } else {
        assert!(receptions(&world) > received, "seed {seed}: not sent again");
    }

    // What the old key signs is not taken any more, and nothing is erased for it.
    let received = receptions(&world);
    let refused = push(&mut world, OLD, "other");
    assert!(
        matches!(refused, Some(Outcome::Rejected { .. })),
        "seed {seed}: {refused:?}"
    );
    let result = Path::resource(ids::FIRMWARE_UPDATE, 0, ids::firmware_update::UPDATE_RESULT);
    let result = world.request(0, Operation::read(result));
    let Some(Outcome::Content(values)) = result else {
        panic!("seed {seed}: {result:?}");
    };
    assert_eq!(values[0].value, OwnedValue::Integer(5), "seed {seed}");
    assert_eq!(receptions(&world), received, "seed {seed}");
    runs(&mut world, seed, model);
    assert_eq!(
        push(&mut world, NEW, "other"),
        Some(Outcome::Done),
        "seed {seed}"
    );
}

/// Other keys, and what may go wrong meanwhile.
fn change(world: &mut World, chance: &mut Chance, keys: &[u8]) {
    world.network.weather.lost = chance.below(40) as u8;
    world.sign_with(keys);
    world.run_until(world.now + chance.between(0, 3_000));
    let now = world.now;
    match chance.below(3) {
        0 => world.cut_server(chance.between(0, 60_000)),
        1 => world.devices[0].cut_power(now, chance.between(0, 30_000)),
        _ => {}
    }
    world.run_until(world.now + 10_000);
    world.network.weather = Weather::FAIR;
}

fn installed(world: &mut World, seed: u64, model: &str) {
    assert!(world.want(0, model).is_some(), "the server runs");
    world.run_until(world.now + 100);
    let done = world.run_while(26 * HOUR, |world| {
        let status = world.status(0);
        status.is_none_or(|status| status.summary != Summary::Installed)
    });
    assert!(done, "seed {seed}: {:#?}", world.status(0));
    runs(world, seed, model);
}

/// Until the device tells that it trusts these.
fn trusts(world: &mut World, seed: u64, numbers: &[u8]) {
    let wanted = sorted(Signers::new(numbers).ids());
    let trusted = |world: &World| world.status(0)?.trusted.map(sorted);
    let done = world.run_while(26 * HOUR, |world| trusted(world) != Some(wanted.clone()));
    assert!(done, "seed {seed}: {:#?}", world.status(0));
}

fn sorted(mut ids: Vec<KeyId>) -> Vec<KeyId> {
    ids.sort_unstable();
    ids
}

/// Sends a package that is signed with a key, whatever the server thinks of it.
fn push(world: &mut World, signer: u8, model: &str) -> Option<Outcome> {
    let status = world.status(0).expect("it is known");
    let module = models::module(model);
    let job = PackageJob {
        model: model.to_owned(),
        version: "1".to_owned(),
        source: models::source(model),
        artefact: Artefact {
            module: tinsmith_digest::Digest::of(&module),
            module_bytes: module.len() as u32,
            arena_bytes: 64,
            compile_ms: 1,
            cached: false,
            compiler: "world".into(),
        },
        capability_digest: status.record.capability.expect("it was read"),
        abi: status.capability.map_or(0, |capability| {
            capability.platform.runtime_abi_version as u32
        }),
        sequence: status.record.sequence + 1,
        trial_s: 60,
        algorithms: vec![-8],
        trusted: Signers::new(&[signer]).ids(),
    };
    let package = job.signed(module.into(), &Signers::new(&[signer]));
    let package = package.expect("a signed package");
    world.request(
        0,
        Operation::Push {
            path: Path::resource(ids::FIRMWARE_UPDATE, 0, ids::firmware_update::PACKAGE),
            tag: package.digest.tag(),
            body: Body::new(package.head, package.module),
            from: 0,
        },
    )
}

fn runs(world: &mut World, seed: u64, model: &str) {
    // Whatever its address is now, an Update has told it.
    world.run_until(world.now + 600_000);
    let input: Vec<u8> = (0..models::WIDTH as u8).map(|x| x * 7).collect();
    let output = world.infer(0, &input);
    assert_eq!(
        output,
        Ok(models::expected(model, &input)),
        "seed {seed}: {model}"
    );
}

/// How often the device began to receive a module.
fn receptions(world: &World) -> usize {
    let events = world.devices[0].events.iter();
    let receiving = |event: &&Event| {
        matches!(
            event,
            Event::Slot {
                state: SlotState::Receiving,
                ..
            }
        )
    };
    events.filter(receiving).count()
}
