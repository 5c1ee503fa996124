//! Server, store and device, one step at a time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::device::{ANCHORS, PACKAGE_HEAD, SimDevice, package};
use crate::{
    Artefact, Command, Job, JobId, JobResult, Output, Package, Reconciler, Status, Unbuilt,
};
use lwm2m_objects::Path;
use tinsmith_digest::Digest;
use tinsmith_lwm2m::{
    Announced, DeviceRequest, Endpoint, Event, Now, Operation, Outcome, Registration,
};
use tinsmith_store::{Batch, Op};

const EP: &str = "dev";

enum Todo {
    Request(DeviceRequest),
    Event(Event),
    Persist(tinsmith_lwm2m::PersistId, Batch),
    Job(JobId, Job),
}

pub(super) struct World {
    reconciler: Reconciler,
    history: usize,
    pub(super) device: SimDevice,
    pub(super) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    todo: VecDeque<Todo>,
    pub(super) now: Now,
    registered: bool,
    pub(super) builds: u32,
    /// Algorithms and keys of each package that was ordered.
    pub(super) signed_for: Vec<(Vec<i64>, Vec<tinsmith_order::KeyId>)>,
    /// Packages with trust anchors that were ordered.
    pub(super) anchors: Vec<tinsmith_order::AnchorsJob>,
    pub(super) refuse: Option<String>,
    /// Jobs that are answered with "not now" first.
    pub(super) later: u32,
    /// Batches that can't be stored first, and how many were tried.
    pub(super) full: u32,
    pub(super) commits: u32,
}

impl World {
    pub(super) fn new(device: SimDevice) -> Self {
        Self::with_history(device, crate::HISTORY)
    }

    /// A server that keeps so many entries of history.
    pub(super) fn with_history(device: SimDevice, history: usize) -> Self {
        Self {
            reconciler: Reconciler::with_history(history),
            history,
            device,
            disk: BTreeMap::new(),
            todo: VecDeque::new(),
            now: Now {
                mono: 1000,
                wall: 1_700_000_000_000,
            },
            registered: false,
            builds: 0,
            signed_for: vec![],
            anchors: vec![],
            refuse: None,
            later: 0,
            full: 0,
            commits: 0,
        }
    }

    pub(super) fn register(&mut self) {
        self.registered = true;
        let objects = &self.device.registered_objects;
        self.todo.push_back(Todo::Event(registered(true, objects)));
    }

    /// The server signs with these keys.
    pub(super) fn sign_with(&mut self, keys: &[Vec<u8>]) {
        let anchors = tinsmith_order::Anchors::new(keys);
        self.reconciler.set_anchors(self.now, anchors);
        self.drain();
    }

    pub(super) fn deregister(&mut self) {
        self.registered = false;
        let endpoint = endpoint();
        let expired = false;
        let event = Event::Deregistered { endpoint, expired };
        self.todo.push_back(Todo::Event(event));
    }

    pub(super) fn delete(&mut self) {
        let ask = crate::Ask::Delete;
        self.reconciler
            .ask(self.now, crate::AskId(1), &endpoint(), ask);
    }

    /// Kinds of all records.
    pub(super) fn kinds(&self) -> Vec<tinsmith_store::Kind> {
        let keys = self.disk.keys();
        keys.filter_map(|key| Some(tinsmith_store::Key::from_bytes(key)?.kind))
            .collect()
    }

    pub(super) fn is_known(&self) -> bool {
        self.reconciler.status(EP).is_some()
    }

    /// An Update of the registration.
    pub(super) fn update(&mut self) {
        let event = Event::Updated {
            endpoint: endpoint(),
            registration: registration(&self.device.registered_objects),
        };
        self.todo.push_back(Todo::Event(event));
    }

    pub(super) fn want(&mut self, model: &str) {
        self.decide(Command::Want {
            model: model.into(),
            version: "1".into(),
            source: Digest::of(model.as_bytes()),
            trial_s: 600,
        });
    }

    pub(super) fn decide(&mut self, command: Command) {
        let id = self.reconciler.command(self.now, &endpoint(), command);
        self.drain();
        // An operator counts on a decision when it is durable.
        assert!(id.is_some());
        while let Some(i) = self
            .todo
            .iter()
            .position(|t| matches!(t, Todo::Persist(p, _) if Some(*p) == id))
        {
            let todo = self.todo.remove(i).unwrap();
            self.act(todo);
            self.drain();
        }
    }

    pub(super) fn status(&self) -> Status {
        self.reconciler.status(EP).unwrap()
    }

    /// A line that is worth nothing but to be stored.
    pub(super) fn note(&mut self, text: &str) {
        self.reconciler.note(self.now, &endpoint(), text);
        self.drain();
    }

    /// The same store with another bound of history.
    pub(super) fn restart_with(&mut self, history: usize) {
        self.history = history;
        self.kill_server();
    }

    /// What was not stored is gone; requests on their way are not answered any more.
    pub(super) fn kill_server(&mut self) {
        self.todo.clear();
        self.reconciler = Reconciler::with_history(self.history);
        for (key, record) in &self.disk {
            let key = tinsmith_store::Key::from_bytes(key).unwrap();
            if key.kind == tinsmith_store::Kind::CAPABILITY {
                let stored = tinsmith_store::Stored {
                    version: tinsmith_store::Version(1),
                    bytes: record.clone(),
                };
                self.reconciler.restore_capability(&key, &stored).unwrap();
            } else if key.kind == tinsmith_store::Kind::DEVICE {
                let endpoint = String::from_utf8(key.id).unwrap();
                self.reconciler.restore(&endpoint, record).unwrap();
            }
        }
        self.now.mono = 5;
        self.now.wall += 1000;
        if self.registered {
            self.todo.push_back(Todo::Event(registered(
                false,
                &self.device.registered_objects,
            )));
        }
    }

    pub(super) fn run_steps(&mut self, steps: usize) {
        for _ in 0..steps {
            if !self.step() {
                return;
            }
        }
    }

    pub(super) fn run_until_quiet(&mut self) -> usize {
        for steps in 0..5000 {
            if !self.step() {
                return steps;
            }
        }
        panic!("no end: {:#?}", self.status());
    }

    fn step(&mut self) -> bool {
        self.drain();
        let Some(todo) = self.todo.pop_front() else {
            let Some(at) = self.reconciler.next_deadline() else {
                return false;
            };
            let ahead = at.saturating_sub(self.now.mono);
            self.now.mono += ahead;
            self.now.wall += ahead;
            self.reconciler.tick(self.now);
            self.drain();
            return true;
        };
        self.act(todo);
        self.drain();
        true
    }

    fn act(&mut self, todo: Todo) {
        self.now.mono += 1;
        self.now.wall += 1;
        match todo {
            Todo::Request(request) => self.request(&request),
            Todo::Event(event) => self.reconciler.event(self.now, &event),
            Todo::Persist(id, _) if self.full > 0 => {
                self.full -= 1;
                self.commits += 1;
                self.reconciler.persist_failed(self.now, id);
            }
            Todo::Persist(id, batch) => {
                self.commits += 1;
                for op in batch.ops {
                    match op {
                        Op::Put(key, record) => self.disk.insert(key.to_bytes(), record),
                        Op::Delete(key) => self.disk.remove(&key.to_bytes()),
                    };
                }
                self.reconciler.persisted(self.now, id);
            }
            Todo::Job(id, job) => {
                let result = self.job(job);
                self.reconciler.job_done(self.now, id, result);
            }
        }
    }

    fn request(&mut self, request: &DeviceRequest) {
        let mut sent = Vec::new();
        let outcome = if self.registered {
            self.device.answer(&request.operation, &mut sent)
        } else {
            Outcome::NotRegistered
        };
        let (endpoint, id) = (endpoint(), request.id);
        if let Operation::Push { body, .. } = &request.operation {
            let total = body.len() as u32;
            for sent in sent {
                let endpoint = endpoint.clone();
                self.todo.push_back(Todo::Event(Event::Progress {
                    endpoint,
                    id,
                    sent,
                    total,
                }));
            }
        }
        self.todo.push_back(Todo::Event(Event::Completed {
            endpoint,
            id,
            outcome,
        }));
        for path in std::mem::take(&mut self.device.changed) {
            if self.device.observed.contains(&path) {
                let (endpoint, target) = (self::endpoint(), path.into());
                let event = match self.device.unreadable {
                    true => Event::Unreadable {
                        endpoint,
                        target,
                        error: "nonsense".into(),
                    },
                    false => Event::Notified {
                        endpoint,
                        target,
                        values: vec![],
                    },
                };
                self.todo.push_back(Todo::Event(event));
            }
        }
    }

    fn job(&mut self, job: Job) -> JobResult {
        let later = self.later > 0;
        self.later = self.later.saturating_sub(1);
        let reason = || Unbuilt::Later {
            reason: "the disk is full".into(),
        };
        match job {
            Job::Build { .. } if later => JobResult::Built(Err(reason())),
            Job::Package(_) if later => JobResult::Packaged(Err(reason())),
            Job::Build { source, .. } => {
                self.builds += 1;
                JobResult::Built(match &self.refuse {
                    Some(reason) => Err(Unbuilt::Refused {
                        reason: reason.clone(),
                    }),
                    None => Ok(Artefact {
                        module: Digest::of(&source.0),
                        module_bytes: 4900,
                        arena_bytes: 1000,
                        compile_ms: 1,
                        cached: false,
                        compiler: "test".into(),
                    }),
                })
            }
            Job::Anchors(job) => {
                let ids = job.anchors.ids().concat();
                let digest = Digest::of_parts(&[&job.sequence.to_le_bytes(), &ids]);
                self.anchors.push(job);
                JobResult::Anchors(match &self.refuse {
                    Some(reason) => Err(Unbuilt::Failed {
                        reason: reason.clone(),
                    }),
                    None => Ok(Package {
                        digest,
                        head: ANCHORS.into(),
                        module: ids.into(),
                    }),
                })
            }
            Job::Package(job) => {
                self.signed_for
                    .push((job.algorithms.clone(), job.trusted.clone()));
                let mut bytes = package(&job.model, job.artefact.module, job.source);
                let digest = Digest::of(&bytes);
                let file = bytes.split_off(PACKAGE_HEAD);
                JobResult::Packaged(Ok(Package {
                    digest,
                    head: bytes.into(),
                    module: file.into(),
                }))
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.reconciler.poll() {
            match output {
                Output::Request(request) => self.todo.push_back(Todo::Request(request)),
                Output::Withdraw(_, id) => self
                    .todo
                    .retain(|todo| !matches!(todo, Todo::Request(request) if request.id == id)),
                Output::Persist(id, batch) => self.todo.push_back(Todo::Persist(id, batch)),
                Output::Job(_, id, job) => self.todo.push_back(Todo::Job(id, job)),
                Output::Changed(_) | Output::Answer(..) => {}
            }
        }
    }
}

fn endpoint() -> Endpoint {
    EP.into()
}

pub(super) fn registered(new: bool, objects: &[u16]) -> Event {
    Event::Registered {
        endpoint: endpoint(),
        registration: registration(objects),
        new,
    }
}

fn registration(objects: &[u16]) -> Arc<Registration> {
    Arc::new(Registration {
        endpoint: endpoint(),
        location: "0-1".into(),
        lifetime: 300,
        address: "127.0.0.1:1".into(),
        announced: Arc::new(Announced {
            version: "1.1".into(),
            binding: "U".into(),
            objects: objects.iter().map(|id| (Path::object(*id), None)).collect(),
            ..Announced::default()
        }),
        registered: 0,
        seen: 0,
        expires: 0,
    })
}
