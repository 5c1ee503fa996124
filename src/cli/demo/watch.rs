//! Tells what happens as it happens, on standard error.

use std::collections::HashMap;
use std::time::Instant;

use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use crate::out::{plain, say};
use tinsmith_lwm2m::Event;
use tinsmith_server::{ServerHandle, Told};
use tinsmith_update::{Change, Summary};

/// Prints lines with the time since the start and who they are about.
#[derive(Clone, Copy)]
pub(super) struct Say {
    started: Instant,
}

impl Say {
    pub(super) fn new(started: Instant) -> Self {
        Self { started }
    }

    pub(super) fn line(self, who: &str, text: &str) {
        let (who, text) = (plain(who), plain(text));
        let seconds = self.started.elapsed().as_secs_f64();
        say(format_args!("{seconds:7.3}  {who:<11} {text}"));
    }
}

/// Follows the server's events until it is aborted.
pub(super) fn start(server: &ServerHandle, say: Say) -> JoinHandle<()> {
    let mut events = server.subscribe();
    tokio::spawn(async move {
        let mut shown: HashMap<String, (Summary, u32)> = HashMap::new();
        loop {
            match events.recv().await {
                Ok(Told::Device(event)) => device(say, &event),
                Ok(Told::Report(change)) => report(say, &change, &mut shown),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    })
}

fn device(say: Say, event: &Event) {
    match event {
        Event::Bootstrapped {
            endpoint,
            error: None,
        } => say.line(endpoint, "is bootstrapped"),
        Event::Bootstrapped {
            endpoint,
            error: Some(error),
        } => {
            say.line(endpoint, &format!("could not be bootstrapped: {error}"));
        }
        Event::Registered {
            endpoint,
            registration,
            new: true,
        } => {
            let text = format!("registers from {}", registration.address);
            say.line(endpoint, &text);
        }
        _ => {}
    }
}

fn report(say: Say, change: &Change, shown: &mut HashMap<String, (Summary, u32)>) {
    let quarter = change
        .progress
        .map_or(0, |(sent, total)| sent.saturating_mul(4) / total.max(1));
    let now = (change.summary, quarter);
    if shown.insert(change.endpoint.clone(), now) == Some(now) {
        return;
    }
    let text = match (change.summary, change.progress) {
        (Summary::Waiting | Summary::Idle, _) => return,
        (Summary::Sending, Some((sent, total))) => {
            format!("{}: {sent} of {total} B", change.detail)
        }
        _ => change.detail.clone(),
    };
    say.line(&change.endpoint, &text);
}
