//! Reading the fields of a record.

use super::{Problem, Span, Window};
use crate::format::header::Segments;
use crate::format::record::{CONST, HWO_4, Layout, OHWI_4, STRIDED, WIDE};
use crate::numerics::Multiplier;

/// Zero point and clamp of an output tensor (N2, N6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clamp {
    /// Zero point of the output.
    pub zero_point: i8,
    /// Lowest stored value, from the fused activation; -128 without one.
    pub low: i8,
    /// Highest stored value, from the fused activation; 127 without one.
    pub high: i8,
}

impl Clamp {
    /// The whole range of int8.
    pub const fn full(zero_point: i8) -> Clamp {
        Clamp {
            zero_point,
            low: -128,
            high: 127,
        }
    }

    /// `clamp(zo + rq(acc), lo, hi)` (N2).
    #[inline(always)]
    pub(crate) fn requantize(self, acc: i32, multiplier: Multiplier) -> u8 {
        // Whatever lies beyond 16 bits is clamped anyway, and zero points cannot bring it back.
        let value = multiplier.apply_within(acc, 1 << 15) + i32::from(self.zero_point);
        value.max(i32::from(self.low)).min(i32::from(self.high)) as u8
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.low <= self.high {
            Ok(())
        } else {
            Err(Problem::Clamp)
        }
    }
}

/// Folded bias and multiplier of each output channel, as stored.
#[derive(Debug, Clone, Copy)]
pub struct Channels<'m> {
    bias: &'m [[u8; 4]],
    q: &'m [[u8; 4]],
    t: &'m [u8],
}

impl<'m> Channels<'m> {
    pub(crate) const BYTES: usize = 9;

    /// `bq - zi * sum(wq)` of channel `c` (N5).
    #[inline]
    pub fn bias(&self, c: usize) -> i32 {
        i32::from_le_bytes(self.bias[c])
    }

    /// Multiplier of channel `c`.
    #[inline]
    pub fn multiplier(&self, c: usize) -> Multiplier {
        Multiplier {
            q: i32::from_le_bytes(self.q[c]),
            t: self.t[c],
        }
    }

    /// The biases of `N` channels from `c`.
    #[inline(always)]
    pub(crate) fn biases<const N: usize>(&self, c: usize) -> [i32; N] {
        let bias = &self.bias[c..c + N];
        core::array::from_fn(|i| i32::from_le_bytes(bias[i]))
    }

    /// Requantizes the sums of `N` channels from `c`.
    #[inline(always)]
    pub(crate) fn requantize<const N: usize>(
        &self,
        c: usize,
        sums: &[i32; N],
        clamp: Clamp,
        out: &mut [u8; N],
    ) {
        let (q, t) = (&self.q[c..c + N], &self.t[c..c + N]);
        for i in 0..N {
            let multiplier = Multiplier {
                q: i32::from_le_bytes(q[i]),
                t: t[i],
            };
            out[i] = clamp.requantize(sums[i], multiplier);
        }
    }

    pub(crate) fn check(&self) -> Result<(), Problem> {
        if (0..self.t.len()).all(|c| self.multiplier(c).is_valid()) {
            Ok(())
        } else {
            Err(Problem::Multiplier)
        }
    }
}

/// What records refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'m> {
    /// Segments of the arena.
    pub(crate) segments: Segments<'m>,
    /// The section CONST.
    pub(crate) consts: &'m [u8],
    /// The section CODE.
    pub(crate) code: &'m [u8],
}

/// A cursor over the payload of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'m> {
    bytes: &'m [u8],
    context: &'m Context<'m>,
    version: u16,
}

impl<'m> Reader<'m> {
    /// A cursor over a record of this version.
    pub(crate) fn new(bytes: &'m [u8], context: &'m Context<'m>, version: u16) -> Self {
        Reader {
            bytes,
            context,
            version,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (head, tail) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or(Problem::Truncated)?;
        self.bytes = tail;
        Ok(*head)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Problem> {
        Ok(self.take::<1>()?[0])
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Problem> {
        Ok(self.u8()? as i8)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Problem> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Problem> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Problem> {
        Ok(i32::from_le_bytes(self.take()?))
    }

    pub(crate) fn zeros(&mut self, count: usize) -> Result<(), Problem> {
        for _ in 0..count {
            if self.u8()? != 0 {
                return Err(Problem::Reserved);
            }
        }
        Ok(())
    }

    /// The record has been read to its end; up to 3 zero bytes pad it to a multiple of 4.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        if self.bytes.len() > 3 {
            return Err(Problem::TrailingBytes);
        }
        let left = self.bytes.len();
        self.zeros(left)
    }

    pub(crate) const fn version(&self) -> u16 {
        self.version
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Problem> {
        self.bytes = self.bytes.get(count..).ok_or(Problem::Truncated)?;
        Ok(())
    }

    pub(crate) fn is_const(&self) -> bool {
        self.bytes.first() == Some(&CONST)
    }

    fn size(&mut self, wide: bool) -> Result<usize, Problem> {
        Ok(if wide {
            self.u32()? as usize
        } else {
            usize::from(self.u16()?)
        })
    }

    /// A tensor in the arena, inside its segment.
    pub(crate) fn view(&mut self) -> Result<Span, Problem> {
        let segment = self.u8()?;
        let flags = self.u8()?;
        let wide = flags & WIDE != 0;
        if flags & !(STRIDED | WIDE) != 0 || (wide && self.version < 2) {
            return Err(Problem::Reserved);
        }
        if wide {
            self.zeros(2)?;
        }
        let height = self.size(wide)?;
        let width = self.size(wide)?;
        let channels = self.size(wide)?;
        let offset = self.u32()?;
        if height == 0 || width == 0 || channels == 0 {
            return Err(Problem::Zero);
        }
        let row = width as u64 * channels as u64;
        let mut stride = row;
        if flags & STRIDED != 0 {
            stride = u64::from(self.u32()?);
            let ring = self.size(wide)?;
            if !wide {
                self.zeros(2)?;
            }
            // Every record works on whole tensors so far.
            if ring != height {
                return Err(Problem::Ring);
            }
        }
        if stride < row {
            return Err(Problem::RowStride);
        }
        let size = self
            .context
            .segments
            .size(segment)
            .ok_or(Problem::NoSegment)?;
        let end = (height as u64 - 1)
            .checked_mul(stride)
            .and_then(|rows| rows.checked_add(row))
            .and_then(|extent| extent.checked_add(u64::from(offset)));
        if end.is_none_or(|end| end > u64::from(size)) {
            return Err(Problem::OutsideSegment);
        }
        Ok(Span {
            segment,
            start: offset as usize,
            height,
            width,
            channels,
            row_stride: stride as usize,
            ring: height,
        })
    }

    /// A constant of `length` bytes.
    pub(crate) fn constant(&mut self, layout: Layout, length: u64) -> Result<&'m [u8], Problem> {
        if self.u8()? != CONST {
            return Err(Problem::Layout);
        }
        match self.u8()? {
            stored if stored == layout as u8 => {}
            OHWI_4 | HWO_4 => return Err(Problem::FourBits),
            _ => return Err(Problem::Layout),
        }
        self.zeros(2)?;
        let start = self.u32()? as usize;
        let length = usize::try_from(length).map_err(|_| Problem::OutsideConst)?;
        self.context
            .consts
            .get(start..)
            .and_then(|rest| rest.get(..length))
            .ok_or(Problem::OutsideConst)
    }

    /// What of the section CODE lies at an offset and behind it.
    pub(crate) fn code(&mut self) -> Result<&'m [u8], Problem> {
        let start = self.u32()? as usize;
        let code = self.context.code.get(start..);
        code.filter(|code| !code.is_empty())
            .ok_or(Problem::OutsideCode)
    }

    pub(crate) fn channels(&mut self, count: usize) -> Result<Channels<'m>, Problem> {
        let length = count as u64 * Channels::BYTES as u64;
        let bytes = self.constant(Layout::Channels, length)?;
        let (words, t) = bytes.split_at(count * 8);
        let (bias, q) = words.as_chunks().0.split_at(count);
        Ok(Channels { bias, q, t })
    }

    pub(crate) fn window(&mut self) -> Result<Window, Problem> {
        let mut field = || self.u16().map(u32::from);
        Ok(Window {
            kernel_height: field()?,
            kernel_width: field()?,
            stride_y: field()?,
            stride_x: field()?,
            dilation_y: field()?,
            dilation_x: field()?,
            pad_top: field()?,
            pad_left: field()?,
        })
    }

    pub(crate) fn clamp(&mut self) -> Result<Clamp, Problem> {
        Ok(Clamp {
            zero_point: self.i8()?,
            low: self.i8()?,
            high: self.i8()?,
        })
    }

    /// `q`, `t` and three zero bytes.
    pub(crate) fn multiplier(&mut self) -> Result<Multiplier, Problem> {
        let multiplier = Multiplier {
            q: self.i32()?,
            t: self.u8()?,
        };
        self.zeros(3)?;
        if multiplier.is_valid() {
            Ok(multiplier)
        } else {
            Err(Problem::Multiplier)
        }
    }
}
