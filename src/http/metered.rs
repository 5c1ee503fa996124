//! A body of which a reader that looks for something gets only so much.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use hyper::body::{Bytes, Frame, SizeHint};

/// How many bytes may still come; shared with who reads.
#[derive(Clone, Debug)]
pub(crate) struct Meter(Arc<AtomicU64>);

impl Meter {
    /// Puts a meter into the body of a request; nothing is bounded yet.
    pub(crate) fn put(request: Request) -> (Request, Self) {
        let meter = Meter(Arc::new(AtomicU64::new(u64::MAX)));
        let left = meter.clone();
        let request = request.map(|body| {
            let paused = false;
            Body::new(Metered { body, left, paused })
        });
        (request, meter)
    }

    /// From here on so many bytes, and what one read of the socket gives.
    pub(crate) fn allow(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// Whether more came.
    pub(crate) fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn take(&self, bytes: usize) {
        let left = self.0.load(Ordering::Relaxed);
        self.0
            .store(left.saturating_sub(bytes as u64), Ordering::Relaxed);
    }
}

struct Metered {
    body: Body,
    left: Meter,
    /// A frame was given: whoever reads shall look at it before there is another.
    paused: bool,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if std::mem::take(&mut self.paused) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left.is_over() {
            let error = std::io::Error::other("more comes than was asked for");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            self.left.take(frame.data_ref().map_or(0, Bytes::len));
            self.paused = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn frames_come_one_by_one_and_not_too_many() {
        let body = |size: usize| {
            let request = Request::new(Body::from(vec![7; size]));
            let (request, meter) = Meter::put(request);
            (request.into_body(), meter)
        };
        let (all, meter) = body(100);
        let bytes = futures_executor::block_on(all.collect())
            .unwrap()
            .to_bytes();
        assert_eq!(bytes.len(), 100);
        assert!(!meter.is_over());

        let (all, meter) = body(100);
        meter.allow(100);
        assert!(futures_executor::block_on(all.collect()).is_err());
        assert!(meter.is_over());
    }
}
