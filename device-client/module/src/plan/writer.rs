//! Writing the fields of a record.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::reader::{CONST, Layout, STRIDED, WIDE};
use super::{Clamp, View, Window};
use crate::build::BuildError;
use crate::numerics::Multiplier;

/// The section CONST; equal constants are stored once.
#[derive(Debug, Default)]
pub(crate) struct Consts {
    pub(crate) bytes: Vec<u8>,
    known: BTreeMap<Vec<u8>, u32>,
}

impl Consts {
    const ALIGN: usize = 4;

    fn add(&mut self, constant: Vec<u8>) -> Result<u32, BuildError> {
        if let Some(&at) = self.known.get(&constant) {
            return Ok(at);
        }
        self.bytes
            .resize(self.bytes.len().next_multiple_of(Self::ALIGN), 0);
        let at =
            u32::try_from(self.bytes.len()).map_err(|_| BuildError::TooLarge("the constants"))?;
        self.bytes.extend_from_slice(&constant);
        self.known.insert(constant, at);
        Ok(at)
    }
}

/// The payload of a record.
pub(crate) struct Writer<'c> {
    pub(crate) bytes: Vec<u8>,
    /// Version of the record: 2 if it has a dimension above 65,535.
    pub(crate) version: u16,
    consts: &'c mut Consts,
}

impl<'c> Writer<'c> {
    pub(crate) fn new(consts: &'c mut Consts) -> Self {
        Writer {
            bytes: Vec::new(),
            version: 1,
            consts,
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.bytes.push(value as u8);
    }

    pub(crate) fn u16(&mut self, value: u32, what: &'static str) -> Result<(), BuildError> {
        let value = u16::try_from(value).map_err(|_| BuildError::TooLarge(what))?;
        self.bytes.extend_from_slice(&value.to_le_bytes());
        Ok(())
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }

    pub(crate) fn view(&mut self, view: &View) -> Result<(), BuildError> {
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
    pub(crate) fn dimensions(&mut self, shape: &[u32; 3]) {
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

    pub(crate) fn constant(&mut self, layout: Layout, bytes: Vec<u8>) -> Result<(), BuildError> {
        let at = self.consts.add(bytes)?;
        self.u8(CONST);
        self.u8(layout as u8);
        self.zeros(2);
        self.u32(at);
        Ok(())
    }

    pub(crate) fn weights(&mut self, layout: Layout, weights: &[i8]) -> Result<(), BuildError> {
        self.constant(layout, weights.iter().map(|&w| w as u8).collect())
    }

    /// The channel table; `sums` are the sums of each channel's weights, which the bias is folded
    /// with (N5).
    pub(crate) fn channels(
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
        self.constant(Layout::Channels, bytes)
    }

    pub(crate) fn window(&mut self, window: &Window) -> Result<(), BuildError> {
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

    pub(crate) fn clamp(&mut self, clamp: &Clamp) {
        self.i8(clamp.zero_point);
        self.i8(clamp.low);
        self.i8(clamp.high);
    }

    pub(crate) fn multiplier(&mut self, multiplier: Multiplier) {
        self.i32(multiplier.q);
        self.u8(multiplier.t);
        self.zeros(3);
    }
}
