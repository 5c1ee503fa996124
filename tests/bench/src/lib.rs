//! Load for a server on loopback; the benchmarks live in `benches/`.

mod secure;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tinsmith_coap::block::{Assembler, AssemblerLimits, Incoming, Verdict};
use tinsmith_coap::{Builder, Code, Message, MessageType, OptionNumber, Szx, Token, stateless};
use tinsmith_lwm2m::{Identity, Limits, Peer};
use tinsmith_server::{Config, ServerHandle, start};
use tinsmith_store::{SledStore, Store};
use tinsmith_transport::{Outgoing, ReceiveBatch, Received, UdpListener};

pub use secure::register_secure;

/// A server on port 0 with a sled store in `folder`.
///
/// # Panics
/// If it cannot be started.
pub async fn serve(folder: &FilePath) -> ServerHandle {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        coap: loopback,
        bootstrap_listener: None,
        limits: Limits {
            exempt_loopback: true,
            ..Limits::default()
        },
        ..Config::default()
    };
    let store = SledStore::open(folder).unwrap_or_else(|e| panic!("store: {e}"));
    let store: Arc<dyn Store> = Arc::new(store);
    start(config, store, Arc::new(|_, _| {}))
        .await
        .unwrap_or_else(|e| panic!("{e}"))
}

fn register(buf: &mut [u8], id: u16, number: u32) -> usize {
    let build = |buf: &mut [u8]| -> Result<usize, tinsmith_coap::BuildError> {
        let token = Token::new(&number.to_be_bytes()).unwrap_or(Token::EMPTY);
        let mut b = Builder::new(buf, MessageType::Confirmable, Code::POST, id, token)?;
        b.option(OptionNumber::URI_PATH, b"rd")?;
        b.option(OptionNumber::CONTENT_FORMAT, &[40])?;
        b.option(
            OptionNumber::URI_QUERY,
            format!("ep=load-{number}").as_bytes(),
        )?;
        b.option(OptionNumber::URI_QUERY, b"lt=3600")?;
        b.option(OptionNumber::URI_QUERY, b"lwm2m=1.1")?;
        b.option(OptionNumber::URI_QUERY, b"b=U")?;
        b.payload(b"</>;rt=\"oma.lwm2m\";ct=\"112 11542\",</1/0>,</3/0>,</5/0>")?;
        Ok(b.len())
    };
    build(buf).unwrap_or(0)
}

/// How often it is seen whether answers are missing.
const LOOK: Duration = Duration::from_millis(500);
/// How long an answer may take before a Register is sent again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Registers devices `first..first + count` from one socket, at most `window` of them
/// unanswered at a time; lost ones are sent again. What the server asks meanwhile is answered with
/// 4.04. Returns how long it took.
///
/// # Panics
/// If a Register is refused.
pub async fn register_all(server: SocketAddr, first: u32, count: u32, window: usize) -> Duration {
    let socket = UdpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .unwrap_or_else(|e| panic!("bind: {e}"));
    let start = Instant::now();
    // Mostly answered in their order.
    let mut open: VecDeque<(u32, Instant)> = VecDeque::with_capacity(window);
    let mut next = first;
    let mut done = 0;
    let mut buf = [0; 512];
    let mut reply = [0; 64];
    let mut out = Vec::new();
    let mut batch = ReceiveBatch::new();
    let mut post = |out: &mut Vec<Outgoing>, number: u32| {
        let len = register(&mut buf, number as u16, number);
        out.push(Outgoing {
            to: Peer::udp(server),
            identity: Identity::None,
            bytes: buf[..len].to_vec(),
        });
    };
    let mut look = tokio::time::interval(LOOK);
    while done < count {
        let now = Instant::now();
        while open.len() < window && next < first + count {
            post(&mut out, next);
            open.push_back((next, now));
            next += 1;
        }
        let _ = socket.send(&mut out).await;
        tokio::select! {
            biased;
            received = socket.receive(&mut batch) => {
                if received.is_err() {
                    continue;
                }
            }
            _ = look.tick() => {
                let late = |at: &Instant| at.elapsed() > PATIENCE;
                for (number, at) in open.iter_mut().filter(|(_, at)| late(at)) {
                    *at = Instant::now();
                    post(&mut out, *number);
                }
                continue;
            }
        }
        for Received { bytes, .. } in batch.iter() {
            let Ok(message) = Message::parse(bytes) else {
                continue;
            };
            if message.code().is_request() {
                let none = |_: &mut Builder<'_>| Ok(());
                let code = Code::NOT_FOUND;
                if let Ok(len) = stateless::reply(&message, 0, code, &mut reply, none) {
                    out.push(Outgoing {
                        to: Peer::udp(server),
                        identity: Identity::None,
                        bytes: reply[..len].to_vec(),
                    });
                }
                continue;
            }
            // The answer comes later.
            if message.code() == Code::EMPTY {
                continue;
            }
            assert!(message.code().is_success(), "{}", message.code());
            let token: Option<[u8; 4]> = message.token().as_bytes().try_into().ok();
            let number = token.map(u32::from_be_bytes);
            if let Some(at) = open.iter().position(|(n, _)| Some(*n) == number) {
                open.remove(at);
                done += 1;
            }
        }
    }
    start.elapsed()
}

/// Registers as `load-<number>` and then answers every request until the task is dropped: reads
/// with a short text, block-wise writes by taking them.
///
/// # Panics
/// If it can't register.
pub async fn device(server: SocketAddr, number: u32, ready: tokio::sync::oneshot::Sender<()>) {
    let socket = UdpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .unwrap_or_else(|e| panic!("bind: {e}"));
    let mut buf = [0; 512];
    let len = register(&mut buf, 1, number);
    let mut out = vec![Outgoing {
        to: Peer::udp(server),
        identity: Identity::None,
        bytes: buf[..len].to_vec(),
    }];
    let mut ready = Some(ready);
    let limits = AssemblerLimits {
        max_body: 1 << 24,
        preferred: Szx::MAX,
        lifetime_ms: None,
    };
    let mut assembler = Assembler::new(limits);
    let mut batch = ReceiveBatch::new();
    let now = tinsmith_coap::Instant::ZERO;
    loop {
        let _ = socket.send(&mut out).await;
        if socket.receive(&mut batch).await.is_err() {
            continue;
        }
        for Received { peer, bytes, .. } in batch.iter() {
            let Ok(message) = Message::parse(bytes) else {
                continue;
            };
            if message.code() == Code::CREATED
                && let Some(ready) = ready.take()
            {
                let _ = ready.send(());
            }
            if !message.code().is_request() {
                continue;
            }
            let (code, block) = answer(&mut assembler, now, &message);
            let made = stateless::reply(&message, 0, code, &mut buf, |b| {
                if let Some(block) = block {
                    b.block(OptionNumber::BLOCK1, block)?;
                }
                if code == Code::CONTENT {
                    b.payload(b"tinsmith")?;
                }
                Ok(())
            });
            if let Ok(len) = made {
                out.push(Outgoing {
                    to: peer,
                    identity: Identity::None,
                    bytes: buf[..len].to_vec(),
                });
            }
        }
    }
}

fn answer(
    assembler: &mut Assembler,
    now: tinsmith_coap::Instant,
    message: &Message<'_>,
) -> (Code, Option<tinsmith_coap::Block>) {
    if message.code() == Code::GET {
        return (Code::CONTENT, None);
    }
    let Ok(incoming) = Incoming::of(message) else {
        return (Code::BAD_REQUEST, None);
    };
    let mut verdict = assembler.check(now, &incoming);
    if verdict == Verdict::Another {
        assembler.reset();
        verdict = assembler.check(now, &incoming);
    }
    match verdict {
        Verdict::Deliver { last, reply, .. } => {
            assembler.advance(now, &incoming);
            (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
        }
        Verdict::Duplicate { last, reply } => {
            (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
        }
        Verdict::Another => (Code::CONFLICT, None),
        Verdict::Refuse(refusal) => (refusal.code(), None),
    }
}
