//! A device as update-objects describe it: Object 5, two slots, capability.

use std::collections::VecDeque;

use lwm2m_objects::capability::Capability;
use lwm2m_objects::{OwnedValue, Path, Records};

use tinsmith_digest::Digest;
use tinsmith_lwm2m::{Operation, Outcome, Target};

pub(super) const PACKAGE_HEAD: usize = 64;

pub(super) struct SimSlot {
    pub(super) model: String,
    pub(super) source: Vec<u8>,
    pub(super) module: Vec<u8>,
    pub(super) built_for: Vec<u8>,
    pub(super) state: i64,
    pub(super) result: i64,
}

impl SimSlot {
    fn empty() -> Self {
        Self {
            model: String::new(),
            source: vec![],
            module: vec![],
            built_for: vec![],
            state: 0,
            result: 0,
        }
    }
}

/// What a package with trust anchors begins with.
pub(super) const ANCHORS: &[u8] = b"anchors";

pub(super) struct SimDevice {
    /// 27300/0/15.
    pub(super) trusted: Vec<[u8; 8]>,
    /// Packages with trust anchors are refused.
    pub(super) reject_anchors: bool,
    pub(super) capability: Capability,
    pub(super) slots: [SimSlot; 2],
    state: i64,
    result: i64,
    tag: Vec<u8>,
    received: usize,
    target: usize,
    /// Reads of /5/0 until the self test is over.
    testing: u32,
    pub(super) observed: Vec<Path>,
    pub(super) changed: Vec<Path>,
    pub(super) reject_download: Option<i64>,
    pub(super) fail_trial: Option<i64>,
    pub(super) drop_at: Option<usize>,
    pub(super) refuse_observe: bool,
    /// Its notifications can't be read.
    pub(super) unreadable: bool,
    pub(super) plain: bool,
    pub(super) pushes: u32,
    pub(super) push_starts: Vec<u32>,
    pub(super) blocks_repeated: u32,
    pub(super) installs: u32,
    pub(super) commits: u32,
    pub(super) resets: u32,
    /// Commits while the self test ran.
    pub(super) early_commits: u32,
    pub(super) requests: u32,
    /// Reads of whole objects 27300 to 27302.
    pub(super) capability_reads: u32,
    /// Of its Register and its Updates.
    pub(super) registered_objects: Vec<u16>,
    /// What it answers next, whatever it is asked.
    pub(super) answers: VecDeque<Outcome>,
    /// The highest sequence number committed, if it tells.
    pub(super) floor: Option<u64>,
    /// The arguments of each Activate.
    pub(super) activations: Vec<String>,
    pub(super) refuse_activate: bool,
    /// Reads of slots while a module that was activated is on trial.
    trial_reads: u32,
}

/// A package as the tests know it: the digest of the module, the model's name, the source.
pub(super) fn package(model: &str, module: Digest, source: Digest) -> Vec<u8> {
    let mut bytes = module.0.to_vec();
    bytes.extend(source.0);
    assert_eq!(bytes.len(), PACKAGE_HEAD);
    bytes.push(model.len() as u8);
    bytes.extend(model.bytes());
    bytes.resize(5000, 7);
    bytes
}

impl SimDevice {
    pub(super) fn new() -> Self {
        let target = tinsmith_targets::json("nrf52840").unwrap();
        let mut capability = Capability::from_json(target).unwrap();
        // As firmware was before there were signatures.
        capability.platform.signature_algorithms.clear();
        Self {
            capability,
            trusted: vec![],
            reject_anchors: false,
            slots: [SimSlot::empty(), SimSlot::empty()],
            state: 0,
            result: 0,
            tag: vec![],
            received: 0,
            target: 0,
            testing: 0,
            observed: vec![],
            changed: vec![],
            reject_download: None,
            fail_trial: None,
            drop_at: None,
            refuse_observe: false,
            unreadable: false,
            plain: false,
            pushes: 0,
            push_starts: vec![],
            blocks_repeated: 0,
            installs: 0,
            commits: 0,
            resets: 0,
            early_commits: 0,
            requests: 0,
            capability_reads: 0,
            registered_objects: vec![1, 3, 5, 27300, 27301, 27302, 27303],
            answers: VecDeque::new(),
            floor: None,
            activations: vec![],
            refuse_activate: false,
            trial_reads: 0,
        }
    }

    /// The device itself goes back to the module before.
    pub(super) fn roll_back(&mut self, state: i64, result: i64) {
        for slot in &mut self.slots {
            match slot.state {
                4 => (slot.state, slot.result) = (state, result),
                2 => slot.state = 4,
                _ => {}
            }
        }
        self.changed.push(Path::resource(27303, 0, 7));
    }

    pub(super) fn begin_foreign_download(&mut self) {
        self.state = 1;
        self.tag = vec![9; 8];
        self.received = 1024;
    }

    pub(super) fn active_model(&self) -> &str {
        self.slots
            .iter()
            .find(|s| s.state == 4)
            .map_or("", |s| &s.model)
    }

    pub(super) fn power_cycle(&mut self) {
        self.observed.clear();
        self.changed.clear();
        for slot in &mut self.slots {
            if slot.state == 3 {
                slot.state = 6;
                slot.result = 13;
                self.state = 0;
                self.result = 8;
            }
        }
        if self.state == 3 {
            self.state = 0;
            self.result = 8;
            self.slots[self.target].state = 6;
            self.slots[self.target].result = 13;
        }
    }

    fn set(&mut self, state: i64, result: i64) {
        self.state = state;
        self.result = result;
        self.changed.push(Path::resource(5, 0, 3));
    }

    fn tick(&mut self) {
        if self.testing == 0 {
            self.trial_ends();
            return;
        }
        self.testing -= 1;
        if self.testing == 0 {
            let slot = &mut self.slots[self.target];
            slot.state = if self.fail_trial.is_some() { 5 } else { 3 };
            slot.result = self.fail_trial.unwrap_or(1);
            if self.fail_trial.is_some() && self.state == 3 {
                self.set(0, 8);
            }
            self.changed
                .push(Path::resource(27303, self.target as u16, 7));
        }
    }

    /// Nobody commits.
    fn trial_ends(&mut self) {
        let on_trial = self.slots.iter_mut().find(|slot| slot.state == 3);
        let Some(slot) = on_trial.filter(|_| self.state == 0) else {
            self.trial_reads = 0;
            return;
        };
        self.trial_reads += 1;
        if self.trial_reads > 20 {
            (slot.state, slot.result) = (6, 12);
        }
    }

    /// Answers a request; `None`: the answer is lost. Blocks of a push are counted in `sent`.
    pub(super) fn answer(&mut self, operation: &Operation, sent: &mut Vec<u32>) -> Outcome {
        self.requests += 1;
        if let Some(answer) = self.answers.pop_front() {
            return answer;
        }
        match operation {
            Operation::Read { target } => self.read(only(target)),
            Operation::Observe { .. } if self.refuse_observe => Outcome::Rejected {
                code: 0x85,
                diagnostic: String::new(),
            },
            Operation::Observe { target } => {
                self.observed.push(only(target));
                self.read(only(target))
            }
            Operation::Write { target, .. } if *target == Path::resource(5, 0, 1) => {
                self.resets += 1;
                self.tag.clear();
                for slot in &mut self.slots {
                    if matches!(slot.state, 1 | 2) {
                        *slot = SimSlot::empty();
                    }
                }
                self.set(0, 0);
                Outcome::Done
            }
            Operation::Push {
                body, from, tag, ..
            } => self.push(&body.piece(0, body.len()), *from, tag, sent),
            Operation::Execute { path, .. } if *path == Path::resource(5, 0, 2) => {
                if self.state != 2 {
                    return Outcome::Rejected {
                        code: 0x85,
                        diagnostic: "not downloaded".into(),
                    };
                }
                self.installs += 1;
                self.testing = 3;
                self.slots[self.target].state = 3;
                self.slots[self.target].result = 0;
                self.set(3, 0);
                Outcome::Done
            }
            Operation::Execute { path, arguments } if path.resource_id() == Some(9) => {
                let slot = usize::from(path.instance_id().unwrap());
                let on_trial = self.slots.iter().any(|slot| slot.state == 3);
                if self.refuse_activate || self.slots[slot].state != 2 || on_trial {
                    return Outcome::Rejected {
                        code: 0x85,
                        diagnostic: "not verified".into(),
                    };
                }
                self.activations.push(arguments.clone());
                self.target = slot;
                self.testing = 3;
                self.slots[slot].state = 3;
                self.slots[slot].result = 0;
                self.changed.push(Path::resource(27303, slot as u16, 7));
                Outcome::Done
            }
            Operation::Execute { path, .. } if path.resource_id() == Some(10) => {
                let slot = usize::from(path.instance_id().unwrap());
                if self.slots[slot].state != 3 || self.slots[slot].result != 1 {
                    self.early_commits += u32::from(self.slots[slot].state == 3);
                    return Outcome::Rejected {
                        code: 0x85,
                        diagnostic: "not on trial".into(),
                    };
                }
                self.commits += 1;
                for other in &mut self.slots {
                    if other.state == 4 {
                        other.state = 2;
                    }
                }
                self.slots[slot].state = 4;
                self.slots[slot].result = 1;
                if self.state == 3 {
                    self.set(0, 1);
                }
                Outcome::Done
            }
            _ => Outcome::Rejected {
                code: 0x85,
                diagnostic: String::new(),
            },
        }
    }

    fn take_anchors(&mut self, ids: &[u8]) -> Outcome {
        if self.reject_anchors {
            self.set(0, 5);
            return Outcome::Rejected {
                code: 0x80,
                diagnostic: String::new(),
            };
        }
        assert_eq!(self.state, 0, "Object 5 is idle");
        self.trusted = ids.chunks(8).map(|id| id.try_into().unwrap()).collect();
        self.set(0, 1);
        Outcome::Done
    }

    fn push(&mut self, body: &[u8], from: u32, tag: &[u8; 8], sent: &mut Vec<u32>) -> Outcome {
        if let Some(ids) = body.strip_prefix(ANCHORS) {
            return self.take_anchors(ids);
        }
        self.pushes += 1;
        self.push_starts.push(from);
        if self.state == 1 && self.tag != tag || self.state > 1 {
            return Outcome::Rejected {
                code: 0x85,
                diagnostic: "busy".into(),
            };
        }
        if self.state == 0 && self.slots.iter().any(|slot| slot.state == 3) {
            self.set(0, 6);
            return Outcome::Rejected {
                code: 0x86,
                diagnostic: "no slot".into(),
            };
        }
        if self.state == 0 {
            assert_eq!(from, 0, "a new download begins at 0");
            self.tag = tag.to_vec();
            self.received = 0;
            self.target = usize::from(self.slots[0].state == 4);
            self.slots[self.target] = SimSlot::empty();
            self.slots[self.target].state = 1;
            self.set(1, 0);
        }
        if let Some(result) = self.reject_download {
            self.tag.clear();
            self.slots[self.target] = SimSlot::empty();
            self.set(0, result);
            return Outcome::Rejected {
                code: 0x88,
                diagnostic: String::new(),
            };
        }
        let mut at = from as usize;
        assert!(at <= self.received, "a gap");
        while at < body.len() {
            if self.drop_at == Some(at) {
                self.drop_at = None;
                return Outcome::TimedOut { sent: at as u32 };
            }
            self.blocks_repeated += u32::from(at < self.received);
            at = (at + 1024).min(body.len());
            self.received = self.received.max(at);
            sent.push(at as u32);
        }
        let name = usize::from(body[PACKAGE_HEAD]);
        let digest = self.capability.digest();
        let slot = &mut self.slots[self.target];
        slot.module = body[..32].to_vec();
        slot.source = body[32..64].to_vec();
        slot.model = String::from_utf8(body[PACKAGE_HEAD + 1..][..name].to_vec()).unwrap();
        slot.built_for = digest.to_vec();
        slot.state = 2;
        self.tag.clear();
        self.set(2, 0);
        Outcome::Done
    }

    fn read(&mut self, path: Path) -> Outcome {
        if self.plain && path.object_id() != Some(5) {
            return Outcome::Rejected {
                code: 0x84,
                diagnostic: String::new(),
            };
        }
        self.tick();
        let whole = matches!(path.object_id(), Some(27300..=27302)) && path.depth() == 1;
        self.capability_reads += u32::from(whole);
        let mut values = Vec::new();
        self.capability
            .records()
            .visit(&mut |path, value| values.push((*path, value.into())));
        for (i, id) in (0..).zip(&self.trusted) {
            let path = Path::resource_instance(27300, 0, 15, i);
            values.push((path, OwnedValue::Opaque(id.to_vec())));
        }
        values.push((Path::resource(5, 0, 3), OwnedValue::Integer(self.state)));
        values.push((Path::resource(5, 0, 5), OwnedValue::Integer(self.result)));
        for (i, slot) in self.slots.iter().enumerate() {
            let at = |resource| Path::resource(27303, i as u16, resource);
            let receiving = self.state == 1 && self.target == i;
            let tag = if receiving { self.tag.clone() } else { vec![] };
            let received = if receiving { self.received as u64 } else { 0 };
            values.extend([
                (at(0), OwnedValue::String(slot.model.clone())),
                (
                    at(1),
                    OwnedValue::String(if slot.state == 0 { "" } else { "1" }.into()),
                ),
                (at(2), OwnedValue::Opaque(slot.source.clone())),
                (at(3), OwnedValue::Opaque(slot.module.clone())),
                (at(5), OwnedValue::Opaque(slot.built_for.clone())),
                (at(7), OwnedValue::Integer(slot.state)),
                (at(8), OwnedValue::Integer(slot.result)),
                (at(21), OwnedValue::Opaque(tag)),
                (at(22), OwnedValue::UnsignedInteger(received)),
            ]);
            let floor = self.floor.map(OwnedValue::UnsignedInteger);
            values.extend(floor.map(|floor| (at(23), floor)));
        }
        values.retain(|(p, _)| p.starts_with(&path));
        values.sort_by_key(|(p, _)| *p);
        let present = matches!(path.object_id(), Some(27300..=27303 | 5));
        if values.is_empty() && !(present && path.depth() == 1) {
            return Outcome::Rejected {
                code: 0x84,
                diagnostic: String::new(),
            };
        }
        Outcome::Content(values.into_iter().map(Into::into).collect())
    }
}

fn only(target: &Target) -> Path {
    *target.path().expect("one path")
}
