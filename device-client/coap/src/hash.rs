//! A fast fingerprint for telling repeated bytes from others; no protection against forgery.

pub(crate) fn fingerprint(parts: &[&[u8]]) -> u32 {
    let mut hash = 0u64;
    for chunk in parts.iter().flat_map(|part| part.chunks(8)) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 32;
    }
    hash as u32
}
