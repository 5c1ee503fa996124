//! Ed25519 (RFC 8032 §5.1.7) by curve25519-dalek's points, with little flash and stack: no tables,
//! both products in one chain of doublings, and no other arithmetic modulo the order than one
//! reduction.

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::Identity as _;
use sha2::{Digest as _, Sha512};

use crate::authentication::TO_BE_SIGNED;

/// Words of an integer modulo [`ORDER`], the lowest first.
type Words = [u32; 8];

/// Order of the base point: 2^252 + 27742317777372353535851937790883648493.
const ORDER: Words = [
    0x5cf5_d3ed,
    0x5812_631a,
    0xa2f7_9cd6,
    0x14de_f9de,
    0,
    0,
    0,
    0x1000_0000,
];

/// Encoding of the neutral point.
const IDENTITY: [u8; 32] = {
    let mut bytes = [0; 32];
    bytes[0] = 1;
    bytes
};

/// Whether `signature` is the key's: with S below the order, R is the encoding of S·B − k·A.
pub(super) fn verify(point: &[u8; 64], message: &[u8; TO_BE_SIGNED], signature: &[u8; 64]) -> bool {
    holds(half(point), message, signature)
}

fn holds(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (r, s) = signature.split_at(32);
    let s = words(s);
    if !is_less(&s, &ORDER) {
        return false;
    }
    let Some(minus_a) = decompress(key).map(|a| -a) else {
        return false;
    };
    let k = challenge(r, key, message);
    compress(&combine(&s, &k, &minus_a)) == *r
}

/// A point of the curve in its one encoding, and not one of the few of small order, with which
/// anything would be signed.
pub(super) fn is_key(point: &[u8; 64]) -> bool {
    is_good(half(point))
}

fn is_good(key: &[u8; 32]) -> bool {
    decompress(key).is_some_and(|point| {
        let twice = add(&point, &point);
        let four = add(&twice, &twice);
        let is_small = compress(&add(&four, &four)) == IDENTITY;
        !is_small && compress(&point) == *key
    })
}

/// The key in the place that has room for longer ones.
fn half(point: &[u8; 64]) -> &[u8; 32] {
    point.first_chunk().unwrap_or(&[0; 32])
}

#[inline(never)]
fn decompress(key: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*key).decompress()
}

#[inline(never)]
fn compress(point: &EdwardsPoint) -> [u8; 32] {
    point.compress().0
}

/// SHA-512 of R, A and the message, modulo the order.
#[inline(never)]
fn challenge(r: &[u8], key: &[u8; 32], message: &[u8]) -> Words {
    let mut hash = Sha512::new();
    for part in [r, key, message] {
        hash.update(part);
    }
    reduce(&hash.finalize())
}

/// An integer of little-endian bytes modulo the order, bit by bit from the highest.
fn reduce(bytes: &[u8]) -> Words {
    let mut n = Words::default();
    for byte in bytes.iter().rev() {
        for bit in (0..8).rev() {
            let mut carry = u32::from(byte >> bit & 1);
            for word in &mut n {
                (*word, carry) = (*word << 1 | carry, *word >> 31);
            }
            if !is_less(&n, &ORDER) {
                subtract(&mut n, &ORDER);
            }
        }
    }
    n
}

fn words(bytes: &[u8]) -> Words {
    let mut words = Words::default();
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
    }
    words
}

fn is_less(a: &Words, b: &Words) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract(a: &mut Words, b: &Words) {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (less, first) = a.overflowing_sub(*b);
        let (less, second) = less.overflowing_sub(u32::from(borrow));
        (*a, borrow) = (less, first | second);
    }
}

/// s·B + k·P.
#[inline(never)]
fn combine(s: &Words, k: &Words, p: &EdwardsPoint) -> EdwardsPoint {
    let both = add(p, &ED25519_BASEPOINT_POINT);
    let mut sum = EdwardsPoint::identity();
    for (s, k) in s.iter().zip(k).rev() {
        for bit in (0..u32::BITS).rev() {
            sum = add(&sum, &sum);
            match (s >> bit & 1, k >> bit & 1) {
                (0, 0) => {}
                (0, _) => sum = add(&sum, p),
                (_, 0) => sum = add(&sum, &ED25519_BASEPOINT_POINT),
                _ => sum = add(&sum, &both),
            }
        }
    }
    sum
}

/// Complete: also for equal points.
#[inline(never)]
fn add(a: &EdwardsPoint, b: &EdwardsPoint) -> EdwardsPoint {
    a + b
}

#[cfg(test)]
#[path = "ed25519_tests.rs"]
mod tests;
