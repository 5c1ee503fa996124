//! The pseudorandom function of TLS 1.2 with SHA-256 (RFC 5246 §5).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Fills `out` from the secret, the label and the seed, which comes in parts.
pub(crate) fn prf(secret: &[u8], label: &[u8], seed: &[&[u8]], out: &mut [u8]) {
    let keyed = keyed(secret);
    let mut mac = keyed.clone();
    let seeded = |mac: &mut Hmac<Sha256>| {
        mac.update(label);
        for part in seed {
            mac.update(part);
        }
    };
    seeded(&mut mac);
    let mut chain = finish(mac);
    for piece in out.chunks_mut(32) {
        let mut mac = keyed.clone();
        mac.update(&*chain);
        seeded(&mut mac);
        let made = finish(mac);
        for (place, byte) in piece.iter_mut().zip(made.iter()) {
            *place = *byte;
        }
        let mut mac = keyed.clone();
        mac.update(&*chain);
        chain = finish(mac);
    }
}

/// HMAC with a key of any length.
fn keyed(secret: &[u8]) -> Hmac<Sha256> {
    let mut key = Zeroizing::new([0; 64]);
    match key.get_mut(..secret.len()) {
        Some(place) => place.copy_from_slice(secret),
        None => {
            let digest = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(secret)));
            for (place, byte) in key.iter_mut().zip(digest.iter()) {
                *place = *byte;
            }
        }
    }
    Hmac::new((&*key).into())
}

fn finish(mac: Hmac<Sha256>) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    /// The vector for P_SHA256 that the IETF's TLS list has had since 2009
    /// (<https://mailarchive.ietf.org/arch/msg/tls/fzVCzk-z3FShgGJ6DOXqM1ydxms/>).
    #[test]
    fn the_known_vector() {
        let secret = hex("9bbe436ba940f017b17652849a71db35");
        let seed = hex("a0ba9f936cda311827a6f796ffd5198c");
        let expected = hex(
            "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a\
             6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab\
             4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
             87347b66",
        );
        let mut out = [0; 100];
        prf(&secret, b"test label", &[&seed], &mut out);
        assert_eq!(out[..], expected[..]);
        // The seed's parts are one after the other.
        let mut again = [0; 100];
        prf(
            &secret,
            b"test ",
            &[b"label", &seed[..7], &seed[7..]],
            &mut again,
        );
        assert_eq!(out, again);
    }

    /// RFC 4231 §4.2 and §4.7: a short key, and one longer than a block.
    #[test]
    fn hmac_with_keys_of_all_lengths() {
        let cases = [
            (
                vec![0x0b; 20],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (key, data, expected) in cases {
            let mut mac = keyed(&key);
            mac.update(data);
            assert_eq!(finish(mac)[..], hex(expected)[..]);
        }
    }
}
