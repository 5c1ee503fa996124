//! The firmware: the LwM2M client on this board.
#![no_std]
#![no_main]

#[cfg_attr(feature = "temperature", path = "temperature.rs")]
mod application;
mod node;

use board::flash::Flash;
use board::launch::{self, Launch};
use board::random::Random;
use board::{executor, net, println, retained, semihosting, stack};
use embassy_executor::Spawner;
use embassy_time::Timer;
use static_cell::StaticCell;

#[cortex_m_rt::entry]
fn main() -> ! {
    board::init();
    let launch = launch::read().unwrap_or_else(|error| {
        println!("{error}");
        semihosting::exit(false)
    });
    static LAUNCH: StaticCell<Launch<'static>> = StaticCell::new();
    let launch: &Launch<'_> = LAUNCH.init(launch);
    let (retained, known) = retained::take();
    let boots = retained.boots;
    println!(
        "tinsmith {} start {boots} as {}",
        env!("CARGO_PKG_VERSION"),
        launch.endpoint
    );
    let mut random = Random::new(launch.seed, boots);
    let mut flash = Flash::mount(retained, known);
    flash.cut_after(launch.cut);
    executor::run(|spawner| start(spawner, launch, flash, &mut random))
}

#[inline(never)]
fn start(spawner: Spawner, launch: &'static Launch<'static>, flash: Flash, random: &mut Random) {
    let network = net::start(spawner, random.next_u64());
    let random = Random::new(launch.seed, random.next_u32());
    let socket = net::socket(network, node::PORT);
    let node = node::Node { flash, random };
    spawner.spawn(node::run(network, socket, launch, node).expect("one node"));
    if launch.seconds > 0 {
        spawner.spawn(leave(launch.seconds).expect("one end"));
    }
}

#[embassy_executor::task]
async fn leave(seconds: u32) {
    Timer::after_secs(u64::from(seconds)).await;
    println!("{seconds} s are over; {} bytes of stack", stack::peak());
    semihosting::exit(true)
}
