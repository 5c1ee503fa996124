//! The way to a device: where it is reached, who must be there, and the CoAP state of both.

use tinsmith_coap::{
    BuildError, Builder, Code, NotificationHandle, Request, RequestHandle, SendError,
};
use tracing::warn;

use super::shared::{Context, PeerCoap, Source};
use super::{Identity, ListenerId, Peer};

pub(super) struct Link {
    pub(super) listener: ListenerId,
    pub(super) peer: Peer,
    pub(super) identity: Identity,
    /// Boxed: a device moves from state to state.
    pub(super) coap: Box<PeerCoap>,
}

impl Link {
    /// To where a message came from.
    pub(super) fn new(cx: &mut Context<'_>, from: Source<'_>) -> Self {
        Link {
            listener: from.listener,
            peer: from.peer,
            identity: from.identity.clone(),
            coap: Box::new(cx.coap()),
        }
    }

    pub(super) fn route(&self) -> (ListenerId, Peer) {
        (self.listener, self.peer)
    }

    /// True if a message comes from there.
    pub(super) fn is_from(&self, from: Source<'_>) -> bool {
        self.route() == (from.listener, from.peer) && self.identity == *from.identity
    }

    /// The device sends from elsewhere now: nothing of the old conversation holds there.
    pub(super) fn rebind(&mut self, cx: &mut Context<'_>, listener: ListenerId, peer: Peer) {
        self.listener = listener;
        self.peer = peer;
        *self.coap = cx.coap();
    }

    /// Sends what is in the buffer.
    pub(super) fn transmit(&self, cx: &mut Context<'_>, len: usize) {
        cx.transmit(self.route(), &self.identity, len);
    }

    pub(super) fn request(
        &mut self,
        cx: &mut Context<'_>,
        request: Request,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(), SendError> {
        let at = cx.at();
        let len = self.coap.start_request(at, request, cx.buffer, build)?;
        self.transmit(cx, len);
        Ok(())
    }

    pub(super) fn respond(
        &mut self,
        cx: &mut Context<'_>,
        handle: RequestHandle,
        code: Code,
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) {
        let at = cx.at();
        match self.coap.respond(at, handle, code, cx.buffer, build) {
            Ok(made) => self.transmit(cx, made.len),
            Err(error) => warn!(?error, peer = %self.peer, "no answer"),
        }
    }

    /// A notification is welcome, or the device shall send no more of them.
    pub(super) fn settle(&mut self, cx: &mut Context<'_>, handle: NotificationHandle, known: bool) {
        let at = cx.at();
        let made = if known {
            self.coap.accept(at, handle, cx.buffer)
        } else {
            self.coap.reject(at, handle, cx.buffer)
        };
        if let Some(len) = made {
            self.transmit(cx, len);
        }
    }
}
