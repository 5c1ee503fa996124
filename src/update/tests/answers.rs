//! What a device's first answers mean: what was wrong once may be right the next time.

use super::*;
use tinsmith_lwm2m::Outcome;

fn rejected(class: u8, detail: u8) -> Outcome {
    Outcome::Rejected {
        code: class << 5 | detail,
        diagnostic: String::new(),
    }
}

fn unavailable(after: u32) -> Outcome {
    Outcome::Unavailable {
        after,
        diagnostic: String::new(),
    }
}

/// A device of which a model is wanted, and which answers so at first.
fn answering(answers: &[Outcome]) -> World {
    let mut device = SimDevice::new();
    device.answers = answers.iter().cloned().collect();
    let mut world = World::new(device);
    world.want("motion");
    world.register();
    world
}

#[test]
fn one_wrong_answer_is_not_the_last_word() {
    for answer in [
        rejected(4, 4),
        rejected(4, 1),
        rejected(4, 8),
        rejected(5, 0),
        rejected(5, 3),
        unavailable(5),
        Outcome::Reset,
        Outcome::Malformed("TLV: too short".into()),
        Outcome::Content(vec![]),
        Outcome::TimedOut { sent: 0 },
    ] {
        let mut world = answering(std::slice::from_ref(&answer));
        world.run_until_quiet();
        let status = world.status();
        assert_eq!(
            status.summary,
            Summary::Installed,
            "{answer:?}: {status:#?}"
        );
    }
}

#[test]
fn a_device_that_cannot_answer_now_is_asked_again_ever_more_rarely() {
    for answer in [rejected(5, 3), rejected(4, 29), Outcome::Reset] {
        let mut world = answering(&vec![answer.clone(); 20]);
        let start = world.now.mono;
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed, "{answer:?}");
        let took = world.now.mono - start;
        // 1 s, 2 s, 4 s and so on, at last 300 s.
        assert!((3_000_000..5_000_000).contains(&took), "{took}");
        let lines = world.status().record.timeline;
        let same = lines
            .iter()
            .filter(|line| line.text.contains("/27300/0/13"));
        assert_eq!(same.count(), 1, "{lines:?}");
    }
}

#[test]
fn a_device_that_says_when_is_not_asked_before() {
    let mut world = answering(&[unavailable(777)]);
    let start = world.now.mono;
    while world.device.requests < 2 {
        world.run_steps(1);
    }
    let waited = world.now.mono - start;
    assert!((777_000..778_000).contains(&waited), "{waited}");
}

#[test]
fn the_last_word_says_what_was_answered() {
    for (answer, text) in [
        (Outcome::Malformed("TLV: too short".into()), "unreadable"),
        (Outcome::Content(vec![]), "no 16 bytes"),
        (rejected(4, 4), "4.04"),
    ] {
        let mut world = World::new(SimDevice::new());
        world.device.answers = vec![answer; 3].into();
        world.register();
        world.run_until_quiet();
        assert_eq!(world.device.requests, 3);
        world.want("motion");
        let status = world.status();
        assert_eq!(status.summary, Summary::Unsupported);
        assert!(status.detail.contains(text), "{}", status.detail);
        assert!(!status.detail.contains("Compute Platform"));
        // It registers again, and has learned.
        world.register();
        world.run_until_quiet();
        assert_eq!(world.status().summary, Summary::Installed);
    }
}
