//! The bytes that records are made of.

/// Bit of an operator number: a reader that does not know the operator must refuse the plan.
pub const MUST_UNDERSTAND: u16 = 0x8000;
/// Operator number of running code of the section CODE.
pub const CALL: u16 = 0x40;
/// Operator number reserved for repeating records over rows.
pub const LOOP: u16 = 0x41;
/// Operator number reserved for moving what is kept between steps.
pub const STATE: u16 = 0x42;

/// Segment number of a constant in a record.
pub(crate) const CONST: u8 = 0xff;

/// Flag of a view: a row stride and a ring follow.
pub(crate) const STRIDED: u8 = 1 << 0;
/// Flag of a view, from version 2 of a record on: dimensions have 32 bits.
pub(crate) const WIDE: u8 = 1 << 1;

/// What the bytes of a constant are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Layout {
    /// Plain table, as the operator says.
    Table = 0,
    /// int8, output channel, kernel row, kernel column, input channel.
    Ohwi = 1,
    /// int8, kernel row, kernel column, output channel.
    Hwo = 2,
    /// For C channels: folded bias i32[C], mantissa i32[C], shift u8[C].
    Channels = 3,
    /// int8, channels-last tensor.
    Hwc = 4,
}

/// As [`Layout::Ohwi`] with two weights of 4 bits to a byte; no kernel reads it yet.
pub(crate) const OHWI_4: u8 = 5;
/// As [`Layout::Hwo`] with two weights of 4 bits to a byte; no kernel reads it yet.
pub(crate) const HWO_4: u8 = 6;
