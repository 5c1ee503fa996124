//! What a store can lack of what it has said to be durable.

use crate::Mark;
use crate::proof::Proof;

/// What a store lacks of what it has said to be durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Loss {
    /// The end is missing.
    #[error("{missing} commits that were durable are missing; the last one there is {last}")]
    Commits {
        /// How many.
        missing: u64,
        /// The number of the last one there; 0: none is.
        last: u64,
    },
    /// Something in the middle is missing or changed.
    #[error(
        "its {found} records are not the {expected} of its last commit, {sequence}: some are \
         missing or changed"
    )]
    Records {
        /// Number of the last commit.
        sequence: u64,
        /// Records after it.
        expected: u64,
        /// Records that are there.
        found: u64,
    },
    /// There is nothing to compare with.
    #[error("the file 'proof', which says what was durable, {0}")]
    Proof(&'static str),
    /// The database does not open, or not all of it can be read.
    #[error("its database can't be read: {0}")]
    Unreadable(String),
}

/// What a database says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nothing: it is new.
    None,
    /// The number of its last commit only: it is of a version before there were proofs.
    Sequence(u64),
    /// Also what it has.
    Mark(Mark),
}

/// Compares what a database says, what it has and what the proof says; `here` has what it has.
pub(crate) fn judge(claim: Claim, here: &Mark, proof: Proof) -> Result<(), Loss> {
    let sequence = here.sequence;
    let other = |expected: &Mark| Loss::Records {
        sequence,
        expected: expected.content.records,
        found: here.content.records,
    };
    if let Proof::Mark(mark) = proof
        && mark.sequence > sequence
    {
        return Err(Loss::Commits {
            missing: mark.sequence - sequence,
            last: sequence,
        });
    }
    match (claim, proof) {
        (Claim::Mark(mark), _) if mark.content != here.content => Err(other(&mark)),
        (_, Proof::Mark(mark)) if mark.sequence == sequence && mark.content != here.content => {
            Err(other(&mark))
        }
        (_, Proof::Mark(_)) => Ok(()),
        (_, Proof::Damaged) => Err(Loss::Proof("can't be read")),
        (Claim::Mark(_), Proof::Absent) => Err(Loss::Proof("is missing")),
        (Claim::None, Proof::Absent) if here.content.records > 0 => {
            let text = "the number of its last commit is missing";
            Err(Loss::Unreadable(text.to_owned()))
        }
        (_, Proof::Absent) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Content;

    fn mark(sequence: u64, keys: &[&str]) -> Mark {
        let mut content = Content::default();
        keys.iter().for_each(|key| content.add(key.as_bytes(), b""));
        Mark { sequence, content }
    }

    #[test]
    fn every_loss_is_told() {
        let whole = mark(5, &["a", "b"]);
        let claim = Claim::Mark(whole);
        assert_eq!(judge(claim, &whole, Proof::Mark(whole)), Ok(()));
        // The proof may be a little behind.
        assert_eq!(judge(claim, &whole, Proof::Mark(mark(4, &["a"]))), Ok(()));
        let ahead = Proof::Mark(mark(8, &["a"]));
        let (missing, last) = (3, 5);
        let loss = Loss::Commits { missing, last };
        assert_eq!(judge(claim, &whole, ahead), Err(loss));
        let less = mark(5, &["a"]);
        let loss = Loss::Records {
            sequence: 5,
            expected: 2,
            found: 1,
        };
        assert_eq!(judge(claim, &less, Proof::Mark(whole)), Err(loss.clone()));
        let claim = Claim::Mark(less);
        assert_eq!(judge(claim, &less, Proof::Mark(whole)), Err(loss));
        for proof in [Proof::Absent, Proof::Damaged] {
            let judged = judge(Claim::Mark(whole), &whole, proof);
            assert!(matches!(judged, Err(Loss::Proof(_))));
        }
    }

    #[test]
    fn stores_without_proof_are_new_or_old() {
        let none = Mark::default();
        assert_eq!(judge(Claim::None, &none, Proof::Absent), Ok(()));
        let old = mark(5, &["a"]);
        assert_eq!(judge(Claim::Sequence(5), &old, Proof::Absent), Ok(()));
        // Cut off between its proof and its own mark, when it was taken over.
        let proof = Proof::Mark(old);
        assert_eq!(judge(Claim::Sequence(5), &old, proof), Ok(()));
        assert!(judge(Claim::Sequence(5), &mark(5, &[]), proof).is_err());
        assert!(judge(Claim::None, &none, proof).is_err());
        let headless = mark(0, &["a"]);
        assert!(judge(Claim::None, &headless, Proof::Absent).is_err());
    }
}
