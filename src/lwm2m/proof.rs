//! Whether somebody is at an address, which anybody can write into a datagram, and how much may be
//! sent there until that is known.

/// Bytes that an address is sent at most for each that came from it, until it is proven
/// (RFC 9175 §2.4).
const FACTOR: u32 = 3;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its security, or where it is, proves it.
    Given,
    /// It answered a request with the token that only it can know.
    Answered,
    /// Nothing, or it has stopped answering.
    None {
        /// Bytes that may be sent.
        left: u32,
    },
}

impl Proof {
    pub(super) const NONE: Self = Proof::None { left: 0 };

    pub(super) fn is_proven(self) -> bool {
        !matches!(self, Proof::None { .. })
    }

    /// So many bytes came from there.
    pub(super) fn heard(&mut self, bytes: usize) {
        if let Proof::None { left } = self {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            *left = left.saturating_add(bytes.saturating_mul(FACTOR));
        }
    }

    /// It answered.
    pub(super) fn answered(&mut self) {
        if !self.is_proven() {
            *self = Proof::Answered;
        }
    }

    /// It did not answer: there may be somebody else now.
    pub(super) fn lost(&mut self) {
        if *self != Proof::Given {
            *self = Proof::NONE;
        }
    }

    /// Takes so many bytes for an answer, which is always sent.
    pub(super) fn spend(&mut self, bytes: usize) {
        if let Proof::None { left } = self {
            *left = left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// Whether so many bytes may be sent that were not asked for; takes them if so.
    pub(super) fn afford(&mut self, bytes: usize) -> bool {
        match self {
            Proof::Given | Proof::Answered => true,
            Proof::None { left } => {
                let rest = u32::try_from(bytes).ok().and_then(|n| left.checked_sub(n));
                if let Some(rest) = rest {
                    *left = rest;
                }
                rest.is_some()
            }
        }
    }
}

/// Whether an answer of so many bytes is more than a request of so many is worth.
pub(super) fn is_too_much(answer: usize, request: usize) -> bool {
    answer > request.saturating_mul(FACTOR as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bytes_for_each_until_it_answers() {
        let mut proof = Proof::NONE;
        assert!(!proof.afford(1));
        proof.heard(10);
        proof.spend(12);
        assert!(!proof.afford(19));
        assert!(proof.afford(18));
        assert!(!proof.afford(1));
        proof.answered();
        assert!(proof.is_proven() && proof.afford(usize::MAX));
        proof.lost();
        assert!(!proof.is_proven() && !proof.afford(1));
        let mut given = Proof::Given;
        given.lost();
        assert!(given.afford(1_000_000));
    }
}
