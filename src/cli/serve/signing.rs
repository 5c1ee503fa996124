//! The keys of packages while a server runs: devices are told which to trust, and what changes is
//! written down.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tinsmith_access::{Entry, Outcome, Who};
use tinsmith_http::Doors;
use tinsmith_keys::{Entry as Key, Keyring};
use tinsmith_server::ServerHandle;

/// How often it is seen whether keys were made or removed.
const EVERY: Duration = Duration::from_secs(1);

/// The public keys, as devices get them.
pub(super) fn public(list: &[Key]) -> Vec<Vec<u8>> {
    let anchors = list.iter().filter_map(Key::anchor);
    let encoded = anchors.map(|anchor| {
        let (bytes, len) = anchor.encode();
        bytes.get(..len).unwrap_or_default().to_vec()
    });
    encoded.collect()
}

/// Takes up what other processes do with the keys, and writes it into the audit log.
pub(super) async fn watch_keys(
    keys: Arc<Keyring>,
    mut known: Vec<Key>,
    doors: Arc<Doors>,
    server: ServerHandle,
) {
    loop {
        tokio::time::sleep(EVERY).await;
        let list = match keys.list() {
            Ok(list) => list,
            // What was read last counts.
            Err(error) => {
                tracing::error!(%error, "the keys can't be read");
                continue;
            }
        };
        if list == known {
            continue;
        }
        for (operation, key) in changes(&known, &list) {
            let entry = entry(server.now().wall, operation, key);
            if let Err(error) = doors.audit.begin(&entry).await {
                tracing::error!(%error, id = key.id, "{operation} can't be written down");
            }
        }
        if server.set_trust_anchors(public(&list)).await.is_ok() {
            known = list;
        }
    }
}

fn changes<'a>(old: &'a [Key], new: &'a [Key]) -> impl Iterator<Item = (&'static str, &'a Key)> {
    let missing = |from: &'a [Key], key: &Key| from.iter().all(|other| other.id != key.id);
    let made = new.iter().filter(move |key| missing(old, key));
    let removed = old.iter().filter(move |key| missing(new, key));
    made.map(|key| ("key.make", key))
        .chain(removed.map(|key| ("key.remove", key)))
}

/// It is done already: by who may write to the store's folder.
fn entry(at: u64, operation: &str, key: &Key) -> Entry {
    Entry {
        at,
        who: Who::server(),
        from: String::new(),
        operation: operation.to_owned(),
        target: String::new(),
        detail: BTreeMap::from([("id".to_owned(), key.id.clone())]),
        outcome: Some(Outcome {
            at,
            done: true,
            answer: String::new(),
        }),
    }
}
