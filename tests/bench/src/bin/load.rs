//! Registers many devices at any CoAP server with `/rd` and says how fast it answered.
//!
//! `load ADDRESS [COUNT [WINDOW [SOCKETS [FIRST]]]]`: COUNT Registers (100,000), at most WINDOW of
//! them unanswered at a time (512), from SOCKETS sockets (1), with names from `load-FIRST` (0) on.
//! The same against `tinsmith serve`, libcoap's `coap-rd` or Leshan.

use std::net::SocketAddr;
use std::process::ExitCode;

use tinsmith_bench::register_all;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().and_then(|a| a.parse::<SocketAddr>().ok());
    let Some(address) = address else {
        eprintln!("usage: load ADDRESS [COUNT [WINDOW [SOCKETS [FIRST]]]]");
        return ExitCode::from(2);
    };
    let mut number = |default: u32| {
        let given = arguments.next().and_then(|a| a.parse().ok());
        given.unwrap_or(default)
    };
    let (count, window, sockets) = (number(100_000), number(512), number(1).max(1));
    let first = number(0).min(u32::MAX - count);
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        eprintln!("no runtime");
        return ExitCode::FAILURE;
    };
    let each = (count / sockets).max(1);
    let open = (window / sockets).max(1) as usize;
    let start = std::time::Instant::now();
    let ended = runtime.block_on(async {
        let tasks: Vec<_> = (0..sockets)
            .map(|i| tokio::spawn(register_all(address, first + i * each, each, open)))
            .collect();
        for task in tasks {
            if let Err(error) = task.await {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    });
    if ended != ExitCode::SUCCESS {
        return ended;
    }
    let seconds = start.elapsed().as_secs_f64();
    let done = f64::from(each * sockets);
    println!(
        "{done} registrations, window {window}, sockets {sockets}: {seconds:.2} s, {:.0}/s",
        done / seconds
    );
    ExitCode::SUCCESS
}
