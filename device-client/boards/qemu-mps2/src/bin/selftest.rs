//! Checks the board's own parts, without the client: flash rules, flash and bookkeeping over a
//! reset, clock, and UDP against an echo on the host. Ends QEMU with exit code 0 if all is well.
#![no_std]
#![no_main]

use core::net::{SocketAddr, SocketAddrV4};

use board::flash::Flash;
use board::layout::{FLASH_BYTES, JOURNAL_OFFSET, SLOT_ERASE_UNIT, WRITE_UNIT};
use board::random::Random;
use board::{clock, executor, launch, net, println, retained, semihosting};
use embassy_net::udp::UdpSocket;
use embassy_net::{IpAddress, IpEndpoint, Stack};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use tinsmith_client::{FlashError, FlashOp, FlashRead};

const UNIT: u32 = WRITE_UNIT as u32;
const SECTOR: u32 = SLOT_ERASE_UNIT as u32;
const LEFT_BEHIND: [u8; 2 * WRITE_UNIT] = [0x5a; 2 * WRITE_UNIT];
const ROUNDS: u32 = 200;

#[cortex_m_rt::entry]
fn main() -> ! {
    board::init();
    let launch = launch::read().unwrap_or_else(|error| {
        println!("{error}");
        semihosting::exit(false)
    });
    let (retained, known) = retained::take();
    let boots = retained.boots;
    println!("selftest, start {boots}");
    assert_eq!(known, boots > 1, "the flash is formatted once");
    let mut flash = Flash::mount(retained, known);
    match boots {
        1 => first(&mut flash),
        _ => second(&mut flash),
    }
    let peer = launch
        .bootstrap
        .strip_prefix("coap://")
        .and_then(|peer| peer.parse().ok());
    let Some(SocketAddr::V4(peer)) = peer else {
        println!("no IPv4 address and port in {}", launch.bootstrap);
        semihosting::exit(false)
    };
    let mut random = Random::new(launch.seed, boots);
    executor::run(|spawner| {
        let stack = net::start(spawner, random.next_u64());
        let socket = net::socket(stack, 4000);
        spawner.spawn(talk(stack, socket, peer, boots).expect("one task"));
    })
}

fn erase(flash: &mut Flash, offset: u32, len: u32) -> Result<(), FlashError> {
    flash.execute(FlashOp::Erase { offset, len })
}

fn program(flash: &mut Flash, offset: u32, data: &[u8]) -> Result<(), FlashError> {
    flash.execute(FlashOp::Program { offset, data })
}

fn first(flash: &mut Flash) {
    let size = FLASH_BYTES as u32;
    assert!(
        flash.read(0, size).iter().all(|&byte| byte == 0xff),
        "delivered erased"
    );
    assert_eq!(
        flash.read(0, size).as_ptr() as usize % 32,
        0,
        "aligned for modules"
    );
    assert!(flash.read(size, 1).is_empty());
    assert!(flash.read(u32::MAX, u32::MAX).is_empty());

    println!("now six refusals:");
    let data = [0; 2 * WRITE_UNIT];
    assert!(program(flash, 1, &data).is_err());
    assert!(program(flash, 0, &data[1..]).is_err());
    assert!(program(flash, size - UNIT, &data).is_err());
    assert!(erase(flash, UNIT, SECTOR).is_err());
    assert!(erase(flash, size, SECTOR).is_err());

    program(flash, 0, &[0xff; WRITE_UNIT]).expect("an erased unit");
    assert!(
        program(flash, 0, &data[..WRITE_UNIT]).is_err(),
        "also 0xff is programmed once"
    );
    erase(flash, 0, SECTOR).expect("one sector");
    program(flash, 0, &data).expect("erased again");
    assert_eq!(flash.read(0, 2 * UNIT), data);
    erase(flash, 0, SECTOR).expect("one sector");
    assert!(flash.read(0, 2 * UNIT).iter().all(|&byte| byte == 0xff));

    program(flash, SECTOR, &LEFT_BEHIND).expect("an erased sector");
    program(flash, JOURNAL_OFFSET as u32, &LEFT_BEHIND).expect("an erased sector");
}

fn second(flash: &mut Flash) {
    for offset in [SECTOR, JOURNAL_OFFSET as u32] {
        assert_eq!(
            flash.read(offset, 2 * UNIT),
            LEFT_BEHIND,
            "kept over the reset"
        );
        println!("now a refusal:");
        assert!(
            program(flash, offset, &LEFT_BEHIND).is_err(),
            "known to be programmed"
        );
    }
}

#[embassy_executor::task]
async fn talk(stack: Stack<'static>, socket: UdpSocket<'static>, peer: SocketAddrV4, boots: u32) {
    stack.wait_config_up().await;
    let host = IpEndpoint::new(IpAddress::Ipv4(*peer.ip()), peer.port());
    let before = (Instant::now(), clock::ticks());
    Timer::after_millis(50).await;
    let slept = before.0.elapsed().as_millis();
    assert!((50..1000).contains(&slept), "slept {slept} ms");
    assert!(clock::ticks() - before.1 >= 25 * 50_000);
    for size in [16, 1024, net::DATAGRAM] {
        echo(&socket, host, size).await;
    }
    println!("start {boots} is done");
    if boots == 1 {
        board::reset()
    } else {
        semihosting::exit(true)
    }
}

async fn echo(socket: &UdpSocket<'static>, host: IpEndpoint, size: usize) {
    let mut sent = [0; net::DATAGRAM];
    let mut got = [0; net::DATAGRAM];
    let (mut lost, mut shortest, mut sum) = (0, u64::MAX, 0);
    let start = Instant::now();
    for round in 0..ROUNDS {
        for (byte, i) in sent.iter_mut().zip(round as usize..) {
            *byte = i as u8;
        }
        sent[..4].copy_from_slice(&round.to_le_bytes());
        let begin = Instant::now();
        socket
            .send_to(&sent[..size], host)
            .await
            .expect("a route to the host");
        loop {
            let answer = with_timeout(Duration::from_millis(500), socket.recv_from(&mut got));
            match answer.await {
                Ok(Ok((len, _))) if got[..4] == sent[..4] => {
                    assert_eq!(got[..len], sent[..size], "the echo is what was sent");
                    let took = begin.elapsed().as_micros();
                    (shortest, sum) = (shortest.min(took), sum + took);
                    break;
                }
                // The late echo of an earlier round.
                Ok(_) => {}
                Err(_) => {
                    lost += 1;
                    break;
                }
            }
        }
    }
    let answered = ROUNDS - lost;
    assert!(answered > ROUNDS / 2, "{lost} of {ROUNDS} echoes lost");
    println!(
        "{size} bytes: {answered} echoes in {} ms, shortest {shortest} us, mean {} us, {lost} lost",
        start.elapsed().as_millis(),
        sum / u64::from(answered)
    );
}
