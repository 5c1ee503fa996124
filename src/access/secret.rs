//! The text of a token: what its holder shows.

use std::fmt;
use std::str::FromStr;

use tinsmith_digest::{Digest, encode_hex};

/// What every token begins with, so that people and scanners of secrets know one.
const PREFIX: &str = "tinsmith_";
/// Bytes of randomness.
const BYTES: usize = 32;

/// A token as its holder has it: `tinsmith_` and 64 hexadecimal digits. It is shown to nobody but
/// who asked for it: `Debug` hides it, and `Display` is not there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Of random bytes.
    pub fn new(random: &[u8; BYTES]) -> Self {
        Secret(format!("{PREFIX}{}", encode_hex(random)))
    }

    /// To be shown to who asked for it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored of it. Nothing that takes time by how much of a guess is right sees more
    /// than this.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A text that is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token is {PREFIX} and 64 hexadecimal digits")]
pub struct SecretError;

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let digits = text.strip_prefix(PREFIX).ok_or(SecretError)?;
        let lower = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if digits.len() != 2 * BYTES || !digits.bytes().all(lower) {
            return Err(SecretError);
        }
        Ok(Secret(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_not_printed() {
        let secret = Secret::new(&[0xa5; 32]);
        let text = secret.reveal().to_owned();
        assert_eq!(text, format!("tinsmith_{}", "a5".repeat(32)));
        assert_eq!(text.parse(), Ok(secret.clone()));
        assert_eq!(secret.digest(), Digest::of(text.as_bytes()));
        assert!(!format!("{secret:?}").contains("a5"));
        for wrong in [
            "",
            "tinsmith_",
            &text[1..],
            &text[..text.len() - 1],
            &text.to_uppercase(),
            &format!("{text}0"),
            &text.replace('5', "g"),
        ] {
            assert_eq!(wrong.parse::<Secret>(), Err(SecretError), "{wrong}");
        }
    }
}
