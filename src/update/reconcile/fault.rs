//! What is wrong with an answer, and whether it may be another one later.

use tinsmith_lwm2m::Outcome;

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    /// As a part of a sentence: "is answered with ...".
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The device can't answer now, and says nothing of the request: 4.08, 4.29, 5.xx or Reset;
    /// with the time (ms) that it asks for.
    Later(Option<u64>),
    /// The device does not do that: another 4.xx.
    Refusal,
    /// The answer is not what was asked for, or can't be read.
    Nonsense,
}

impl Fault {
    pub(super) fn nonsense(text: impl Into<String>) -> Self {
        Fault {
            kind: Kind::Nonsense,
            text: text.into(),
        }
    }

    /// Of an outcome that is no success.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let kind = match outcome {
            Outcome::Unavailable { after, .. } => Kind::Later(Some(u64::from(*after) * 1000)),
            Outcome::Rejected { code, .. } if may_change(*code) => Kind::Later(None),
            Outcome::Reset => Kind::Later(None),
            Outcome::Rejected { .. } | Outcome::NotObserved(_) => Kind::Refusal,
            _ => Kind::Nonsense,
        };
        let text = describe(outcome);
        Fault { kind, text }
    }
}

/// 4.08 (RFC 7959 §2.9.2), 4.29 (RFC 8516) and all of class 5 (RFC 7252 §5.9.3).
fn may_change(code: u8) -> bool {
    code >> 5 == 5 || matches!((code >> 5, code & 31), (4, 8 | 29))
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected { code, diagnostic } if diagnostic.is_empty() => {
            format!("{}.{:02}", code >> 5, code & 31)
        }
        Outcome::Rejected { code, diagnostic } => {
            format!("{}.{:02} ({diagnostic})", code >> 5, code & 31)
        }
        Outcome::Unavailable { after, .. } => format!("5.03 (not before {after} s)"),
        Outcome::Reset => "Reset".into(),
        Outcome::NotObserved(_) => "values without an observation".into(),
        Outcome::Malformed(text) => format!("something unreadable: {text}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let rejected = |class: u8, detail: u8| Outcome::Rejected {
            code: class << 5 | detail,
            diagnostic: String::new(),
        };
        let busy = Outcome::Unavailable {
            after: 7,
            diagnostic: String::new(),
        };
        for (outcome, kind) in [
            (rejected(4, 4), Kind::Refusal),
            (rejected(4, 1), Kind::Refusal),
            (rejected(4, 8), Kind::Later(None)),
            (rejected(4, 29), Kind::Later(None)),
            (rejected(5, 0), Kind::Later(None)),
            (busy, Kind::Later(Some(7_000))),
            (Outcome::Reset, Kind::Later(None)),
            (Outcome::NotObserved(Vec::new()), Kind::Refusal),
            (Outcome::Malformed("x".into()), Kind::Nonsense),
        ] {
            assert_eq!(Fault::of(&outcome).kind, kind, "{outcome:?}");
        }
    }
}
