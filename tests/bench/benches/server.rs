//! Registrations per second, CoAP round trips and block-wise throughput over loopback.
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lwm2m_objects::Path;
use tinsmith_bench::{device, register_all, serve};
use tinsmith_lwm2m::{Operation, Outcome};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap_or_else(|e| panic!("{e}"))
}

/// A thread and a runtime of its own, as another process would have.
fn load(address: SocketAddr, first: u32, count: u32, window: usize) -> Duration {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap_or_else(|e| panic!("{e}"));
        runtime.block_on(register_all(address, first, count, window))
    });
    thread.join().unwrap_or_else(|_| panic!("no load"))
}

fn registrations(c: &mut Criterion) {
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let server = runtime.block_on(serve(dir.path()));
    let address = server.addresses().coap;
    let mut next = 0;
    let mut group = c.benchmark_group("registrations");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.measurement_time(Duration::from_secs(5));
    for window in [64, 512] {
        group.bench_function(format!("durable, {window} at a time"), |b| {
            b.iter_custom(|count| {
                // New names for a while, then the same devices register again.
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                if next + count > 100_000 {
                    next = 0;
                }
                let first = next;
                next += count;
                load(address, first, count, window)
            });
        });
    }
    group.finish();
    runtime.block_on(server.shutdown());
}

fn requests(c: &mut Criterion) {
    let runtime = runtime();
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let server = runtime.block_on(serve(dir.path()));
    let (tx, rx) = tokio::sync::oneshot::channel();
    runtime.spawn(device(server.addresses().coap, 7, tx));
    runtime.block_on(rx).unwrap_or_else(|e| panic!("{e}"));

    let ask = |operation: Operation| async {
        let outcome = server.request("load-7", operation, 60_000).await;
        outcome.unwrap_or_else(|e| panic!("{e}"))
    };
    let mut group = c.benchmark_group("requests");
    group.sample_size(20);
    group.throughput(Throughput::Elements(1));
    group.bench_function("read", |b| {
        b.iter_custom(|count| {
            let start = Instant::now();
            runtime.block_on(async {
                for _ in 0..count {
                    let outcome = ask(Operation::read(Path::resource(3, 0, 1))).await;
                    assert!(matches!(outcome, Outcome::Content(_)));
                }
            });
            start.elapsed()
        });
    });
    let body: Arc<[u8]> = vec![0x5a; 256 * 1024].into();
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut tag = 0u64;
    group.bench_function("push 256 KiB", |b| {
        b.iter_custom(|count| {
            let start = Instant::now();
            runtime.block_on(async {
                for _ in 0..count {
                    tag += 1;
                    let push = Operation::Push {
                        path: Path::resource(5, 0, 0),
                        body: Arc::clone(&body).into(),
                        from: 0,
                        tag: tag.to_be_bytes(),
                    };
                    assert_eq!(ask(push).await, Outcome::Done);
                }
            });
            start.elapsed()
        });
    });
    group.finish();
    runtime.block_on(server.shutdown());
}

criterion_group!(benches, registrations, requests);
criterion_main!(benches);
