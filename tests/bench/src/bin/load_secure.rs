//! Has many devices make a DTLS handshake with a pre-shared key and register at any server, and says
//! how fast it answered.
//!
//! `load-secure ADDRESS IDENTITY KEY [COUNT [WINDOW [FIRST [UPDATES]]]]`: COUNT devices (10,000), at
//! most WINDOW of them at a time (64), with names from `load-FIRST` (0) on, all with the key KEY
//! (hexadecimal digits) of IDENTITY, in which `*` stands for the number; each has a Connection ID if
//! the server gives one. With UPDATES they stay, and then send so many Updates each, WINDOW of them
//! at a time; what is told is how fast those were answered.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use lwm2m_objects::hex;
use tinsmith_bench::SecureDevice;

struct Load {
    address: SocketAddr,
    identity: String,
    key: Vec<u8>,
    count: u32,
    window: u32,
    first: u32,
    updates: u32,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().and_then(|a| a.parse::<SocketAddr>().ok());
    let identity = arguments.next();
    let key = arguments.next().and_then(|digits| hex::decode(&digits));
    let (Some(address), Some(identity), Some(key)) = (address, identity, key) else {
        eprintln!("usage: load-secure ADDRESS IDENTITY KEY [COUNT [WINDOW [FIRST [UPDATES]]]]");
        return ExitCode::from(2);
    };
    let mut number = |default: u32| {
        let given = arguments.next().and_then(|a| a.parse().ok());
        given.unwrap_or(default)
    };
    let (count, window) = (number(10_000), number(64).max(1));
    let load = Load {
        address,
        identity,
        key,
        count,
        window,
        first: number(0).min(u32::MAX - count),
        updates: number(0),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended = runtime.and_then(|runtime| runtime.block_on(run(Arc::new(load))));
    match ended {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(load: Arc<Load>) -> io::Result<String> {
    let (count, window) = (load.count, load.window);
    let next = Arc::new(AtomicU32::new(0));
    let start = Instant::now();
    let workers: Vec<_> = (0..window)
        .map(|_| tokio::spawn(register(Arc::clone(&load), Arc::clone(&next))))
        .collect();
    let mut devices = Vec::new();
    for worker in workers {
        devices.push(worker.await??);
    }
    let told = |what: &str, done: f64, start: Instant| {
        let seconds = start.elapsed().as_secs_f64();
        let rate = done / seconds;
        format!("{done} {what}, window {window}: {seconds:.2} s, {rate:.0}/s")
    };
    if load.updates == 0 {
        return Ok(told(
            "handshakes and registrations",
            f64::from(count),
            start,
        ));
    }
    let start = Instant::now();
    let updates = load.updates;
    let workers: Vec<_> = devices
        .into_iter()
        .map(|mut own| {
            tokio::spawn(async move {
                for _ in 0..updates {
                    for device in &mut own {
                        device.update().await?;
                    }
                }
                io::Result::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(told(
        "updates",
        f64::from(count) * f64::from(updates),
        start,
    ))
}

/// Registers devices until all are, and keeps its own if they are needed.
async fn register(load: Arc<Load>, next: Arc<AtomicU32>) -> io::Result<Vec<SecureDevice>> {
    let mut own = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= load.count {
            return Ok(own);
        }
        let number = load.first + index;
        let identity = load.identity.replace('*', &number.to_string());
        let device = SecureDevice::register(load.address, number, &identity, &load.key).await;
        let device = device.map_err(|error| io::Error::other(format!("load-{number}: {error}")))?;
        if load.updates > 0 {
            own.push(device);
        }
    }
}
