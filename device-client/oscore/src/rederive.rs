//! New keys from the same master secret, after a loss of state (RFC 8613 §B.2).
//!
//! ```text
//! client                      server
//!   | request,  kid context R1  |     keys with R1
//!   |-------------------------->|
//!   | 4.01,     kid context R2  |     keys with R2 || R1
//!   |<--------------------------|
//!   | request,  kid context R2 || R3
//!   |-------------------------->|     keys with R2 || R3, from now on
//! ```
//!
//! The server keeps no R2: it is S2 and an authentication code of S2, and its key is forgotten when
//! a run has ended (RFC 8613 §B.2.1), so the last request can't be replayed.

use crate::bytes::{Bytes, unwrap_string};
use crate::derive::{IdContext, MAX_ID_CONTEXT, R2, hmac};

/// Bytes of R1 and R3.
pub(crate) const R1: usize = 8;
/// Bytes of S2, and of its authentication code.
const S2: usize = R2 / 2;

/// An ID Context as 'kid context' carries it.
pub(crate) type Wrapped = Bytes<{ MAX_ID_CONTEXT + 2 }>;

/// Fills a place with random bytes that nobody can guess.
pub type Random<'r> = dyn FnMut(&mut [u8]) + 'r;

pub(crate) fn random<const N: usize>(random: &mut Random<'_>) -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}

pub(crate) fn wrap(context: &[u8]) -> Option<Wrapped> {
    let mut wrapped = Wrapped::EMPTY;
    wrapped.push_string(context)?;
    Some(wrapped)
}

pub(crate) fn unwrap(kid_context: &[u8]) -> Option<&[u8]> {
    unwrap_string(kid_context).filter(|context| !context.is_empty())
}

/// One ID Context after another; none if that is too long.
pub(crate) fn join(first: &[u8], second: &[u8]) -> Option<IdContext> {
    let mut joined = IdContext::new(first)?;
    joined.push(second)?;
    Some(joined)
}

/// The key of the authentication codes of a run, as its server.
pub(crate) type RunKey = Bytes<16>;

/// An R2 of this run.
pub(crate) fn make_r2(key: &RunKey, random_bytes: &mut Random<'_>) -> [u8; R2] {
    let s2 = random::<S2>(random_bytes);
    let mut r2 = [0; R2];
    let (front, back) = r2.split_at_mut(S2);
    front.copy_from_slice(&s2);
    for (place, byte) in back.iter_mut().zip(hmac(key.as_slice(), &[&s2]).iter()) {
        *place = *byte;
    }
    r2
}

/// Whether an ID Context begins with an R2 of this run, and something comes after it.
pub(crate) fn begins_with_r2(key: &RunKey, context: &[u8]) -> bool {
    let Some((s2, rest)) = context.split_at_checked(S2) else {
        return false;
    };
    let Some((code, r3)) = rest.split_at_checked(S2) else {
        return false;
    };
    let expected = hmac(key.as_slice(), &[s2]);
    let differs = expected
        .iter()
        .zip(code)
        .fold(0, |all, (a, b)| all | (a ^ b));
    differs == 0 && !r3.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_r2_and_only_of_this_run() {
        let key = RunKey::new(&[1; 16]).expect("short");
        let mut count = 0;
        let r2 = make_r2(&key, &mut |place| {
            count += 1;
            place.fill(count);
        });
        let id3 = join(&r2, &[3; 8]).expect("room");
        assert!(begins_with_r2(&key, id3.as_slice()));
        assert!(!begins_with_r2(&key, &r2), "without R3");
        assert!(!begins_with_r2(&key, &r2[..7]));
        let other = RunKey::new(&[2; 16]).expect("short");
        assert!(!begins_with_r2(&other, id3.as_slice()));
        let mut changed = r2;
        changed[15] ^= 1;
        let id3 = join(&changed, &[3; 8]).expect("room");
        assert!(!begins_with_r2(&key, id3.as_slice()));
    }
}
