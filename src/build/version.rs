//! Which of two versions of a model is the newer one.

use std::cmp::Ordering;

/// Compares versions piece by piece, pieces being what stands between `.`, `-`, `+` and `_`:
/// numbers by their value, and before words. What only one has makes it the newer one, but for what
/// stands behind a `-`: 1.0-rc1 comes before 1.0.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_base, a_before) = parts(a);
    let (b_base, b_before) = parts(b);
    let before = match (a_before, b_before) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) => pieces(a).cmp(pieces(b)),
    };
    // Versions that only look alike are not the same.
    pieces(a_base)
        .cmp(pieces(b_base))
        .then(before)
        .then_with(|| a.cmp(b))
}

fn parts(version: &str) -> (&str, Option<&str>) {
    match version.split_once('-') {
        Some((base, before)) => (base, Some(before)),
        None => (version, None),
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Piece<'a> {
    Number(u64),
    Word(&'a str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let pieces = text.split(['.', '-', '+', '_']);
    pieces.map(|piece| {
        let number = piece.parse().ok();
        number.map_or(Piece::Word(piece), Piece::Number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_versions_come_later() {
        let sorted = [
            "0.9",
            "1",
            "1.0-rc1",
            "1.0-rc1.2",
            "1.0",
            "1.0.0",
            "1.2",
            "1.10",
            "2",
            "10.0",
            "2026.11.26",
            "final",
        ];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
