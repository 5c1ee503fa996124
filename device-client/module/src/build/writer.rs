//! Writing the fields of a record.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::BuildError;
use crate::format::record::{CONST, Layout, STRIDED, WIDE};
use crate::numerics::Multiplier;
use crate::plan::{Clamp, View, Window};

/// The section CONST or CODE; equal parts are stored once.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) bytes: Vec<u8>,
    known: BTreeMap<Vec<u8>, u32>,
}

impl Pool {
    const ALIGN: usize = 4;

    fn add(&mut self, part: &[u8], what: &'static str) -> Result<u32, BuildError> {
        if let Some(&at) = self.known.get(part) {
            return Ok(at);
        }
        self.bytes
            .resize(self.bytes.len().next_multiple_of(Self::ALIGN), 0);
        let at = u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge(what))?;
        self.bytes.extend_from_slice(part);
        self.known.insert(part.to_vec(), at);
        Ok(at)
    }
}

/// What records refer to.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub(super) consts: Pool,
    pub(super) code: Pool,
}

/// The payload of a record.
pub(super) struct Writer<'c> {
    pub(super) bytes: Vec<u8>,
    /// Version of the record: 2 if it has a dimension above 65,535.
    pub(super) version: u16,
    pools: &'c mut Pools,
}

impl<'c> Writer<'c> {
    pub(super) fn new(pools: &'c mut Pools) -> Self {
        Writer {
            bytes: Vec::new(),
            version: 1,
            pools,
        }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.push(value as u8);
    }

    pub(super) fn u16(&mut self, value: u32, what: &'static str) -> Result<(), BuildError> {
        let value = u16::try_from(value).map_err(|_| BuildError::TooLarge(what))?;
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    pub(super) fn view(&mut self, view: &View) -> Result<(), BuildError> {
        let plain = view.row_stride as usize == view.row_bytes() && view.ring == view.height;
        let dimensions = [view.height, view.width, view.channels];
        let wide = dimensions.iter().any(|&d| d > u32::from(u16::MAX));
        self.u8(view.segment);
        self.u8(if plain { 0 } else { STRIDED } | if wide { WIDE } else { 0 });
        if wide {
            self.version = 2;
            self.zeros(2);
            dimensions.into_iter().for_each(|d| self.u32(d));
        } else {
            for dimension in dimensions {
                self.u16(dimension, "a dimension")?;
            }
        }
        self.u32(view.offset);
        if !plain {
            self.u32(view.row_stride);
            if wide {
                self.u32(view.ring);
            } else {
                self.u16(view.ring, "a ring")?;
                self.zeros(2);
            }
        }
        Ok(())
    }

    /// Three dimensions: their lower halves, then their upper ones.
    pub(super) fn dimensions(&mut self, shape: &[u32; 3]) {
        for half in [0, 16] {
            for &dimension in shape {
                self.bytes
                    .extend_from_slice(&((dimension >> half) as u16).to_le_bytes());
            }
        }
        if shape.iter().any(|&d| d > u32::from(u16::MAX)) {
            self.version = 2;
        }
    }

    pub(super) fn constant(&mut self, layout: Layout, bytes: &[u8]) -> Result<(), BuildError> {
        let at = self.pools.consts.add(bytes, "the constants")?;
        self.u8(CONST);
        self.u8(layout as u8);
        self.zeros(2);
        self.u32(at);
        Ok(())
    }

    /// Where code lies in its section.
    pub(super) fn code(&mut self, code: &[u8]) -> Result<(), BuildError> {
        let at = self.pools.code.add(code, "the code")?;
        self.u32(at);
        Ok(())
    }

    pub(super) fn weights(&mut self, layout: Layout, weights: &[i8]) -> Result<(), BuildError> {
        let bytes: Vec<u8> = weights.iter().map(|&w| w as u8).collect();
        self.constant(layout, &bytes)
    }

    /// The channel table; `sums` are the sums of each channel's weights, which the bias is folded
    /// with (N5).
    pub(super) fn channels(
        &mut self,
        bias: &[i32],
        multipliers: &[Multiplier],
        sums: &[i64],
        input_zero_point: i8,
    ) -> Result<(), BuildError> {
        if bias.len() != sums.len() || multipliers.len() != sums.len() {
            return Err(BuildError::Shape(
                "one bias and multiplier per output channel",
            ));
        }
        let mut bytes = Vec::with_capacity(sums.len() * 9);
        for (&b, &sum) in bias.iter().zip(sums) {
            let folded = i64::from(b) - i64::from(input_zero_point) * sum;
            let folded =
                i32::try_from(folded).map_err(|_| BuildError::TooLarge("a folded bias"))?;
            bytes.extend_from_slice(&folded.to_le_bytes());
        }
        for m in multipliers {
            bytes.extend_from_slice(&m.q.to_le_bytes());
        }
        bytes.extend(multipliers.iter().map(|m| m.t));
        self.constant(Layout::Channels, &bytes)
    }

    pub(super) fn window(&mut self, window: &Window) -> Result<(), BuildError> {
        for value in [
            window.kernel_height,
            window.kernel_width,
            window.stride_y,
            window.stride_x,
            window.dilation_y,
            window.dilation_x,
            window.pad_top,
            window.pad_left,
        ] {
            self.u16(value, "a window")?;
        }
        Ok(())
    }

    pub(super) fn clamp(&mut self, clamp: &Clamp) {
        self.i8(clamp.zero_point);
        self.i8(clamp.low);
        self.i8(clamp.high);
    }

    pub(super) fn multiplier(&mut self, multiplier: Multiplier) {
        self.i32(multiplier.q);
        self.u8(multiplier.t);
        self.zeros(3);
    }
}
