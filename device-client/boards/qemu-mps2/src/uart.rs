//! The console: CMSDK UART 0, transmit only.

use core::fmt;

use crate::mmio::Register;

// SAFETY: the registers of UART 0.
const DATA: Register = unsafe { Register::at(0x4000_4000) };
// SAFETY: as above.
const STATE: Register = unsafe { Register::at(0x4000_4004) };
// SAFETY: as above.
#[cfg(feature = "drivers")]
const CTRL: Register = unsafe { Register::at(0x4000_4008) };
// SAFETY: as above.
#[cfg(feature = "drivers")]
const BAUDDIV: Register = unsafe { Register::at(0x4000_4010) };

const STATE_TX_FULL: u32 = 1;
#[cfg(feature = "drivers")]
const CTRL_TX_ENABLE: u32 = 1;
/// The smallest divider the device accepts; QEMU's back end has no line speed.
#[cfg(feature = "drivers")]
const FASTEST: u32 = 16;

/// The console as a writer.
pub struct Uart;

#[cfg(feature = "drivers")]
pub(crate) fn init() {
    BAUDDIV.write(FASTEST);
    CTRL.write(CTRL_TX_ENABLE);
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while STATE.read() & STATE_TX_FULL != 0 {}
            DATA.write(u32::from(byte));
        }
        Ok(())
    }
}

/// Prints a line on the console; nothing with the feature `quiet`.
#[cfg(not(feature = "quiet"))]
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        use core::fmt::Write as _;
        // The console has no way to fail.
        let _ = writeln!($crate::Uart, $($arg)*);
    }};
}

/// Prints a line on the console; nothing with the feature `quiet`.
#[cfg(feature = "quiet")]
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => {{
        // Named, so that what is printed counts as used, but never formatted.
        let _ = || format_args!($($arg)*).as_str().is_some();
    }};
}
