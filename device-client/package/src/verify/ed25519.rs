//! Ed25519 (RFC 8032 §5.1.7), with little flash and stack: no tables, both products in one chain of
//! doublings, and arithmetic in loops.

mod field;
mod point;

use sha2::{Digest as _, Sha512};

use crate::algorithm::TO_BE_SIGNED;
use field::{Words, is_less, subtract, words};
use point::Point;

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
    let Some(mut minus_a) = Point::decompress(key) else {
        return false;
    };
    minus_a.negate();
    let k = challenge(r, key, message);
    combine(&s, &k, &minus_a).compress() == *r
}

/// A point of the curve in its one encoding, and not one of the few of small order, with which
/// anything would be signed.
pub(super) fn is_key(point: &[u8; 64]) -> bool {
    is_good(half(point))
}

fn is_good(key: &[u8; 32]) -> bool {
    Point::decompress(key).is_some_and(|point| {
        let twice = point.add(&point);
        let four = twice.add(&twice);
        let is_small = four.add(&four).compress() == IDENTITY;
        !is_small && point.compress() == *key
    })
}

/// The key in the place that has room for longer ones.
fn half(point: &[u8; 64]) -> &[u8; 32] {
    point.first_chunk().unwrap_or(&[0; 32])
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

/// s·B + k·P.
#[inline(never)]
fn combine(s: &Words, k: &Words, p: &Point) -> Point {
    let base = Point::base();
    let both = p.add(&base);
    let mut sum = Point::IDENTITY;
    for (s, k) in s.iter().zip(k).rev() {
        for bit in (0..u32::BITS).rev() {
            sum = sum.add(&sum);
            let next = match (s >> bit & 1, k >> bit & 1) {
                (0, 0) => continue,
                (0, _) => p,
                (_, 0) => &base,
                _ => &both,
            };
            sum = sum.add(next);
        }
    }
    sum
}

#[cfg(test)]
#[path = "ed25519_tests.rs"]
mod tests;
