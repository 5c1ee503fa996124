//! What happens, one log line for each change of state, and as counters for Prometheus.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tinsmith_lwm2m::{Event, Outcome, Role};
use tinsmith_server::{DtlsCounters, ServerHandle, Told};
use tinsmith_update::{Change, Summary};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tracing::{info, warn};

use crate::App;
use crate::doors::Doors;
use crate::impostors::Impostors;

/// A counter with a label; in the order of its values.
struct Family {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    values: &'static [&'static str],
}

/// Indices into [`FAMILIES`].
const REGISTRATIONS: usize = 0;
const BOOTSTRAPS: usize = 1;
const REQUESTS: usize = 2;
const UPDATES: usize = 3;
const MISSED: usize = 4;
const IMPOSTORS: usize = 5;

const FAMILIES: [Family; 6] = [
    Family {
        name: "tinsmith_registrations_total",
        help: "Registrations that began or ended.",
        label: "event",
        values: &["registered", "deregistered", "expired"],
    },
    Family {
        name: "tinsmith_bootstraps_total",
        help: "Bootstraps that ended.",
        label: "result",
        values: &["done", "failed"],
    },
    Family {
        name: "tinsmith_requests_total",
        help: "Requests to devices that ended.",
        label: "outcome",
        values: &["done", "refused", "timeout", "cancelled"],
    },
    Family {
        name: "tinsmith_updates_total",
        help: "Updates that ended.",
        label: "result",
        values: &[
            "installed",
            "refused",
            "failed",
            "unsupported",
            "rolled_back",
        ],
    },
    Family {
        name: "tinsmith_events_missed_total",
        help: "Events that were not counted, as there were too many at once.",
        label: "by",
        values: &["journal"],
    },
    Family {
        name: "tinsmith_impostors_total",
        help: "Devices that were refused, as the name is not theirs.",
        label: "by",
        values: &["management", "bootstrap"],
    },
];

/// Most values of a family.
const VALUES: usize = 5;
/// What happens in this time after something is taken in one go: to be woken for each costs more
/// than to count it.
const PAUSE: Duration = Duration::from_millis(10);
/// Devices whose last state is remembered.
const REMEMBERED: usize = 200_000;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Counters([[AtomicU64; VALUES]; FAMILIES.len()]);

impl Counters {
    fn add(&self, family: usize, value: usize, count: u64) {
        let counter = self.0.get(family).and_then(|values| values.get(value));
        if let Some(counter) = counter {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// In the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (family, counters) in FAMILIES.iter().zip(&self.0) {
            let Family {
                name, help, label, ..
            } = family;
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for (value, counter) in family.values.iter().zip(counters) {
                let count = counter.load(Ordering::Relaxed);
                let _ = writeln!(text, "{name}{{{label}=\"{value}\"}} {count}");
            }
        }
        text
    }
}

/// Writes and counts what happens from now on, until the server stops.
pub(crate) fn start(server: &ServerHandle, doors: &Arc<Doors>) -> Arc<Counters> {
    let counters = Arc::new(Counters::default());
    let journal = Journal {
        counters: counters.clone(),
        states: HashMap::new(),
        impostors: Impostors::new(doors),
    };
    let told = server.subscribe();
    tokio::spawn(journal.run(told, server.clone()));
    counters
}

struct Journal {
    counters: Arc<Counters>,
    /// What was told of each device last: decision and state.
    states: HashMap<String, (Option<u64>, Summary)>,
    impostors: Impostors,
}

impl Journal {
    async fn run(mut self, mut told: Receiver<Told>, server: ServerHandle) {
        let mut stopping = std::pin::pin!(server.stopping());
        loop {
            let first = tokio::select! {
                () = &mut stopping => break,
                first = told.recv() => first,
            };
            match first {
                Ok(first) => self.take(&first),
                Err(RecvError::Lagged(count)) => self.missed(count),
                Err(RecvError::Closed) => return,
            }
            if tokio::time::timeout(PAUSE, &mut stopping).await.is_ok() {
                break;
            }
            self.take_rest(&mut told);
            self.impostors.write(server.now()).await;
        }
        self.take_rest(&mut told);
        self.impostors.write(server.now()).await;
    }

    fn take_rest(&mut self, told: &mut Receiver<Told>) {
        loop {
            match told.try_recv() {
                Ok(next) => self.take(&next),
                Err(TryRecvError::Lagged(count)) => self.missed(count),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn take(&mut self, told: &Told) {
        match told {
            Told::Device(event) => self.device(event),
            Told::Report(change) => self.update(change),
        }
    }

    fn missed(&self, count: u64) {
        warn!(count, "events are not in the log, there are too many");
        self.counters.add(MISSED, 0, count);
    }

    fn device(&mut self, event: &Event) {
        let count = |family, value| self.counters.add(family, value, 1);
        match event {
            Event::Registered {
                endpoint,
                registration,
                new: true,
            } => {
                count(REGISTRATIONS, 0);
                let (address, lifetime) = (&registration.address, registration.lifetime);
                info!(%endpoint, %address, lifetime, "registered");
            }
            Event::Deregistered { endpoint, expired } => {
                count(REGISTRATIONS, 1 + usize::from(*expired));
                let how = if *expired { "expired" } else { "deregistered" };
                info!(%endpoint, "{how}");
                self.states.remove(&**endpoint);
            }
            Event::Bootstrapped { endpoint, error } => {
                count(BOOTSTRAPS, usize::from(error.is_some()));
                match error {
                    None => info!(%endpoint, "bootstrapped"),
                    Some(error) => info!(%endpoint, %error, "bootstrap failed"),
                }
            }
            Event::Impostor {
                endpoint,
                identity,
                peer,
                role,
            } => {
                count(IMPOSTORS, usize::from(*role == Role::Bootstrap));
                warn!(%endpoint, %identity, %peer, "refused: the name is not theirs");
                self.impostors.take(event);
            }
            Event::Unreadable {
                endpoint,
                target,
                error,
            } => {
                warn!(%endpoint, %target, %error, "a notification can't be read");
            }
            Event::Reachable {
                endpoint,
                reachable: true,
            } => info!(%endpoint, "reachable again"),
            Event::Reachable { endpoint, .. } => {
                info!(%endpoint, "unreachable: it did not answer");
            }
            Event::Completed { outcome, .. } => count(REQUESTS, kind(outcome)),
            _ => {}
        }
    }

    fn update(&mut self, change: &Change) {
        let now = (change.decision, change.summary);
        let before = self.states.get(&change.endpoint);
        if before == Some(&now) || (before.is_none() && change.summary == Summary::Idle) {
            return;
        }
        if self.states.len() >= REMEMBERED {
            self.states.clear();
        }
        self.states.insert(change.endpoint.clone(), now);
        let ended = match change.summary {
            Summary::Installed => Some(0),
            Summary::Refused => Some(1),
            Summary::Failed => Some(2),
            Summary::Unsupported => Some(3),
            Summary::RolledBack => Some(4),
            _ => None,
        };
        if let Some(value) = ended {
            self.counters.add(UPDATES, value, 1);
        }
        let endpoint = &change.endpoint;
        let step = serde_json::to_value(change.summary).unwrap_or_default();
        let step = step.as_str().unwrap_or_default();
        info!(%endpoint, decision = change.decision, step, "{}", change.detail);
    }
}

fn kind(outcome: &Outcome) -> usize {
    match outcome {
        outcome if outcome.is_success() => 0,
        Outcome::TimedOut { .. } | Outcome::Expired => 2,
        Outcome::Cancelled(_) | Outcome::NotRegistered => 3,
        Outcome::Unit(all) => all.last().map_or(0, kind),
        _ => 1,
    }
}

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(app): State<App>,
    Extension(counters): Extension<Arc<Counters>>,
) -> impl IntoResponse {
    let mut text = counters.text();
    dtls(&mut text, &app.server);
    let mut gauge = |name: &str, help: &str, value: u64| {
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
        );
    };
    if let Ok((registered, reachable)) = app.server.count().await {
        let name = "tinsmith_devices_registered";
        gauge(name, "Devices that are registered.", registered as u64);
        let name = "tinsmith_devices_reachable";
        gauge(
            name,
            "Registered devices that are there, as far as is known.",
            reachable as u64,
        );
    }
    if let Some(bytes) = resident() {
        let name = "process_resident_memory_bytes";
        gauge(name, "Memory in use.", bytes);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// What happened at listeners with DTLS.
fn dtls(text: &mut String, server: &ServerHandle) {
    let listeners: Vec<_> = ["management", "bootstrap"]
        .into_iter()
        .zip(server.dtls())
        .collect();
    type Counted = (&'static str, fn(&DtlsCounters) -> u64);
    let mut family = |name: &str, help: &str, values: &[Counted]| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (listener, counters) in &listeners {
            for (result, value) in values {
                let value = value(counters);
                let labels = format!("listener=\"{listener}\",result=\"{result}\"");
                let _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        }
    };
    family(
        "tinsmith_dtls_handshakes_total",
        "DTLS handshakes that ended; of the refused ones there were too many.",
        &[
            ("completed", |counters| counters.completed),
            ("failed", |counters| counters.failed),
            ("refused", |counters| counters.refused),
        ],
    );
    family(
        "tinsmith_dtls_datagrams_total",
        "Datagrams without an authentic and new record, hellos answered with a cookie, and datagrams \
         for another worker that had no room for them.",
        &[
            ("dropped", |counters| counters.dropped),
            ("cookie", |counters| counters.cookies),
            ("not_handed_over", |counters| counters.not_handed_over),
        ],
    );
}

/// Bytes of memory in use, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: u64 = line?.split_whitespace().next()?.parse().ok()?;
    Some(kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn journal() -> Journal {
        let store: Arc<dyn tinsmith_store::Store> = Arc::new(tinsmith_store::MemoryStore::new());
        let doors = Doors::open(&store, &crate::Choices::default()).await;
        Journal {
            counters: Arc::default(),
            states: HashMap::new(),
            impostors: Impostors::new(&Arc::new(doors.expect("the store works"))),
        }
    }

    #[tokio::test]
    async fn what_is_told_at_once_is_counted_and_what_is_missed_too() {
        let mut journal = journal().await;
        let (tell, mut told) = tokio::sync::broadcast::channel(4);
        let event = |expired| {
            let endpoint = tinsmith_lwm2m::Endpoint::from("dev");
            Told::Device(Arc::new(Event::Deregistered { endpoint, expired }))
        };
        for _ in 0..3 {
            tell.send(event(true)).unwrap();
        }
        journal.take_rest(&mut told);
        for _ in 0..9 {
            tell.send(event(false)).unwrap();
        }
        journal.take_rest(&mut told);
        journal.take_rest(&mut told);
        let text = journal.counters.text();
        for line in [
            "tinsmith_registrations_total{event=\"expired\"} 3",
            "tinsmith_registrations_total{event=\"deregistered\"} 4",
            "tinsmith_events_missed_total{by=\"journal\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[tokio::test]
    async fn each_change_counts_once() {
        let mut journal = journal().await;
        let mut change = Change {
            endpoint: "dev".into(),
            summary: Summary::Sending,
            detail: "sends".into(),
            progress: None,
            decision: Some(1),
        };
        journal.update(&change);
        change.summary = Summary::Installed;
        journal.update(&change);
        journal.update(&change);
        change.decision = Some(2);
        journal.update(&change);
        let endpoint = tinsmith_lwm2m::Endpoint::from("dev");
        for expired in [false, true, true] {
            let endpoint = endpoint.clone();
            journal.device(&Event::Deregistered { endpoint, expired });
        }
        journal.device(&Event::Completed {
            endpoint,
            id: tinsmith_lwm2m::RequestId(1),
            outcome: Outcome::Unit(vec![Outcome::Done, Outcome::Reset]),
        });
        let text = journal.counters.text();
        for line in [
            "tinsmith_updates_total{result=\"installed\"} 2",
            "tinsmith_updates_total{result=\"failed\"} 0",
            "tinsmith_registrations_total{event=\"deregistered\"} 1",
            "tinsmith_registrations_total{event=\"expired\"} 2",
            "tinsmith_requests_total{outcome=\"refused\"} 1",
            "# TYPE tinsmith_requests_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(FAMILIES.iter().all(|family| family.values.len() <= VALUES));
    }
}
