//! What this side sends, and when.

use super::{
    Buffer, Endpoint, NotificationHandle, Output, Reliability, Request, RequestHandle, Respond,
    SendError, Sent,
};
use crate::{BuildError, Builder, Code, Instant, MessageId, Token};

impl<T: Buffer, R: Buffer, const EXCHANGES: usize, const DEDUP: usize>
    Endpoint<T, R, EXCHANGES, DEDUP>
{
    /// Answers a request; `build` adds options and payload. The response is piggybacked if the
    /// request is confirmable and not acknowledged yet, a confirmable message of its own if it is
    /// acknowledged, and non-confirmable for a non-confirmable request.
    ///
    /// # Errors
    /// [`SendError`]; the request still waits (but for [`SendError::UnknownRequest`]).
    pub fn respond(
        &mut self,
        now: Instant,
        handle: RequestHandle,
        code: Code,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<Respond, SendError> {
        self.messages.respond(now, handle, code, out, build)
    }

    /// Acknowledges a confirmable request now, so that its response will be separate. Returns the
    /// datagram's length, `None` if there is nothing to send. [`Endpoint::poll`] does the same by
    /// itself after [`Parameters::piggyback_window_ms`](crate::Parameters::piggyback_window_ms).
    pub fn defer(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
        self.messages.defer(now, handle, out)
    }

    /// Leaves a request without response; a confirmable one that is not acknowledged is answered
    /// with Reset. Returns the datagram's length, `None` if there is nothing to send.
    pub fn refuse(&mut self, now: Instant, handle: RequestHandle, out: &mut [u8]) -> Option<usize> {
        self.messages.refuse(now, handle, out)
    }

    /// Acknowledges a notification. Returns the datagram's length, `None` if there is nothing to
    /// send (non-confirmable).
    pub fn accept(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        self.messages.accept(now, handle, out)
    }

    /// Rejects a notification with Reset: the peer forgets the observation (RFC 7641 §3.6).
    /// Returns the datagram's length.
    pub fn reject(
        &mut self,
        now: Instant,
        handle: NotificationHandle,
        out: &mut [u8],
    ) -> Option<usize> {
        self.messages.reject(now, handle, out)
    }

    /// Sends a request; `build` adds options and payload. Returns the datagram's length.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn start_request(
        &mut self,
        now: Instant,
        request: Request,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<usize, SendError> {
        let Request {
            code,
            token,
            reliability,
            response_timeout_ms,
        } = request;
        self.exchanges.check(token)?;
        let head = (code, token, reliability);
        let (len, id) = self
            .messages
            .send(now, Sent::Request(token), head, out, build)?;
        let timeout_ms =
            response_timeout_ms.unwrap_or(self.messages.parameters.response_timeout_ms);
        let deadline = match reliability {
            Reliability::Confirmable => None,
            Reliability::NonConfirmable => Some(now.plus_millis(u64::from(timeout_ms))),
        };
        self.exchanges.insert(token, Some(id), timeout_ms, deadline);
        Ok(len)
    }

    /// Sends a notification of an observation; `build` adds options (Observe among them) and
    /// payload. Returns the datagram's length and message id.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn notify(
        &mut self,
        now: Instant,
        token: Token,
        code: Code,
        reliability: Reliability,
        out: &mut [u8],
        build: impl FnOnce(&mut Builder<'_>) -> Result<(), BuildError>,
    ) -> Result<(usize, MessageId), SendError> {
        let head = (code, token, reliability);
        self.messages
            .send(now, Sent::Notification(token), head, out, build)
    }

    /// Asks whether the peer is there (RFC 7252 §4.3):
    /// [`Received::Alive`](crate::Received::Alive) if it is.
    ///
    /// # Errors
    /// [`SendError`]; nothing has changed.
    pub fn ping(&mut self, now: Instant, out: &mut [u8]) -> Result<usize, SendError> {
        self.messages.ping(now, out)
    }

    /// The next datagram or time-out that is due, `None` if there is none now. A datagram that is
    /// larger than `out` is lost.
    pub fn poll(&mut self, now: Instant, out: &mut [u8]) -> Option<Output> {
        let output = self.messages.poll(now, out);
        if let Some(Output::TimedOut(Sent::Request(token))) = output {
            self.exchanges.close(token);
        }
        output.or_else(|| {
            let token = self.exchanges.expired(now)?;
            Some(Output::TimedOut(Sent::Request(token)))
        })
    }
}
