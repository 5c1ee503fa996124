//! What this emulation must remember over a reset and a real part would not have to: whether the
//! flash was ever formatted, and which of its write units are programmed.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::layout::{FLASH_BYTES, WRITE_UNIT};

/// Words of a bitmap with one bit for each write unit.
pub const BITMAP_WORDS: usize = (FLASH_BYTES / WRITE_UNIT).div_ceil(32);

/// Says that the rest is meaningful: "flash v1" for this layout.
const MAGIC: [u32; 2] = [0x666c_7368, FLASH_BYTES as u32];

/// The retained memory.
#[repr(C)]
pub struct Retained {
    magic: [u32; 2],
    /// Starts of the firmware since the flash was formatted.
    pub boots: u32,
    /// The power cut that was made last (see [`crate::launch::Launch::cut`]).
    pub cut: u32,
    /// A bit is set if its write unit was programmed since it was erased.
    pub programmed: [u32; BITMAP_WORDS],
}

#[repr(transparent)]
struct Place(UnsafeCell<MaybeUninit<Retained>>);

// SAFETY: only `take` touches it, once.
unsafe impl Sync for Place {}

#[unsafe(link_section = ".retained")]
static PLACE: Place = Place(UnsafeCell::new(MaybeUninit::uninit()));

/// The retained memory, and whether it holds what an earlier start left; if not it is zero.
///
/// # Panics
/// If called twice.
pub fn take() -> (&'static mut Retained, bool) {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    assert!(
        !TAKEN.swap(true, Ordering::AcqRel),
        "retained memory taken twice"
    );
    // SAFETY: the only reference, as TAKEN says. Every bit pattern is a `Retained`; the memory is
    // RAM that QEMU fills with zeros, so it is initialised though Rust did not do it.
    let retained = unsafe { (*PLACE.0.get()).assume_init_mut() };
    let known = retained.magic == MAGIC;
    if !known {
        retained.programmed.fill(0);
        retained.boots = 0;
        retained.cut = 0;
        retained.magic = MAGIC;
    }
    retained.boots = retained.boots.wrapping_add(1);
    (retained, known)
}
