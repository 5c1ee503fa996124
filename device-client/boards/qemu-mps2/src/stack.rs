//! How much of the main stack was ever used.

/// What cortex-m-rt fills the stack with before the start (feature `paint-stack`).
const PAINT: u32 = 0xcccc_cccc;

unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// Bytes of the main stack that were in use at most since the start.
#[must_use]
pub fn peak() -> usize {
    let top = &raw const _stack_start;
    let mut lowest = &raw const _stack_end;
    // SAFETY: the words from the end of the statics to the top of RAM; they are read as they are,
    // and what is above the lowest word ever written is not looked at.
    while lowest < top && unsafe { lowest.read_volatile() } == PAINT {
        lowest = lowest.wrapping_add(1);
    }
    top as usize - lowest as usize
}
