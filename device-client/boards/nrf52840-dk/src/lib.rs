//! What the firmware has that can be tested without the board.
#![cfg_attr(not(test), no_std)]

pub mod ecb;
#[cfg(target_os = "none")]
pub mod registers;
