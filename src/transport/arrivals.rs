//! What a listener hands over that has no socket of its own in the shards.

use tinsmith_peer::{Identity, Peer};

use super::{Item, ReceiveBatch, udp};
use tinsmith_dtls_server::Window;

/// Something that came in.
pub(crate) enum Arrival {
    /// A datagram, decrypted, and what its association had received with it.
    Datagram(Peer, Identity, Vec<u8>, Option<Window>),
    /// An association has ended.
    Gone(Peer),
}

/// Takes what there is from the first on.
pub(crate) fn take(
    first: Arrival,
    mut more: impl FnMut() -> Option<Arrival>,
    batch: &mut ReceiveBatch,
) {
    batch.clear();
    let mut next = Some(first);
    let mut used = 0;
    while let Some(arrival) = next {
        match arrival {
            Arrival::Gone(peer) => batch.gone.push(peer),
            Arrival::Datagram(peer, identity, bytes, window) => {
                let len = bytes.len().min(udp::MAX_DATAGRAM);
                let range = used..used + len;
                used = range.end;
                batch.buffer[range.clone()].copy_from_slice(&bytes[..len]);
                let whole = len == bytes.len();
                let list = if whole {
                    &mut batch.items
                } else {
                    &mut batch.cut
                };
                list.push(Item {
                    peer,
                    identity,
                    range,
                    window,
                });
            }
        }
        next = (batch.items.len() + batch.cut.len() < udp::BATCH)
            .then(&mut more)
            .flatten();
    }
}
