//! Integers of 256 bits, and those modulo p = 2^255 - 19, in loops over words: little flash, no care
//! for equal time.

/// The lowest first.
pub(super) type Words = [u32; 8];

/// p.
const P: Words = long(0xffff_ffed, 0x7fff_ffff);

/// What 2^256 is modulo p.
const OVER: u32 = 38;

/// All bits of the words between are set.
const fn long(lowest: u32, highest: u32) -> Words {
    let mut words = [u32::MAX; 8];
    words[0] = lowest;
    words[7] = highest;
    words
}

/// From 32 little-endian bytes.
pub(super) fn words(bytes: &[u8]) -> Words {
    let mut words = Words::default();
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |n, b| n << 8 | u32::from(*b));
    }
    words
}

pub(super) fn bytes(words: &Words) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

pub(super) fn is_less(a: &Words, b: &Words) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

/// a - b modulo 2^256; whether b was more.
pub(super) fn subtract(a: &mut Words, b: &Words) -> bool {
    let mut borrow = false;
    for (a, b) in a.iter_mut().zip(b) {
        let (less, first) = a.overflowing_sub(*b);
        let (less, second) = less.overflowing_sub(u32::from(borrow));
        (*a, borrow) = (less, first | second);
    }
    borrow
}

/// n + by · m, from `by` = 1 a sum; what is above 2^256 is given.
fn add_scaled(n: &mut Words, m: &[u32], by: u32) -> u32 {
    let mut carry = 0;
    for (i, n) in n.iter_mut().enumerate() {
        let m = m.get(i).copied().unwrap_or_default();
        let sum = u64::from(m) * u64::from(by) + u64::from(*n) + carry;
        (*n, carry) = (sum as u32, sum >> 32);
    }
    carry as u32
}

/// The same modulo p.
fn add_reduced(n: &mut Words, m: &[u32], by: u32) {
    let mut over = add_scaled(n, m, by);
    // A second one is left only of a number that is small now.
    while over != 0 {
        over = add_scaled(n, &[over], OVER);
    }
}

/// a + b modulo p. All results here are below 2^256; [`least`] makes them those below p.
#[inline(never)]
pub(super) fn add(a: &Words, b: &Words) -> Words {
    let mut sum = *a;
    add_reduced(&mut sum, b, 1);
    sum
}

/// a - b modulo p.
#[inline(never)]
pub(super) fn sub(a: &Words, b: &Words) -> Words {
    let mut difference = *a;
    let mut over = *b;
    while subtract(&mut difference, &over) {
        over = small(OVER);
    }
    difference
}

/// a · b modulo p.
#[inline(never)]
pub(super) fn mul(a: &Words, b: &Words) -> Words {
    let mut product = [0; 16];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0;
        let mut place = product.iter_mut().skip(i);
        for (b, n) in b.iter().zip(&mut place) {
            let sum = u64::from(*a) * u64::from(*b) + u64::from(*n) + carry;
            (*n, carry) = (sum as u32, sum >> 32);
        }
        if let Some(next) = place.next() {
            *next = carry as u32;
        }
    }
    let (low, high) = product.split_at(8);
    let mut reduced = Words::default();
    reduced.copy_from_slice(low);
    add_reduced(&mut reduced, high, OVER);
    reduced
}

pub(super) const fn small(n: u32) -> Words {
    let mut words = [0; 8];
    words[0] = n;
    words
}

/// The one below p.
#[inline(never)]
pub(super) fn least(n: &Words) -> Words {
    let mut n = *n;
    while !is_less(&n, &P) {
        subtract(&mut n, &P);
    }
    n
}

pub(super) fn is_equal(a: &Words, b: &Words) -> bool {
    least(&sub(a, b)) == small(0)
}

/// 1 / n; 0 of 0: n to the power of p - 2.
pub(super) fn invert(n: &Words) -> Words {
    power(n, &long(0xffff_ffeb, 0x7fff_ffff))
}

/// n to the power of (p - 5) / 8, with which a root is found (RFC 8032 §5.1.3).
pub(super) fn towards_root(n: &Words) -> Words {
    power(n, &long(0xffff_fffd, 0x0fff_ffff))
}

#[inline(never)]
fn power(n: &Words, exponent: &Words) -> Words {
    let mut power = small(1);
    for word in exponent.iter().rev() {
        for bit in (0..u32::BITS).rev() {
            power = mul(&power, &power);
            if word >> bit & 1 == 1 {
                power = mul(&power, n);
            }
        }
    }
    power
}
