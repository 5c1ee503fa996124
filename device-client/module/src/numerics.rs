//! The constants and the rounding that quantized arithmetic is made of (`docs/numerics.md`,
//! N1 to N9). Both the compiler and the engines take them from here.

use core::fmt;

/// A positive real factor as `q * 2^-t`: `q` in `[2^30, 2^31)` or 0, `t` in `[1, 62]` (N2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Multiplier {
    /// Mantissa, in `[2^30, 2^31)`, or 0 for a factor of zero.
    pub q: i32,
    /// Right shift in bits, in `[1, 62]`.
    pub t: u8,
}

/// A scale or factor that the integer arithmetic cannot carry.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FactorError {
    /// Negative, infinite or not a number.
    NotPositive(f64),
    /// So large that the shift would be below 1 bit.
    TooLarge(f64),
}

impl fmt::Display for FactorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FactorError::NotPositive(m) => write!(f, "the factor {m} is not a positive number"),
            FactorError::TooLarge(m) => write!(f, "the factor {m} is too large for a right shift"),
        }
    }
}

impl core::error::Error for FactorError {}

/// `m = f * 2^x` with `f` in `[0.5, 1)`, for finite `m > 0`.
fn frexp(m: f64) -> (f64, i32) {
    const TWO_64: f64 = 18_446_744_073_709_551_616.0;
    let (m, bias) = if m < f64::MIN_POSITIVE {
        (m * TWO_64, 64)
    } else {
        (m, 0)
    };
    let bits = m.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    (fraction, exponent - bias)
}

/// `2^n` for `n` in `[-1022, 1023]`.
fn exp2(n: i32) -> f64 {
    f64::from_bits(((n + 1023) as u64) << 52)
}

impl Multiplier {
    /// The factor zero.
    pub const ZERO: Multiplier = Multiplier { q: 0, t: 1 };

    /// The multiplier of the real factor `m` (N2).
    pub fn new(m: f64) -> Result<Multiplier, FactorError> {
        if m == 0.0 {
            return Ok(Multiplier::ZERO);
        }
        if !(m > 0.0 && m < f64::INFINITY) {
            return Err(FactorError::NotPositive(m));
        }
        let (f, mut x) = frexp(m);
        // Positive, so that the conversion truncates towards the floor.
        let mut q = (f * 2_147_483_648.0 + 0.5) as i64;
        if q == 1 << 31 {
            q = 1 << 30;
            x += 1;
        }
        match 31 - x {
            t if t > 62 => Ok(Multiplier::ZERO),
            t if t < 1 => Err(FactorError::TooLarge(m)),
            t => Ok(Multiplier {
                q: q as i32,
                t: t as u8,
            }),
        }
    }

    /// Convolution and fully connected: `s_in * s_w / s_out` (N5).
    pub fn conv(input: f32, weight: f32, output: f32) -> Result<Multiplier, FactorError> {
        Multiplier::new(f64::from(input) * f64::from(weight) / f64::from(output))
    }

    /// From one scale to another: `s_in / s_out` (N7).
    pub fn rescale(input: f32, output: f32) -> Result<Multiplier, FactorError> {
        Multiplier::new(f64::from(input) / f64::from(output))
    }

    /// Product of two tensors: `s_a * s_b / s_out` (N8).
    pub fn product(a: f32, b: f32, output: f32) -> Result<Multiplier, FactorError> {
        Multiplier::new(f64::from(a) * f64::from(b) / f64::from(output))
    }

    /// Mean over `count` elements: `s_in / (s_out * count)` (N9).
    pub fn mean(input: f32, output: f32, count: u32) -> Result<Multiplier, FactorError> {
        Multiplier::new(f64::from(input) / (f64::from(output) * f64::from(count)))
    }

    /// Whether `q` and `t` are in the ranges that N2 gives.
    pub fn is_valid(self) -> bool {
        (self.q == 0 || self.q >= 1 << 30) && (1..=62).contains(&self.t)
    }

    /// `(acc * q + 2^(t-1)) >> t`, one rounding, half up (N2).
    #[inline(always)]
    pub fn apply(self, acc: i32) -> i64 {
        let product = i64::from(acc) * i64::from(self.q);
        let t = u32::from(self.t) & 63;
        product.wrapping_add(1i64 << (t.wrapping_sub(1) & 63)) >> t
    }

    /// The same, brought into `-bound..=bound`.
    #[inline(always)]
    pub(crate) fn apply_within(self, acc: i32, bound: i32) -> i32 {
        if self.t > 32 {
            // N12: the low word cannot change the result, and the shift is one of 32 bits.
            let high = ((i64::from(acc) * i64::from(self.q)) >> 32) as i32;
            let shift = (u32::from(self.t) - 32) & 31;
            let half = 1i32 << (shift.wrapping_sub(1) & 31);
            (high.wrapping_add(half) >> shift).max(-bound).min(bound)
        } else {
            self.apply(acc).max(i64::from(-bound)).min(i64::from(bound)) as i32
        }
    }
}

/// The constants of a sum or difference of two tensors (N8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumFactors {
    /// Factor of the first operand.
    pub a: i32,
    /// Factor of the second operand; negative for a difference.
    pub b: i32,
    /// Right shift in bits, in `[1, 30]`.
    pub shift: u8,
}

impl SumFactors {
    /// Constants of `a + b` from the scales of the operands and the result.
    pub fn add(a: f32, b: f32, output: f32) -> Result<SumFactors, FactorError> {
        let (a, b, output) = (f64::from(a), f64::from(b), f64::from(output));
        let largest = if a > b { a } else { b } / output;
        if !(largest > 0.0 && largest < f64::INFINITY && a >= 0.0 && b >= 0.0) {
            return Err(FactorError::NotPositive(largest));
        }
        let (_, x) = frexp(largest);
        let shift = (21i32.saturating_sub(x)).min(30);
        if shift < 1 {
            return Err(FactorError::TooLarge(largest));
        }
        let fixed = |s: f64| (s / output * exp2(shift) + 0.5) as i32;
        Ok(SumFactors {
            a: fixed(a),
            b: fixed(b),
            shift: shift as u8,
        })
    }

    /// Constants of `a - b`.
    pub fn sub(a: f32, b: f32, output: f32) -> Result<SumFactors, FactorError> {
        let sum = SumFactors::add(a, b, output)?;
        Ok(SumFactors { b: -sum.b, ..sum })
    }
}

/// `x` rounded to the nearest integer, ties to even; exact for `|x| <= 2^22` (N3).
fn rint(x: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    (x + MAGIC) - MAGIC
}

/// Quantizes a real value (N3); NaN gives -128.
pub fn quantize(x: f32, scale: f32, zero_point: i32) -> i8 {
    let v = (x / scale)
        .max((-128 - zero_point) as f32)
        .min((127 - zero_point) as f32);
    (rint(v) as i32 + zero_point) as i8
}

/// The real value that a stored byte stands for (N3).
pub fn dequantize(y: i8, scale: f32, zero_point: i32) -> f32 {
    (i32::from(y) - zero_point) as f32 * scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(m: Multiplier) -> f64 {
        f64::from(m.q) * 2f64.powi(-i32::from(m.t))
    }

    #[test]
    fn powers_of_two_are_exact() {
        assert_eq!(Multiplier::new(1.0), Ok(Multiplier { q: 1 << 30, t: 30 }));
        assert_eq!(Multiplier::new(0.5), Ok(Multiplier { q: 1 << 30, t: 31 }));
        for e in -31..30 {
            assert_eq!(value(Multiplier::new(2f64.powi(e)).unwrap()), 2f64.powi(e));
        }
    }

    #[test]
    fn a_mantissa_that_rounds_up_to_a_power_of_two_is_normalized() {
        let below = 1.0 - 2f64.powi(-40);
        assert_eq!(Multiplier::new(below), Multiplier::new(1.0));
        // The carry brings t from 63 to 62.
        assert_eq!(
            Multiplier::new(2f64.powi(-32) * below),
            Ok(Multiplier { q: 1 << 30, t: 62 })
        );
    }

    #[test]
    fn limits_of_the_shift() {
        assert_eq!(Multiplier::new(0.0), Ok(Multiplier::ZERO));
        assert_eq!(Multiplier::new(2f64.powi(-33)), Ok(Multiplier::ZERO));
        assert_eq!(
            Multiplier::new(2f64.powi(-32)),
            Ok(Multiplier { q: 1 << 30, t: 62 })
        );
        assert_eq!(
            Multiplier::new(f64::MIN_POSITIVE / 4.0),
            Ok(Multiplier::ZERO)
        );
        assert_eq!(
            Multiplier::new(2f64.powi(29)),
            Ok(Multiplier { q: 1 << 30, t: 1 })
        );
        assert_eq!(
            Multiplier::new(2f64.powi(30)),
            Err(FactorError::TooLarge(2f64.powi(30)))
        );
        assert!(matches!(
            Multiplier::new(-1.0),
            Err(FactorError::NotPositive(_))
        ));
        assert!(matches!(
            Multiplier::new(f64::NAN),
            Err(FactorError::NotPositive(_))
        ));
        assert!(matches!(
            Multiplier::new(f64::INFINITY),
            Err(FactorError::NotPositive(_))
        ));
    }

    #[test]
    fn the_short_way_gives_what_the_definition_gives() {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 16
        };
        for round in 0..300_000 {
            let q = ((1 << 30) + next() % (1 << 30)) as i32;
            let t = (next() % 62 + 1) as u8;
            let acc = match round % 4 {
                0 => [i32::MIN, i32::MAX, 0, -1][next() as usize % 4],
                1 => (next() % 2001) as i32 - 1000,
                _ => next() as i32,
            };
            let exact = (i128::from(acc) * i128::from(q) + (1i128 << (t - 1))) >> t;
            assert_eq!(
                i128::from(Multiplier { q, t }.apply(acc)),
                exact,
                "{acc} {q} {t}"
            );
        }
    }

    #[test]
    fn sums_fit_32_bits() {
        for (a, b, o) in [
            (1.0, 1.0, 1.0),
            (0.001, 30.0, 1.0),
            (3.0, 0.1, 0.001),
            (1e-6, 1e-6, 1.0),
        ] {
            let f = SumFactors::add(a, b, o).unwrap();
            let most = 255 * (i64::from(f.a) + i64::from(f.b)) + (1 << (f.shift - 1));
            assert!(most <= i64::from(i32::MAX), "{f:?}");
            let ratio = f64::from(a) / f64::from(o);
            let half_step = exp2(-i32::from(f.shift) - 1);
            assert!((f64::from(f.a) / exp2(i32::from(f.shift)) - ratio).abs() <= half_step);
        }
        assert_eq!(
            SumFactors::add(1.0, 1.0, 1.0),
            Ok(SumFactors {
                a: 1 << 20,
                b: 1 << 20,
                shift: 20
            })
        );
        assert_eq!(SumFactors::sub(1.0, 1.0, 1.0).unwrap().b, -(1 << 20));
        assert!(SumFactors::add(1e9, 1.0, 1.0).is_err());
        assert!(SumFactors::add(1.0, 1.0, 0.0).is_err());
        assert!(SumFactors::add(f32::NAN, 1.0, 1.0).is_err());
    }

    #[test]
    fn quantizing_rounds_half_to_even_and_saturates() {
        assert_eq!(quantize(0.5, 1.0, 0), 0);
        assert_eq!(quantize(1.5, 1.0, 0), 2);
        assert_eq!(quantize(-2.5, 1.0, 0), -2);
        assert_eq!(quantize(1e30, 1.0, 5), 127);
        assert_eq!(quantize(f32::NEG_INFINITY, 1.0, 5), -128);
        assert_eq!(quantize(f32::NAN, 1.0, 5), -128);
        assert_eq!(dequantize(-128, 0.5, -28), -50.0);
        for byte in 0..=255u8 {
            let x = f32::from(byte) / 255.0;
            assert_eq!(quantize(x, 1.0 / 255.0, -128) as u8, byte ^ 0x80);
        }
    }
}
