//! Driver of the LAN9118 Ethernet controller (SMSC datasheet revision 1.5), as far as QEMU has it.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::waitqueue::AtomicWaker;

use crate::irq::{self, Irq};
use crate::mmio::Register;

const RX_DATA: Register = register(0x00);
const TX_DATA: Register = register(0x20);
const RX_STATUS: Register = register(0x40);
const TX_STATUS: Register = register(0x48);
const ID_REV: Register = register(0x50);
const IRQ_CFG: Register = register(0x54);
const INT_STS: Register = register(0x58);
const INT_EN: Register = register(0x5c);
const BYTE_TEST: Register = register(0x64);
const FIFO_INT: Register = register(0x68);
const RX_CFG: Register = register(0x6c);
const TX_CFG: Register = register(0x70);
const HW_CFG: Register = register(0x74);
const RX_FIFO_INF: Register = register(0x7c);
const TX_FIFO_INF: Register = register(0x80);
const PMT_CTRL: Register = register(0x84);
const MAC_CSR_CMD: Register = register(0xa4);
const MAC_CSR_DATA: Register = register(0xa8);
const AFC_CFG: Register = register(0xac);

const fn register(offset: usize) -> Register {
    // SAFETY: the device occupies 256 bytes from this address.
    unsafe { Register::at(0x4020_0000 + offset) }
}

/// RX_STS_FIFO level: a frame has arrived.
const INT_RX_STATUS_LEVEL: u32 = 1 << 3;
/// Interrupts on, active high, push-pull. Without the polarity the line is always active.
const IRQ_CFG_ON: u32 = 0x111;
const CSR_BUSY: u32 = 1 << 31;
const CSR_READ: u32 = 1 << 30;
const MAC_CR: u32 = 1;
const MAC_ADDRH: u32 = 2;
const MAC_ADDRL: u32 = 3;
const MII_ACC: u32 = 6;
const MII_DATA: u32 = 7;
/// Address of the internal PHY, in place.
const MII_INTERNAL_PHY: u32 = 1 << 11;
const PHY_BASIC_STATUS: u32 = 1;
const PHY_LINK_UP: u32 = 1 << 2;
const RX_ERROR_SUMMARY: u32 = 1 << 15;

/// Bytes of the frame check sequence, which the receive length includes.
const FCS: usize = 4;
const SMALLEST_FRAME: usize = 14;
const LARGEST_FRAME: usize = 1514;
const BUFFER_WORDS: usize = LARGEST_FRAME.div_ceil(4) + 1;
/// Room in the transmit FIFO for the largest frame and its two commands.
const TX_ROOM: u32 = 1536 + 16;

static WAKER: AtomicWaker = AtomicWaker::new();

/// There is no LAN9118 at its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoChip;

/// The controller.
pub struct Lan9118 {
    mac: [u8; 6],
    rx: [u32; BUFFER_WORDS],
    tx: [u32; BUFFER_WORDS],
}

impl Lan9118 {
    /// Before [`init`](Self::init).
    #[must_use]
    pub const fn new() -> Self {
        Self {
            mac: [0; 6],
            rx: [0; BUFFER_WORDS],
            tx: [0; BUFFER_WORDS],
        }
    }

    /// Resets the controller and switches it on.
    ///
    /// # Errors
    /// It is not there.
    pub fn init(&mut self) -> Result<(), NoChip> {
        // The first read after power-up may be garbage.
        BYTE_TEST.read();
        if BYTE_TEST.read() != 0x8765_4321 || ID_REV.read() >> 16 != 0x0118 {
            return Err(NoChip);
        }
        wait_ready();
        INT_EN.write(0);
        HW_CFG.write(1);
        while HW_CFG.read() & 1 != 0 {}
        wait_ready();
        // 5 KiB transmit FIFO, store and forward.
        HW_CFG.write(5 << 16 | 1 << 20);
        AFC_CFG.write(0x006e_3740);
        IRQ_CFG.write(IRQ_CFG_ON);
        INT_STS.write(u32::MAX);
        // Receive status level 0: interrupt when there is more than none.
        FIFO_INT.write(0x4800_0000);
        RX_CFG.write(0);
        let (low, high) = (
            mac_read(MAC_ADDRL).to_le_bytes(),
            mac_read(MAC_ADDRH).to_le_bytes(),
        );
        self.mac = [low[0], low[1], low[2], low[3], high[0], high[1]];
        TX_CFG.write(1 << 1);
        // Full duplex, transmitter, receiver.
        mac_write(MAC_CR, 1 << 20 | 1 << 3 | 1 << 2);
        irq::enable(Irq::Ethernet);
        INT_EN.write(INT_RX_STATUS_LEVEL);
        Ok(())
    }

    fn can_transmit() -> bool {
        while TX_FIFO_INF.read() >> 16 & 0xff != 0 {
            TX_STATUS.read();
        }
        TX_FIFO_INF.read() & 0xffff >= TX_ROOM
    }

    /// Takes the next good frame out of the FIFO; its length without frame check sequence.
    fn take_frame(&mut self) -> Option<usize> {
        while RX_FIFO_INF.read() >> 16 & 0xff != 0 {
            let status = RX_STATUS.read();
            let len = (status >> 16 & 0x3fff) as usize;
            // Also for a bad frame every word is read: QEMU's fast forward is broken.
            for i in 0..len.div_ceil(4) {
                let word = RX_DATA.read();
                if let Some(place) = self.rx.get_mut(i) {
                    *place = word;
                }
            }
            let frame = len.saturating_sub(FCS);
            let good = status & RX_ERROR_SUMMARY == 0;
            if good && (SMALLEST_FRAME..=LARGEST_FRAME).contains(&frame) {
                return Some(frame);
            }
        }
        None
    }
}

impl Default for Lan9118 {
    fn default() -> Self {
        Self::new()
    }
}

fn wait_ready() {
    while PMT_CTRL.read() & 1 == 0 {}
}

fn mac_wait() {
    while MAC_CSR_CMD.read() & CSR_BUSY != 0 {}
}

fn mac_read(register: u32) -> u32 {
    mac_wait();
    MAC_CSR_CMD.write(CSR_BUSY | CSR_READ | register);
    mac_wait();
    MAC_CSR_DATA.read()
}

fn mac_write(register: u32, value: u32) {
    mac_wait();
    MAC_CSR_DATA.write(value);
    MAC_CSR_CMD.write(CSR_BUSY | register);
    mac_wait();
}

fn phy_read(register: u32) -> u32 {
    while mac_read(MII_ACC) & 1 != 0 {}
    mac_write(MII_ACC, MII_INTERNAL_PHY | register << 6);
    while mac_read(MII_ACC) & 1 != 0 {}
    mac_read(MII_DATA)
}

#[unsafe(no_mangle)]
extern "C" fn ETHERNET() {
    INT_STS.write(INT_STS.read());
    WAKER.wake();
}

impl Driver for Lan9118 {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
        WAKER.register(cx.waker());
        let len = self.take_frame()?;
        Some((
            RxToken {
                words: &mut self.rx,
                len,
            },
            TxToken {
                words: &mut self.tx,
            },
        ))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<TxToken<'_>> {
        WAKER.register(cx.waker());
        if Self::can_transmit() {
            Some(TxToken {
                words: &mut self.tx,
            })
        } else {
            // Nothing interrupts when the FIFO drains, which in QEMU it has by the next poll.
            cx.waker().wake_by_ref();
            None
        }
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        if phy_read(PHY_BASIC_STATUS) & PHY_LINK_UP != 0 {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = LARGEST_FRAME;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// A frame that has arrived.
pub struct RxToken<'a> {
    words: &'a mut [u32; BUFFER_WORDS],
    len: usize,
}

impl embassy_net_driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(bytes(self.words, self.len))
    }
}

/// Leave to send a frame.
pub struct TxToken<'a> {
    words: &'a mut [u32; BUFFER_WORDS],
}

impl embassy_net_driver::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let result = f(bytes(self.words, len));
        while !Lan9118::can_transmit() {}
        let len = len as u32;
        // First and last segment of one buffer, then the frame's tag and length.
        TX_DATA.write(1 << 13 | 1 << 12 | len);
        TX_DATA.write(len << 16 | len);
        for &word in &self.words[..len.div_ceil(4) as usize] {
            TX_DATA.write(word);
        }
        result
    }
}

fn bytes(words: &mut [u32; BUFFER_WORDS], len: usize) -> &mut [u8] {
    let len = len.min(size_of_val(words));
    // SAFETY: `len` bytes lie in the words, bytes need no alignment, and any bytes are words.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) }
}
