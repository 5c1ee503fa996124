//! The server, or the device, is killed with kill -9 at many points of an update, and the update
//! always ends: the device runs the model, it was installed once, and the transfer went on where
//! it was.
#![cfg(feature = "compiler")]

mod common;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::process::{Device, Server, kill_now, wait};
use common::proxy::{Block, Moment, Proxy};
use common::times;
use serde_json::{Value, json};

/// They are small, their packages differ, and one device has room for any two: taken in turns, the
/// wanted one never lies in the other slot already.
const MODELS: [&str; 3] = ["motion", "maintenance", "fashion"];
/// Values of an input of each.
const INPUTS: [usize; 3] = [384, 140, 784];
const MOMENTS: [Moment; 3] = [Moment::Before, Moment::After, Moment::Later];

/// A server, and a device that finds it through a network that can cut.
struct Rig {
    _folder: tempfile::TempDir,
    server: Server,
    device: Device,
    proxy: Proxy,
    /// SHA-256 of the module of each model for this device.
    modules: BTreeMap<&'static str, Value>,
    /// Datagrams of an undisturbed update to each model.
    datagrams: BTreeMap<&'static str, usize>,
}

/// What a run is judged by.
struct Mark {
    line: usize,
    started: Instant,
}

impl Rig {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let front = Proxy::socket();
        let address = front.local_addr().expect("a bound socket");
        let extra = ["--bootstrap-uri".to_owned(), format!("*=coap://{address}")];
        let server = Server::start(&folder.path().join("store"), &extra);
        let proxy = Proxy::new(front, server.coap);
        let flash = folder.path().join("flash");
        let device = Device::start(name, server.bootstrap, "nrf52840", &flash);
        server.registered(name);
        let (modules, datagrams) = Default::default();
        let mut rig = Self {
            _folder: folder,
            server,
            device,
            proxy,
            modules,
            datagrams,
        };
        // Twice, so that what is counted replaces a model and is built already, as later.
        for model in MODELS.into_iter().cycle().take(2 * MODELS.len()) {
            let mark = rig.mark();
            rig.proxy.arm(None);
            rig.server.want(name, model);
            let device = rig.server.settled(name);
            assert_eq!(device["state"], "installed", "{model}: {device:#}");
            rig.modules
                .insert(model, device["last"]["artefact"]["module"].clone());
            rig.datagrams.insert(model, rig.proxy.count());
            rig.check_once(&mark, model);
        }
        rig
    }

    fn mark(&self) -> Mark {
        Mark {
            line: self.device.line_count(),
            started: Instant::now(),
        }
    }

    fn endpoint(&self) -> String {
        self.device.endpoint.clone()
    }

    /// Has `kill` called at a datagram; the receiver hears when that was done.
    fn arm(&self, number: usize, moment: Moment, pid: u32) -> mpsc::Receiver<()> {
        let (tx, rx) = mpsc::channel();
        let action = move || {
            kill_now(pid);
            let _ = tx.send(());
        };
        self.proxy.arm(Some((number, moment, Box::new(action))));
        rx
    }

    /// Waits for the cut. False: the update needed fewer datagrams than the one before it.
    fn was_cut(&mut self, cut: &mpsc::Receiver<()>, model: &'static str) -> bool {
        let end = Instant::now() + Duration::from_secs(60);
        while cut.recv_timeout(Duration::from_millis(100)).is_err() {
            let path = format!("devices/{}", self.device.endpoint);
            let shown = self.server.ask("GET", &path, &Value::Null);
            let state = shown.as_ref().map(|(_, device)| &device["state"]);
            if state.is_some_and(|state| *state == "installed") {
                let count = self.proxy.count();
                self.proxy.arm(None);
                if cut.try_recv().is_ok() {
                    return true;
                }
                self.datagrams.insert(model, count);
                return false;
            }
            assert!(
                Instant::now() < end,
                "neither cut nor installed: {shown:#?}"
            );
        }
        true
    }

    /// The slot whose module runs, as the device says now.
    fn active(&self) -> Value {
        let path = format!("devices/{}/resources/27303", self.device.endpoint);
        let all = self.server.get(&path);
        let value = |slot: u16, resource: u16| {
            let path = format!("/27303/{slot}/{resource}");
            let values = all["values"].as_array().expect("values").iter();
            values
                .clone()
                .find(|v| v["path"] == path.as_str())
                .map(|v| v["value"].clone())
        };
        let active: Vec<Value> = (0..2)
            .filter(|slot| value(*slot, 7) == Some(json!(4)))
            .map(|slot| value(slot, 3).expect("a digest")["hex"].clone())
            .collect();
        assert_eq!(active.len(), 1, "one module is active: {all:#}");
        active[0].clone()
    }

    /// Downloaded, tried and committed once since `mark`.
    fn check_once(&self, mark: &Mark, context: &str) {
        let count = |what: &str| {
            self.device
                .lines(mark.line)
                .iter()
                .filter(|line| line.contains(what))
                .count()
        };
        let lines = || self.device.lines(mark.line).join("\n");
        wait("the device says that it is done", 10, || {
            (count("firmware update: Idle, result Success") > 0).then_some(())
        });
        for what in [
            "update: Downloaded",
            "update: Updating",
            ": Active",
            "update: Idle",
        ] {
            assert_eq!(count(what), 1, "{context}: once '{what}' in\n{}", lines());
        }
        for what in ["Failed", "RolledBack"] {
            assert_eq!(count(what), 0, "{context}: no '{what}' in\n{}", lines());
        }
    }

    /// No block was sent again that the device had acknowledged, but for the one in flight.
    fn check_blocks(&self, context: &str) -> bool {
        let blocks = self.proxy.blocks();
        let Some(cut) = blocks.iter().position(|block| *block == Block::Cut) else {
            return false;
        };
        let (before, after) = blocks.split_at(cut);
        let end = |blocks: &[Block]| {
            let ends = blocks.iter().map(|block| match block {
                Block::Acknowledged { end } => *end,
                _ => 0,
            });
            ends.max().unwrap_or(0)
        };
        let held = end(before);
        let mut sent: Vec<(u16, usize)> = after
            .iter()
            .filter_map(|block| match block {
                Block::Sent { mid, at } => Some((*mid, *at)),
                _ => None,
            })
            .collect();
        sent.dedup();
        if let Some((_, first)) = sent.first() {
            assert!(
                *first + 1024 >= held,
                "{context}: {held} B were there, sent from {first} on"
            );
        }
        assert!(
            sent.windows(2).all(|pair| pair[0].1 < pair[1].1),
            "{context}: blocks twice: {sent:?}"
        );
        held > 0 && !sent.is_empty()
    }
}

/// Kills the server `kills` times, spread over the datagrams of an update; says how many transfers
/// went on in the middle.
fn kill_server(name: &str, kills: usize) -> usize {
    let mut rig = Rig::new(name);
    let endpoint = rig.endpoint();
    let (mut killed, mut resumed, mut run) = (0, 0, 0);
    let mut slowest = Duration::ZERO;
    while killed < kills {
        let model = MODELS[run % MODELS.len()];
        let moment = MOMENTS[run / MODELS.len() % MOMENTS.len()];
        run += 1;
        assert!(
            run < 2 * kills,
            "{name}: too many updates ended before their kill"
        );
        let total = rig.datagrams[model];
        let number = 1 + killed * total / kills;
        let context = format!("{name}: killed {moment:?} datagram {number} of {total} to {model}");
        let mark = rig.mark();
        let cut = rig.arm(number, moment, rig.server.pid());
        let answered = rig.server.try_want(&endpoint, model);
        if !rig.was_cut(&cut, model) {
            continue;
        }
        rig.server.restart();
        let desired = rig.server.get(&format!("devices/{endpoint}"))["desired"]["model"].clone();
        if desired != model {
            assert!(!answered, "{context}: a decision that was answered is lost");
            rig.server.want(&endpoint, model);
        }
        let device = rig.server.settled(&endpoint);
        assert_eq!(device["state"], "installed", "{context}: {device:#}");
        assert_eq!(rig.active(), rig.modules[model], "{context}");
        rig.check_once(&mark, &context);
        killed += 1;
        resumed += usize::from(rig.check_blocks(&context));
        slowest = slowest.max(mark.started.elapsed());
        println!(
            "{context}: installed after {} ms",
            mark.started.elapsed().as_millis()
        );
    }
    println!("{name}: {killed} kills, {resumed} transfers resumed, slowest {slowest:?}");
    resumed
}

/// `TINSMITH_KILLS` says at how many.
#[test]
fn server_killed_at_50_points_of_an_update() {
    let half = times("TINSMITH_KILLS", 50).div_ceil(2);
    let halves: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| std::thread::spawn(move || kill_server(name, half)))
        .collect();
    // Both end before either is judged: a process must not outlive its test.
    let halves: Vec<_> = halves
        .into_iter()
        .map(std::thread::JoinHandle::join)
        .collect();
    let resumed: usize = halves
        .into_iter()
        .map(|half| half.expect("no half of the kills failed"))
        .sum();
    assert!(
        resumed * 5 >= 2 * half,
        "only {resumed} kills hit the transfer"
    );
}

#[test]
fn a_decision_that_was_answered_is_kept() {
    let mut rig = Rig::new("decided");
    let endpoint = rig.endpoint();
    for model in MODELS {
        let mark = rig.mark();
        rig.proxy.arm(None);
        rig.server.want(&endpoint, model);
        rig.server.kill();
        rig.server.restart();
        let device = rig.server.settled(&endpoint);
        assert_eq!(device["state"], "installed", "{device:#}");
        assert_eq!(device["desired"]["model"], model);
        assert_eq!(rig.active(), rig.modules[model]);
        rig.check_once(&mark, model);
    }
}

#[test]
fn server_killed_while_it_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(&folder.path().join("store"), &[]);
    let flash = folder.path().join("flash");
    let device = Device::start("builds", server.bootstrap, "nrf52840", &flash);
    server.registered("builds");
    // A build takes half a second; each model is built once.
    for (model, delay) in [("fashion-resnet", 0), ("fashion", 100), ("motion", 60)] {
        let line = device.line_count();
        server.want("builds", model);
        std::thread::sleep(Duration::from_millis(delay));
        server.restart();
        let shown = server.settled("builds");
        assert_eq!(shown["state"], "installed", "{model}: {shown:#}");
        let installs = device.lines(line);
        let installs = installs
            .iter()
            .filter(|l| l.contains("update: Updating"))
            .count();
        assert_eq!(installs, 1, "{model}");
    }
}

/// `TINSMITH_KILLS` says at how many: two for five of the server.
#[test]
fn device_killed_at_20_points_of_an_update() {
    let kills = times("TINSMITH_KILLS", 50) * 2 / 5;
    let mut rig = Rig::new("cut");
    let endpoint = rig.endpoint();
    let (mut killed, mut failures, mut run) = (0, 0, 0);
    while killed < kills {
        let before = (run + MODELS.len() - 1) % MODELS.len();
        let (model, old) = (MODELS[run % MODELS.len()], MODELS[before]);
        let moment = MOMENTS[run / MODELS.len() % MOMENTS.len()];
        run += 1;
        assert!(run < 2 * kills, "too many updates ended before their kill");
        let total = rig.datagrams[model];
        let number = 1 + killed * total / kills;
        let context = format!("device cut {moment:?} datagram {number} of {total} to {model}");
        let started = Instant::now();
        let cut = rig.arm(number, moment, rig.device.pid());
        rig.server.want(&endpoint, model);
        if !rig.was_cut(&cut, model) {
            continue;
        }
        killed += 1;
        rig.device.restart();
        let mut device = rig.server.settled(&endpoint);
        if device["state"] == "failed" {
            let detail = device["detail"].as_str().unwrap_or_default();
            assert!(
                detail.contains("reset during trial"),
                "{context}: {device:#}"
            );
            assert_eq!(
                rig.active(),
                rig.modules[old],
                "{context}: back to the old model"
            );
            let infer = format!("devices/{endpoint}/infer");
            let input = vec![0.5; INPUTS[before]];
            rig.server.post(&infer, &json!({ "input": input }));
            failures += 1;
            let retry = format!("devices/{endpoint}/retry");
            rig.server.post(&retry, &json!({}));
            device = rig.server.settled(&endpoint);
        }
        assert_eq!(device["state"], "installed", "{context}: {device:#}");
        assert_eq!(rig.active(), rig.modules[model], "{context}");
        println!(
            "{context}: installed after {} ms",
            started.elapsed().as_millis()
        );
    }
    println!("{killed} cuts, {failures} of them during the trial");
}
