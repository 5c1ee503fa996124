//! The LwM2M client on an nRF52840-DK: Ethernet over USB (CDC-NCM), an address by DHCP.
#![no_std]
#![no_main]

use core::panic::PanicInfo;

use board::ecb::Ecb;
use board::registers::Hardware;
use cortex_m::peripheral::SCB;
use embassy_executor::Spawner;
use embassy_net::StackResources;
use embassy_nrf::config::HfclkSource;
use embassy_nrf::nvmc::Nvmc;
use embassy_nrf::rng::Rng;
use embassy_nrf::usb::vbus_detect::HardwareVbusDetect;
use embassy_nrf::usb::{self, Driver};
use embassy_nrf::{bind_interrupts, pac, peripherals};
use embassy_usb::class::cdc_ncm::embassy_net::{
    Device as NcmDevice, Runner as NcmRunner, State as NcmState,
};
use embassy_usb::class::cdc_ncm::{CdcNcmClass, State as ClassState};
use embassy_usb::{Builder, UsbDevice};
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

/// Of an Ethernet frame.
const MTU: usize = 1514;

type UsbDriver = Driver<'static, HardwareVbusDetect>;

bind_interrupts!(struct Irqs {
    USBD => usb::InterruptHandler<peripherals::USBD>;
    CLOCK_POWER => usb::vbus_detect::InterruptHandler;
});

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    static MEMORY: ConstStaticCell<ClientMemory<{ layout::ARENA_BYTES }, 2, 16>> =
        ConstStaticCell::new(ClientMemory::new());
    static AES: StaticCell<Ecb<Hardware>> = StaticCell::new();
    static RESOURCES: StaticCell<StackResources<3>> = StaticCell::new();
    let mut config = embassy_nrf::config::Config::default();
    // USB needs the crystal.
    config.hfclk_source = HfclkSource::ExternalXtal;
    let p = embassy_nrf::init(config);
    let mut rng = Rng::new_blocking(p.RNG);
    let nic = ethernet(
        spawner,
        Driver::new(p.USBD, Irqs, HardwareVbusDetect::new(Irqs)),
    );
    let config = embassy_net::Config::dhcpv4(embassy_net::DhcpConfig::default());
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(nic, config, resources, rng.blocking_next_u64());
    spawner.spawn(net_task(runner).expect("one network task"));
    let mapped = (layout::FLASH_START, layout::FLASH_BYTES);
    let random = move || rng.blocking_next_u32();
    let aes = AES.init_with(|| Ecb::new(Hardware));
    // SAFETY: flash that the linker script leaves free, and that only this driver writes.
    let mut board = unsafe {
        let (flash, offset) = (Nvmc::new(p.NVMC), layout::FLASH_START as u32);
        Part::new(flash, offset, mapped, random, aes, SCB::sys_reset)
    };
    let memory = MEMORY.take().memory();
    DEVICE
        .run(stack, memory, &mut board, &mut NoApplication)
        .await;
}

/// The device's end of an Ethernet over USB; both addresses are made of the part's own.
fn ethernet(spawner: Spawner, driver: UsbDriver) -> NcmDevice<'static, MTU> {
    static CONFIG: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    static BOS: ConstStaticCell<[u8; 256]> = ConstStaticCell::new([0; 256]);
    static CONTROL: ConstStaticCell<[u8; 128]> = ConstStaticCell::new([0; 128]);
    static CLASS: StaticCell<ClassState<'static>> = StaticCell::new();
    static NET: StaticCell<NcmState<MTU, 4, 4>> = StaticCell::new();
    let mut config = embassy_usb::Config::new(0xc0de, 0xcafe);
    config.manufacturer = Some("Tinsmith");
    config.product = Some("LwM2M client");
    config.max_power = 100;
    let (descriptors, control) = (CONFIG.take(), CONTROL.take());
    let mut builder = Builder::new(driver, config, descriptors, BOS.take(), &mut [], control);
    let state = CLASS.init_with(ClassState::new);
    let class = CdcNcmClass::new(&mut builder, state, address(0), 64);
    spawner.spawn(usb_task(builder.build()).expect("one USB task"));
    let (runner, nic) = class.into_embassy_net_device(NET.init_with(NcmState::new), address(1));
    spawner.spawn(ncm_task(runner).expect("one Ethernet task"));
    nic
}

/// A locally administered address of this part, for one of the two ends.
fn address(end: u8) -> [u8; 6] {
    let [a, b, c, d] = pac::FICR.deviceid(0).read().to_le_bytes();
    [2, a, b, c, d, end]
}

#[embassy_executor::task]
async fn usb_task(mut device: UsbDevice<'static, UsbDriver>) -> ! {
    device.run().await
}

#[embassy_executor::task]
async fn ncm_task(runner: NcmRunner<'static, UsbDriver, MTU>) -> ! {
    runner.run().await
}

#[embassy_executor::task]
async fn net_task(mut runner: embassy_net::Runner<'static, NcmDevice<'static, MTU>>) -> ! {
    runner.run().await
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
