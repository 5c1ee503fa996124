//! The section LABELS: `u16` count, then per label a `u16` length and UTF-8.

use super::header::u16_at;

/// The parsed section.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Labels<'m> {
    bytes: &'m [u8],
    count: u16,
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let length = usize::from(u16_at(bytes, 0)?);
    let (label, rest) = bytes.get(2..)?.split_at_checked(length)?;
    Some((core::str::from_utf8(label).ok()?, rest))
}

impl<'m> Labels<'m> {
    pub(crate) fn parse(bytes: &'m [u8]) -> Option<Labels<'m>> {
        let count = u16_at(bytes, 0)?;
        let labels = bytes.get(2..)?;
        let mut rest = labels;
        for _ in 0..count {
            rest = split(rest)?.1;
        }
        rest.is_empty().then_some(Labels {
            bytes: labels,
            count,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'m str> + 'm {
        let mut rest = self.bytes;
        (0..self.count).map_while(move |_| {
            let (label, next) = split(rest)?;
            rest = next;
            Some(label)
        })
    }
}
