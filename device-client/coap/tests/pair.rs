//! Two endpoints under loss, duplication, reordering and delay.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{App, FAIR, Pair, Rng, STORM, Side, Weather};
use tinsmith_coap::block::{
    Assembler, AssemblerLimits, Download, Incoming, Source, Tag, Upload, UploadStep, Verdict,
};
use tinsmith_coap::{
    BuildError, Code, Dropped, Instant, OptionNumber, Received, Reliability, Request,
    RequestHandle, SendError, Sent, Szx, Token,
};

const HOUR_MS: u64 = 3_600_000;

fn token(number: u64) -> Token {
    Token::new(&number.to_be_bytes()).unwrap()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn request(code: Code, number: u64) -> Request {
    let reliability = Reliability::Confirmable;
    Request {
        code,
        token: token(number),
        reliability,
        response_timeout_ms: None,
    }
}

/// Sends `total` POSTs numbered in their payloads and answers those of the other side, at once or
/// late; counts what happened to each.
struct Talker {
    total: u64,
    sent: u64,
    outcomes: BTreeMap<u64, Result<u64, ()>>,
    executed: BTreeMap<u64, u32>,
    late: Vec<(Instant, RequestHandle, u64)>,
    rng: Rng,
}

impl Talker {
    fn new(total: u64, seed: u64) -> Self {
        Self {
            total,
            sent: 0,
            outcomes: BTreeMap::new(),
            executed: BTreeMap::new(),
            late: Vec::new(),
            rng: Rng(seed),
        }
    }

    fn answer(side: &mut Side<'_>, handle: RequestHandle, number: u64) -> Result<(), SendError> {
        side.send(|peer, now, out| {
            let build = |b: &mut tinsmith_coap::Builder<'_>| {
                b.payload(&(number * 3).to_be_bytes()).map(|_| ())
            };
            peer.respond(now, handle, Code::CHANGED, out, build)
                .map(|respond| respond.len)
        })
    }
}

impl App for Talker {
    fn received(&mut self, side: &mut Side<'_>, received: Received<'_>) {
        match received {
            Received::Request { handle, message } => {
                let number = number(message.payload());
                *self.executed.entry(number).or_default() += 1;
                match self.rng.next() % 3 {
                    0 => {
                        let wait = self.rng.next() % 5_000;
                        self.late.push((side.now.plus_millis(wait), handle, number));
                    }
                    _ => Self::answer(side, handle, number).unwrap(),
                }
            }
            Received::Response { token, message } => {
                let result = number(message.payload());
                let old = self.outcomes.insert(number(token.as_bytes()), Ok(result));
                assert_eq!(old, None, "second outcome");
            }
            Received::Notification { handle, .. } => {
                side.send(|peer, now, out| peer.reject(now, handle, out).ok_or(()))
                    .unwrap();
            }
            _ => {}
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, sent: Sent) {
        if let Sent::Request(token) = sent {
            let old = self.outcomes.insert(number(token.as_bytes()), Err(()));
            assert_eq!(old, None, "second outcome");
        }
    }

    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant> {
        self.late.retain(|(at, handle, number)| {
            if *at > side.now {
                return true;
            }
            match Self::answer(side, *handle, *number) {
                Ok(()) => false,
                Err(SendError::Busy) => true,
                Err(error) => panic!("{error:?}"),
            }
        });
        while self.sent < self.total && side.peer.can_request() {
            let number = self.sent;
            side.send(|peer, now, out| {
                peer.start_request(now, request(Code::POST, number), out, |b| {
                    b.options(OptionNumber::URI_PATH, ["x"])?
                        .payload(&number.to_be_bytes())?;
                    Ok(())
                })
            })
            .unwrap();
            self.sent += 1;
        }
        self.late
            .iter()
            .map(|(at, ..)| *at)
            .filter(|at| *at > side.now)
            .min()
    }

    fn is_done(&self) -> bool {
        self.outcomes.len() as u64 == self.total
    }
}

fn talk(weather: &Weather, seed: u64, total: u64) -> u64 {
    let mut pair = Pair::new(weather.clone(), seed);
    let (mut left, mut right) = (Talker::new(total, seed + 1), Talker::new(total, seed + 2));
    pair.run(&mut [&mut left, &mut right], 100 * HOUR_MS);
    let mut failed = 0;
    for (from, to) in [(&left, &right), (&right, &left)] {
        for (number, outcome) in &from.outcomes {
            let executed = to.executed.get(number).copied().unwrap_or(0);
            match outcome {
                Ok(result) => assert_eq!((*result, executed), (number * 3, 1), "seed {seed}"),
                Err(()) => {
                    assert!(executed <= 1, "seed {seed}");
                    failed += 1;
                }
            }
        }
    }
    failed
}

#[test]
fn every_exchange_completes_once_in_fair_weather() {
    assert_eq!(talk(&FAIR, 1, 200), 0);
}

#[test]
fn every_exchange_completes_once_or_times_out_in_a_storm() {
    for seed in 0..40 {
        let failed = talk(&STORM, seed, 60);
        // A confirmable request gets through with 1 - 0.51^5; separate responses less often.
        assert!(failed < 25, "seed {seed}: {failed} failed");
    }
}

#[test]
fn without_a_peer_everything_times_out() {
    let weather = Weather {
        loss_percent: 100,
        ..FAIR
    };
    assert_eq!(talk(&weather, 3, 3), 6);
}

const BODY: usize = 20_000;

fn body() -> Vec<u8> {
    let mut rng = Rng(99);
    (0..BODY).map(|_| rng.next() as u8).collect()
}

/// Uploads a body block by block; a block that timed out is sent again.
struct Uploader {
    body: Vec<u8>,
    upload: Upload,
    waiting: bool,
    requests: u64,
    done: bool,
}

impl App for Uploader {
    fn received(&mut self, _: &mut Side<'_>, received: Received<'_>) {
        if let Received::Response { message, .. } = received {
            self.waiting = false;
            match self.upload.on_response(&message).unwrap() {
                UploadStep::Continue => {}
                UploadStep::Done(code) => {
                    assert_eq!(code, Code::CHANGED);
                    self.done = true;
                }
            }
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, _: Sent) {
        self.waiting = false;
    }

    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant> {
        if self.waiting || self.done {
            return None;
        }
        let block = self.upload.next_block();
        let payload = &self.body[block.offset as usize..][..block.len];
        self.requests += 1;
        let request = request(Code::PUT, self.requests);
        side.send(|peer, now, out| {
            peer.start_request(now, request, out, |b| {
                b.options(OptionNumber::URI_PATH, ["5", "0", "0"])?;
                block.options(b)?;
                b.payload(payload)?;
                Ok(())
            })
        })
        .unwrap();
        self.waiting = true;
        None
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// Takes a body; answers late now and then, as a device does that erases flash.
struct Receiver {
    assembler: Assembler,
    body: Vec<u8>,
    completed: u32,
    late: Option<(Instant, RequestHandle, Code, Option<tinsmith_coap::Block>)>,
    rng: Rng,
}

impl Receiver {
    fn answer(
        side: &mut Side<'_>,
        handle: RequestHandle,
        code: Code,
        block: Option<tinsmith_coap::Block>,
    ) -> Result<(), SendError> {
        side.send(|peer, now, out| {
            peer.respond(now, handle, code, out, |b| {
                block.map_or(Ok(()), |block| {
                    b.block(OptionNumber::BLOCK1, block).map(|_| ())
                })
            })
            .map(|respond| respond.len)
        })
    }
}

impl App for Receiver {
    fn received(&mut self, side: &mut Side<'_>, received: Received<'_>) {
        let Received::Request { handle, message } = received else {
            return;
        };
        let incoming = Incoming::of(&message).unwrap();
        let (code, reply) = match self.assembler.check(side.now, &incoming) {
            Verdict::Deliver {
                offset,
                chunk,
                last,
                reply,
            } => {
                assert_eq!(offset as usize, self.body.len());
                self.body.extend_from_slice(chunk);
                self.assembler.advance(side.now, &incoming);
                self.completed += u32::from(last);
                (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
            }
            Verdict::Duplicate { last, reply } => {
                (if last { Code::CHANGED } else { Code::CONTINUE }, reply)
            }
            Verdict::Another => panic!("another body"),
            Verdict::Refuse(refusal) => (refusal.code(), None),
        };
        if self.late.is_none() && self.rng.next().is_multiple_of(8) {
            self.late = Some((side.now.plus_millis(3_000), handle, code, reply));
        } else {
            Self::answer(side, handle, code, reply).unwrap();
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, _: Sent) {}

    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant> {
        let (at, handle, code, reply) = self.late?;
        if at > side.now {
            return Some(at);
        }
        if Self::answer(side, handle, code, reply) != Err(SendError::Busy) {
            self.late = None;
        }
        None
    }

    fn is_done(&self) -> bool {
        true
    }
}

#[test]
fn upload_delivers_the_exact_bytes() {
    for (seed, weather) in [FAIR].iter().chain([STORM; 20].iter()).enumerate() {
        let mut pair = Pair::new(weather.clone(), seed as u64);
        let tag = (seed % 2 == 0).then(|| Tag::new(b"digest00").unwrap());
        let body = body();
        let mut uploader = Uploader {
            upload: Upload::new(BODY as u32, Szx::MAX, tag),
            body: body.clone(),
            waiting: false,
            requests: 0,
            done: false,
        };
        let limits = AssemblerLimits {
            max_body: BODY as u32,
            preferred: Szx::at_most(256),
            lifetime_ms: None,
        };
        let mut receiver = Receiver {
            assembler: Assembler::new(limits),
            body: Vec::new(),
            completed: 0,
            late: None,
            rng: Rng(seed as u64),
        };
        pair.run(&mut [&mut uploader, &mut receiver], 20 * HOUR_MS);
        assert!(receiver.body == body, "seed {seed}");
        assert_eq!(receiver.completed, 1);
        if weather.loss_percent == 0 {
            // The first block goes in 1,024 bytes, the rest in 256.
            assert_eq!(uploader.requests, 1 + (BODY as u64 - 1024).div_ceil(256));
        }
    }
}

/// Downloads a body block by block.
struct Downloader {
    download: Download,
    body: Vec<u8>,
    waiting: bool,
    requests: u64,
    done: bool,
}

impl App for Downloader {
    fn received(&mut self, _: &mut Side<'_>, received: Received<'_>) {
        if let Received::Response { message, .. } = received {
            self.waiting = false;
            let chunk = self.download.on_response(&message).unwrap();
            assert_eq!(chunk.offset as usize, self.body.len());
            self.body.extend_from_slice(message.payload());
            self.done = chunk.last;
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, _: Sent) {
        self.waiting = false;
    }

    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant> {
        if self.waiting || self.done {
            return None;
        }
        self.requests += 1;
        let (request, block) = (
            request(Code::GET, self.requests),
            self.download.next_block(),
        );
        side.send(|peer, now, out| {
            peer.start_request(now, request, out, |b| {
                b.block(OptionNumber::BLOCK2, block).map(|_| ())
            })
        })
        .unwrap();
        self.waiting = true;
        None
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// Serves a body; its replies are too large to keep, so duplicates are served again.
struct Server {
    source: Source,
    body: Vec<u8>,
}

impl App for Server {
    fn received(&mut self, side: &mut Side<'_>, received: Received<'_>) {
        let Received::Request { handle, message } = received else {
            return;
        };
        let window = self.source.window(message.block2().unwrap()).unwrap();
        let rest = &self.body[window.offset as usize..];
        side.send(|peer, now, out| {
            peer.respond(now, handle, Code::CONTENT, out, |b| {
                b.option(OptionNumber::ETAG, b"v1")?;
                window.write::<BuildError>(b, |place| {
                    let len = place.len().min(rest.len());
                    place[..len].copy_from_slice(&rest[..len]);
                    Ok((len, len < rest.len()))
                })
            })
            .map(|respond| respond.len)
        })
        .unwrap();
    }

    fn timed_out(&mut self, _: &mut Side<'_>, _: Sent) {}

    fn turn(&mut self, _: &mut Side<'_>) -> Option<Instant> {
        None
    }

    fn is_done(&self) -> bool {
        true
    }
}

#[test]
fn download_delivers_the_exact_bytes() {
    for (seed, weather) in [FAIR].iter().chain([STORM; 20].iter()).enumerate() {
        let mut pair = Pair::new(weather.clone(), seed as u64);
        let body = body();
        let total = (seed % 2 == 0).then_some(BODY as u32);
        let mut server = Server {
            source: Source {
                preferred: Szx::at_most(512),
                total,
            },
            body: body.clone(),
        };
        let mut downloader = Downloader {
            download: Download::new(BODY as u32, Szx::MAX),
            body: Vec::new(),
            waiting: false,
            requests: 0,
            done: false,
        };
        pair.run(&mut [&mut downloader, &mut server], 20 * HOUR_MS);
        assert!(downloader.body == body, "seed {seed}");
    }
}

/// Sends the numbers 1 to `total` as confirmable notifications.
struct Notifier {
    total: u32,
    next: u32,
    acknowledged: u32,
    failed: u32,
}

impl App for Notifier {
    fn received(&mut self, _: &mut Side<'_>, received: Received<'_>) {
        match received {
            Received::Acknowledged(Sent::Notification(_)) => self.acknowledged += 1,
            Received::Nothing(Dropped::Stale) => {}
            other => panic!("{other:?}"),
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, sent: Sent) {
        assert_eq!(sent, Sent::Notification(token(7)));
        self.failed += 1;
    }

    fn turn(&mut self, side: &mut Side<'_>) -> Option<Instant> {
        if self.next < self.total && side.peer.can_notify() {
            self.next += 1;
            let sequence = self.next;
            side.send(|peer, now, out| {
                let reliability = Reliability::Confirmable;
                peer.notify(now, token(7), Code::CONTENT, reliability, out, |b| {
                    b.uint(OptionNumber::OBSERVE, sequence).map(|_| ())
                })
                .map(|(len, _)| len)
            })
            .unwrap();
        }
        None
    }

    fn is_done(&self) -> bool {
        self.acknowledged + self.failed == self.total
    }
}

struct Watcher {
    seen: Vec<u32>,
}

impl App for Watcher {
    fn received(&mut self, side: &mut Side<'_>, received: Received<'_>) {
        match received {
            Received::Notification {
                handle,
                token: of,
                message,
            } => {
                assert_eq!(of, token(7));
                self.seen.push(message.observe().unwrap());
                side.send(|peer, now, out| peer.accept(now, handle, out).ok_or(()))
                    .unwrap();
            }
            Received::Nothing(Dropped::Duplicate) => {}
            other => panic!("{other:?}"),
        }
    }

    fn timed_out(&mut self, _: &mut Side<'_>, sent: Sent) {
        panic!("{sent:?}");
    }

    fn turn(&mut self, _: &mut Side<'_>) -> Option<Instant> {
        None
    }

    fn is_done(&self) -> bool {
        true
    }
}

#[test]
fn confirmable_notifications_arrive_once_and_in_order() {
    for seed in 0..20 {
        let mut pair = Pair::new(STORM, seed);
        let mut notifier = Notifier {
            total: 50,
            next: 0,
            acknowledged: 0,
            failed: 0,
        };
        let mut watcher = Watcher { seen: Vec::new() };
        pair.run(&mut [&mut notifier, &mut watcher], 20 * HOUR_MS);
        assert!(
            watcher.seen.is_sorted_by(|a, b| a < b),
            "seed {seed}: {:?}",
            watcher.seen
        );
        assert!(watcher.seen.len() as u32 >= notifier.acknowledged);
    }
}
