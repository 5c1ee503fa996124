//! One endpoint, fed with steps: a datagram from the peer, time that passes, a request or a
//! notification of our own. No step may panic, and every call of `poll` must come to an end.

use tinsmith_coap::{
    Code, Endpoint, FixedBuffer, Instant, Numbering, Parameters, Received, Reliability, Request,
    RequestHandle, Token,
};

type Tested = Endpoint<FixedBuffer<256>, FixedBuffer<128>>;

/// Datagrams that one step may cause; far above what the tables can hold.
const ENOUGH: usize = 64;

fn receive(
    endpoint: &mut Tested,
    now: Instant,
    datagram: &[u8],
    out: &mut [u8],
) -> Option<RequestHandle> {
    match endpoint.handle(now, datagram) {
        Received::Request { handle, .. } => Some(handle),
        Received::Notification { handle, token, .. } => {
            if token.as_bytes().len() % 2 == 0 {
                endpoint.accept(now, handle, out);
            } else {
                endpoint.reject(now, handle, out);
            }
            None
        }
        _ => None,
    }
}

pub(crate) fn run(data: &[u8]) {
    let mut endpoint = Tested::new(Parameters::RFC7252, Numbering::ALL, 1);
    let mut out = [0; 512];
    let mut millis = 0u64;
    let mut waiting: Vec<RequestHandle> = Vec::new();
    let mut rest = data;
    while let [step, length, tail @ ..] = rest {
        let (argument, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        let now = Instant::from_millis(millis);
        match step % 7 {
            0 | 1 => waiting.extend(receive(&mut endpoint, now, argument, &mut out)),
            2 => millis += u64::from(*length) << (step >> 3 & 15),
            3 => {
                if let Some(handle) = waiting.pop() {
                    let _ = endpoint.respond(now, handle, Code::CONTENT, &mut out, |builder| {
                        builder.payload(argument).map(drop)
                    });
                }
            }
            4 => {
                if let Some(handle) = waiting.pop() {
                    endpoint.defer(now, handle, &mut out);
                    waiting.insert(0, handle);
                }
            }
            5 => {
                let request = Request {
                    code: Code::GET,
                    token: Token::with_prefix(*step, u64::from(*length)),
                    reliability: if step & 8 == 0 {
                        Reliability::Confirmable
                    } else {
                        Reliability::NonConfirmable
                    },
                    response_timeout_ms: Some(10_000),
                };
                let _ = endpoint.start_request(now, request, &mut out, |builder| {
                    builder.payload(argument).map(drop)
                });
            }
            _ => {
                let _ = endpoint.ping(now, &mut out);
            }
        }
        let now = Instant::from_millis(millis);
        let outputs = std::iter::from_fn(|| endpoint.poll(now, &mut out))
            .take(ENOUGH)
            .count();
        assert!(outputs < ENOUGH, "poll never ends");
        if let Some(deadline) = endpoint.next_deadline() {
            assert!(deadline > now, "poll left something that was due");
        }
        waiting.truncate(16);
    }
}
