//! The client without network stack and drivers: what `size.py` measures. It is linked, and never
//! run.
//!
//! All that a board does is behind one mailbox in PSRAM: time, random numbers, datagrams and what
//! became of a flash operation. The flash and the arena lie in PSRAM too, so that what is left in
//! RAM is the client's own.
#![no_std]
#![no_main]

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use board::{layout, semihosting};
use lwm2m_objects::{Codec, Path, Value};
use static_cell::{ConstStaticCell, StaticCell};
use tinsmith_client::{
    Buffers, Client, Config, Factory, FlashError, FlashLayout, FlashRead, Input, Memory, Now,
    Observation, Output, Platform, Region, Scheme, Session,
};
#[cfg(not(feature = "kernels"))]
use tinsmith_module::{Kernel, kernels::table};

const SESSIONS: usize = 2;
const OBSERVATIONS: usize = 16;
const DATAGRAM: usize = 1152;

const CAPABILITY: &[(Path, Value<'static>)] = include!(concat!(env!("OUT_DIR"), "/capability.rs"));

/// What it verifies signatures of packages with.
const SIGNATURES: &[Scheme] = &[
    #[cfg(feature = "ed25519")]
    Scheme::ED25519,
    #[cfg(feature = "es256")]
    Scheme::ES256,
];

/// By ascending number, as Register tells them.
const FORMATS: &[Codec] = &[
    #[cfg(feature = "text-floats")]
    Codec::TEXT,
    #[cfg(not(feature = "text-floats"))]
    Codec::TEXT_WITHOUT_FLOATS,
    Codec::OPAQUE,
    #[cfg(all(feature = "cbor", feature = "decimals"))]
    Codec::CBOR,
    #[cfg(all(feature = "cbor", not(feature = "decimals")))]
    Codec::CBOR_WITHOUT_DECIMALS,
    #[cfg(feature = "senml-json")]
    Codec::SENML_JSON,
    #[cfg(feature = "decimals")]
    Codec::SENML_CBOR,
    #[cfg(not(feature = "decimals"))]
    Codec::SENML_CBOR_WITHOUT_DECIMALS,
    #[cfg(feature = "tlv")]
    Codec::TLV,
];

#[cfg(feature = "kernels")]
use tinsmith_module::kernels::ALL as KERNELS;
#[cfg(not(feature = "kernels"))]
const KERNELS: &[&Kernel] = &[
    &table::CONV2D,
    &table::DEPTHWISE_CONV,
    &table::FULLY_CONNECTED,
    &table::ADD,
    &table::MAX_POOL,
    &table::AVERAGE_POOL,
    &table::SOFTMAX,
    &table::LOOKUP,
];

const LAYOUT: FlashLayout = include!(concat!(env!("OUT_DIR"), "/flash.rs"));

/// Words of the mailbox.
#[derive(Clone, Copy)]
enum Word {
    Millis,
    Random,
    Received,
    Address,
    Sent,
    FlashOk,
}

/// Behind the arena.
const MAILBOX: usize = layout::FLASH_START + layout::FLASH_BYTES + layout::ARENA_BYTES;

fn read(word: Word) -> u32 {
    // SAFETY: PSRAM that nothing else in this program uses.
    unsafe { ((MAILBOX as *const u32).add(word as usize)).read_volatile() }
}

fn write(word: Word, value: u32) {
    // SAFETY: as above.
    unsafe { ((MAILBOX as *mut u32).add(word as usize)).write_volatile(value) }
}

struct Mailbox;

impl FlashRead for Mailbox {
    fn read(&self, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        if offset.saturating_add(len) > layout::FLASH_BYTES {
            return &[];
        }
        // SAFETY: PSRAM that nobody writes.
        unsafe { core::slice::from_raw_parts((layout::FLASH_START + offset) as *const u8, len) }
    }
}

impl Platform for Mailbox {
    fn micros(&self) -> u64 {
        u64::from(read(Word::Millis)) * 1000
    }

    fn random(&mut self) -> u32 {
        read(Word::Random)
    }
}

fn now() -> Now {
    Now {
        mono: u64::from(read(Word::Millis)),
        wall: 0,
    }
}

fn memory() -> Memory<'static> {
    static SESSION_MEMORY: StaticCell<[Session<'static>; SESSIONS]> = StaticCell::new();
    static OBSERVATION_MEMORY: StaticCell<[Observation; OBSERVATIONS]> = StaticCell::new();
    static BUFFERS: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers::new());
    let arena = (layout::FLASH_START + layout::FLASH_BYTES) as *mut u8;
    Memory {
        sessions: SESSION_MEMORY.init_with(|| core::array::from_fn(|_| Session::new())),
        observations: OBSERVATION_MEMORY.init_with(|| [Observation::EMPTY; OBSERVATIONS]),
        // SAFETY: PSRAM behind the flash, used here only.
        arena: unsafe { core::slice::from_raw_parts_mut(arena, layout::ARENA_BYTES) },
        buffers: BUFFERS.take(),
    }
}

/// The client, made in its place.
#[inline(never)]
fn client(config: Config<'static>) -> &'static mut Client<'static> {
    static CLIENT: StaticCell<Client<'static>> = StaticCell::new();
    CLIENT.init_with(|| Client::new(config, &[], memory()))
}

#[cortex_m_rt::entry]
fn main() -> ! {
    static DATAGRAM_MEMORY: ConstStaticCell<[u8; DATAGRAM]> = ConstStaticCell::new([0; DATAGRAM]);
    let buffer = DATAGRAM_MEMORY.take();
    let config = Config {
        endpoint: "bare",
        factory: Factory::Bootstrap("coap://192.0.2.1:5783"),
        manufacturer: "Tinsmith",
        model_number: layout::PLATFORM_NAME,
        serial_number: "1",
        firmware_version: env!("CARGO_PKG_VERSION"),
        capability: &CAPABILITY,
        formats: FORMATS,
        kernels: KERNELS,
        signatures: SIGNATURES,
        trust_anchors: &[],
        module_class: layout::MODULE_CLASS,
        layout: LAYOUT,
        stack_bytes: layout::MODULE_STACK_BYTES as u32,
        instruction_sets: 0,
    };
    let client = client(config);
    if client.start(now(), &mut Mailbox).is_err() {
        semihosting::exit(false)
    }
    loop {
        while let Some(output) = client.poll(now(), buffer, &mut Mailbox) {
            match output {
                Output::Transmit { to, len } => {
                    write(Word::Address, u32::from(to.port()));
                    write(Word::Sent, len as u32);
                }
                Output::Flash(_) => {
                    let done = if read(Word::FlashOk) == 0 {
                        Ok(())
                    } else {
                        Err(FlashError)
                    };
                    client.handle(now(), Input::FlashDone(done), &mut Mailbox);
                }
                Output::Reboot => semihosting::exit(true),
                Output::Event(_) => {}
            }
        }
        let received = read(Word::Received) as usize;
        let ip = Ipv4Addr::from(read(Word::Address));
        let from = SocketAddr::V4(SocketAddrV4::new(ip, 5683));
        match buffer.get_mut(..received) {
            Some(bytes) if client.next_deadline() > Some(now().mono) => {
                client.receive(now(), from, bytes, &mut Mailbox);
            }
            _ => client.handle(now(), Input::Timer, &mut Mailbox),
        }
    }
}
