//! What happened to a device, page by page.

use super::handle::ServerHandle;
use super::message::NoAnswer;
use tinsmith_store::Kind;
use tinsmith_update::{Entry, history};

/// The most entries of a page.
pub const MAX_ENTRIES: usize = 1000;

/// Some entries, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// With their numbers, which grow and may have gaps.
    pub entries: Vec<(u64, Entry)>,
    /// Ask for what is behind it to get the next page. `None`: this is the last one.
    pub next: Option<u64>,
}

impl ServerHandle {
    /// At most `limit` (capped at [`MAX_ENTRIES`]) entries of a device's history and timeline, those
    /// behind the number `after`; `None` if nothing is known of it.
    pub async fn history(
        &self,
        endpoint: &str,
        after: Option<u64>,
        limit: usize,
    ) -> Result<Option<History>, NoAnswer> {
        let limit = limit.clamp(1, MAX_ENTRIES);
        // First the timeline: what leaves it meanwhile is found in it.
        let Some(known) = self.device(endpoint).await? else {
            return Ok(None);
        };
        let record = known.status.map(|status| status.record).unwrap_or_default();
        let from = after.map_or(0, |after| after.saturating_add(1));
        let piece = history::PIECE as u64;
        let (first, prefix) = (from / piece, history::prefix(endpoint));
        let before = first.checked_sub(1);
        let before = before.map(|before| history::key(endpoint, before));
        let some = limit.div_ceil(history::PIECE) + 1;
        let pieces = self
            .store()
            .scan(Kind::HISTORY, &prefix, before.as_ref(), some)
            .await
            .map_err(|_| NoAnswer::NotStored)?;
        let mut entries: Vec<(u64, Entry)> = Vec::new();
        for (key, stored) in &pieces {
            let number = history::number(key).filter(|number| *number < record.pieces);
            match (number, history::decode(&stored.bytes)) {
                (Some(number), Ok(found)) => entries.extend((number * piece..).zip(found)),
                (Some(number), Err(error)) => {
                    tracing::warn!(endpoint, number, %error, "a piece of history can't be read");
                }
                (None, _) => {}
            }
        }
        if pieces.len() < some {
            entries.extend((record.pieces * piece..).zip(record.timeline));
        }
        entries.retain(|(number, _)| *number >= from);
        let more = entries.len() > limit || pieces.len() == some;
        entries.truncate(limit);
        let next = entries.last().filter(|_| more).map(|(number, _)| *number);
        Ok(Some(History { entries, next }))
    }
}
