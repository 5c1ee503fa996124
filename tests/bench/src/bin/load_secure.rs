//! Has many devices make a DTLS handshake with a pre-shared key and register at any server, and says
//! how fast it answered.
//!
//! `load-secure ADDRESS IDENTITY KEY [COUNT [WINDOW [FIRST]]]`: COUNT devices (10,000), at most
//! WINDOW of them at a time (64), with names from `load-FIRST` (0) on, all with the key KEY
//! (hexadecimal digits) of IDENTITY, in which `*` stands for the number; each has a Connection ID if
//! the server gives one.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lwm2m_objects::hex;
use tinsmith_bench::register_secure;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().and_then(|a| a.parse::<SocketAddr>().ok());
    let identity = arguments.next();
    let key = arguments.next().and_then(|digits| hex::decode(&digits));
    let (Some(address), Some(identity), Some(key)) = (address, identity, key) else {
        eprintln!("usage: load-secure ADDRESS IDENTITY KEY [COUNT [WINDOW [FIRST]]]");
        return ExitCode::from(2);
    };
    let mut number = |default: u32| {
        let given = arguments.next().and_then(|a| a.parse().ok());
        given.unwrap_or(default)
    };
    let (count, window) = (number(10_000), number(64).max(1));
    let first = number(0).min(u32::MAX - count);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        eprintln!("no runtime");
        return ExitCode::FAILURE;
    };
    let next = Arc::new(AtomicU32::new(first));
    let psk = Arc::new((identity, key));
    let start = std::time::Instant::now();
    let ended = runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..window {
            let (next, psk) = (Arc::clone(&next), Arc::clone(&psk));
            tasks.push(tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + count {
                        return Ok::<(), String>(());
                    }
                    let identity = psk.0.replace('*', &number.to_string());
                    let registered = register_secure(address, number, &identity, &psk.1).await;
                    registered.map_err(|error| format!("load-{number}: {error}"))?;
                }
            }));
        }
        for task in tasks {
            match task.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
                Err(error) => {
                    eprintln!("{error}");
                    return ExitCode::FAILURE;
                }
            }
        }
        ExitCode::SUCCESS
    });
    if ended == ExitCode::SUCCESS {
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{count} handshakes and registrations, window {window}: {seconds:.2} s, {:.0}/s",
            f64::from(count) / seconds
        );
    }
    ended
}
