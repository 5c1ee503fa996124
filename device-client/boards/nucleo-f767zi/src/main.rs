//! The LwM2M client on a NUCLEO-F767ZI: its Ethernet, an address by DHCP.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use cortex_m::peripheral::SCB;
use embassy_executor::Spawner;
use embassy_net::StackResources;
use embassy_stm32::eth::{self, Ethernet, GenericPhy, PacketQueue, Sma};
use embassy_stm32::flash::Flash;
use embassy_stm32::peripherals::{ETH, ETH_SMA, RNG};
use embassy_stm32::rng::{self, Rng};
use embassy_stm32::time::Hertz;
use embassy_stm32::{bind_interrupts, rcc, uid};
use lwm2m_objects::{Path, Value};
use static_cell::{ConstStaticCell, StaticCell};
use tinsmith_client::{FlashLayout, Region};
use tinsmith_embassy::{ClientMemory, Device, NoApplication, Part};
use tinsmith_module::format::isa;

mod layout {
    //! Where things are, as the target file says.
    #![allow(dead_code, unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/layout.rs"));
}

mod settings {
    //! Who the device is.
    #![allow(unreachable_pub)]
    include!(concat!(env!("OUT_DIR"), "/settings.rs"));
}

const CAPABILITY: &[(Path, Value<'static>)] = include!(concat!(env!("OUT_DIR"), "/capability.rs"));
const LAYOUT: FlashLayout = include!(concat!(env!("OUT_DIR"), "/flash.rs"));

const DEVICE: Device = Device {
    endpoint: settings::ENDPOINT,
    bootstrap: settings::BOOTSTRAP,
    identity: settings::IDENTITY,
    key: settings::KEY,
    platform_name: layout::PLATFORM_NAME,
    capability: &CAPABILITY,
    module_class: layout::MODULE_CLASS,
    layout: LAYOUT,
    stack_bytes: 8192,
    instruction_sets: isa::THUMB | isa::THUMB2 | isa::DSP | isa::FP_SINGLE,
};

/// Frames that wait, in each direction.
const FRAMES: usize = 4;

type Nic = Ethernet<'static, ETH, GenericPhy<Sma<'static, ETH_SMA>>>;

bind_interrupts!(struct Irqs {
    ETH => eth::InterruptHandler;
    RNG => rng::InterruptHandler<RNG>;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static MEMORY: ConstStaticCell<ClientMemory<{ layout::ARENA_BYTES }, 2, 16>> =
        ConstStaticCell::new(ClientMemory::new());
    static FRAME_QUEUE: StaticCell<PacketQueue<FRAMES, FRAMES>> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let p = embassy_stm32::init(clocks());
    let mut rng = Rng::new(p.RNG, Irqs);
    let nic = Ethernet::new(
        FRAME_QUEUE.init_with(PacketQueue::new),
        p.ETH,
        Irqs,
        p.PA1,
        p.PA7,
        p.PC4,
        p.PC5,
        p.PG13,
        p.PB13,
        p.PG11,
        address(),
        p.ETH_SMA,
        p.PA2,
        p.PC1,
    );
    let config = embassy_net::Config::dhcpv4(embassy_net::DhcpConfig::default());
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(nic, config, resources, rng.next_u64());
    spawner.spawn(net_task(runner).expect("one network task"));
    let mapped = (layout::FLASH_START, layout::FLASH_BYTES);
    let flash = Flash::new_blocking(p.FLASH);
    // SAFETY: the client writes to those parts of the flash only that the linker script leaves free,
    // and nobody else writes.
    let mut board = unsafe { Part::new(flash, 0, mapped, move || rng.next_u32(), SCB::sys_reset) };
    let memory = MEMORY.take().memory();
    DEVICE
        .run(stack, memory, &mut board, &mut NoApplication)
        .await;
}

/// 216 MHz from the 8 MHz that the ST-LINK gives, and 48 MHz for random numbers.
fn clocks() -> embassy_stm32::Config {
    use rcc::{
        AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllQDiv,
        PllSource, Sysclk,
    };
    let mut config = embassy_stm32::Config::default();
    config.rcc.hse = Some(Hse {
        freq: Hertz(8_000_000),
        mode: HseMode::Bypass,
    });
    config.rcc.pll_src = PllSource::HSE;
    config.rcc.pll = Some(Pll {
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL216,
        divp: Some(PllPDiv::DIV2),
        divq: Some(PllQDiv::DIV9),
        divr: None,
    });
    config.rcc.ahb_pre = AHBPrescaler::DIV1;
    config.rcc.apb1_pre = APBPrescaler::DIV4;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.sys = Sysclk::PLL1_P;
    config
}

/// A locally administered address of this part.
fn address() -> [u8; 6] {
    let [a, b, c, d, e, ..] = uid::uid();
    [2, a, b, c, d, e]
}

#[embassy_executor::task]
async fn net_task(mut runner: embassy_net::Runner<'static, Nic>) -> ! {
    runner.run().await
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
