//! Points of the curve -x² + y² = 1 + d·x²·y² (RFC 8032 §5.1), in extended coordinates.

use super::field::{
    Words, add, bytes, invert, is_equal, least, mul, small, sub, towards_root, words,
};

/// d.
const D: Words = [
    0x1359_78a3,
    0x75eb_4dca,
    0x4141_d8ab,
    0x0070_0a4d,
    0x7779_e898,
    0x8cc7_4079,
    0x2b6f_fe73,
    0x5203_6cee,
];

/// A square root of -1.
const ROOT: Words = [
    0x4a0e_a0b0,
    0xc4ee_1b27,
    0xad2f_e478,
    0x2f43_1806,
    0x3dfb_d7a7,
    0x2b4d_0099,
    0x4fc1_df0b,
    0x2b83_2480,
];

/// x of the base point.
const BASE_X: Words = [
    0x8f25_d51a,
    0xc956_2d60,
    0x9525_a7b2,
    0x692c_c760,
    0xfdd6_dc5c,
    0xc0a4_e231,
    0xcd6e_53fe,
    0x2169_36d3,
];

/// y of the base point: 4/5.
const BASE_Y: Words = {
    let mut y = [0x6666_6666; 8];
    y[0] = 0x6666_6658;
    y
};

/// x = X/Z, y = Y/Z, x·y = T/Z.
#[derive(Clone, Copy)]
pub(super) struct Point {
    x: Words,
    y: Words,
    z: Words,
    t: Words,
}

impl Point {
    /// The neutral one.
    pub(super) const IDENTITY: Self = Self {
        x: small(0),
        y: small(1),
        z: small(1),
        t: small(0),
    };

    /// The base point.
    pub(super) fn base() -> Self {
        Self::of(BASE_X, BASE_Y)
    }

    fn of(x: Words, y: Words) -> Self {
        let t = mul(&x, &y);
        let z = small(1);
        Self { x, y, z, t }
    }

    /// The one with an encoding (RFC 8032 §5.1.3). That y is below p is not asked for.
    #[inline(never)]
    pub(super) fn decompress(encoded: &[u8; 32]) -> Option<Self> {
        let mut y = words(encoded);
        let sign = y[7] >> 31;
        y[7] &= u32::MAX >> 1;
        let square = mul(&y, &y);
        let u = sub(&square, &small(1));
        let v = add(&mul(&square, &D), &small(1));
        let v3 = mul(&mul(&v, &v), &v);
        let uv3 = mul(&u, &v3);
        let uv7 = mul(&mul(&uv3, &v3), &v);
        let mut x = mul(&uv3, &towards_root(&uv7));
        let found = mul(&mul(&x, &x), &v);
        if !is_equal(&found, &u) {
            if !is_equal(&add(&found, &u), &small(0)) {
                return None;
            }
            x = mul(&x, &ROOT);
        }
        if least(&x)[0] & 1 != sign {
            x = sub(&small(0), &x);
        }
        Some(Self::of(x, y))
    }

    /// Its encoding.
    #[inline(never)]
    pub(super) fn compress(&self) -> [u8; 32] {
        let part = invert(&self.z);
        let x = least(&mul(&self.x, &part));
        let mut y = least(&mul(&self.y, &part));
        y[7] |= x[0] << 31;
        bytes(&y)
    }

    pub(super) fn negate(&mut self) {
        for n in [&mut self.x, &mut self.t] {
            *n = sub(&small(0), n);
        }
    }

    /// The sum, also of equal points (RFC 8032 §5.1.4).
    #[inline(never)]
    pub(super) fn add(&self, other: &Self) -> Self {
        let a = mul(&sub(&self.y, &self.x), &sub(&other.y, &other.x));
        let b = mul(&add(&self.y, &self.x), &add(&other.y, &other.x));
        let half_c = mul(&mul(&self.t, &other.t), &D);
        let half_d = mul(&self.z, &other.z);
        let (e, h) = (sub(&b, &a), add(&b, &a));
        let (f, g) = (sub(&half_d, &half_c), add(&half_d, &half_c));
        let (f, g) = (add(&f, &f), add(&g, &g));
        Self {
            x: mul(&e, &f),
            y: mul(&g, &h),
            z: mul(&f, &g),
            t: mul(&e, &h),
        }
    }
}
