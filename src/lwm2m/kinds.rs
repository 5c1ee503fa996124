//! What devices of a kind announce alike is in memory once.

use std::sync::Arc;

use super::hash::{HashMap, HashSet};
use super::types::Announced;

/// Most kinds that are looked for; a device of any other keeps its own.
const MOST: usize = 4096;

/// Below so many it is not asked which are in use.
const FEW: usize = 64;

/// The longest announcement, in bytes, that is remembered word for word.
const LONGEST: usize = 1024;

#[derive(Default)]
pub(super) struct Kinds {
    known: HashSet<Arc<Announced>>,
    /// The same by what was said, word for word.
    said: HashMap<Box<[u8]>, Arc<Announced>>,
    /// Those that were asked for last.
    words: Vec<u8>,
    /// With so many, those that no device has any more are forgotten.
    full: usize,
}

impl Kinds {
    /// The same, shared with all that announced it before.
    pub(super) fn share(&mut self, announced: Arc<Announced>) -> Arc<Announced> {
        if let Some(known) = self.known.get(&*announced) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.full {
            self.said.clear();
            self.known.retain(|kind| Arc::strong_count(kind) > 1);
            self.full = (self.known.len() * 2).clamp(FEW, MOST);
        }
        if self.known.len() < self.full {
            self.known.insert(Arc::clone(&announced));
        }
        announced
    }

    /// What was made of the same words before: those of a Register but for its name and lifetime.
    pub(super) fn said<'m>(
        &mut self,
        parameters: impl Iterator<Item = &'m [u8]>,
        payload: &[u8],
    ) -> Option<Arc<Announced>> {
        self.words.clear();
        for parameter in parameters {
            if !parameter.starts_with(b"ep=") && !parameter.starts_with(b"lt=") {
                // None that was accepted has a control character.
                self.words.extend_from_slice(parameter);
                self.words.push(b'\0');
            }
        }
        self.words.push(b'\n');
        self.words.extend_from_slice(payload);
        self.said.get(self.words.as_slice()).map(Arc::clone)
    }

    /// Shares what was made of the words that were asked for last.
    pub(super) fn remember(&mut self, announced: Announced) -> Arc<Announced> {
        let announced = self.share(Arc::new(announced));
        if self.words.len() <= LONGEST {
            if self.said.len() >= self.full {
                self.said.clear();
            }
            let words = self.words.as_slice().into();
            self.said.insert(words, Arc::clone(&announced));
        }
        announced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(binding: usize) -> Arc<Announced> {
        Arc::new(Announced {
            binding: binding.to_string(),
            ..Announced::default()
        })
    }

    #[test]
    fn equals_are_one() {
        let mut kinds = Kinds::default();
        let first = kinds.share(with(1));
        assert!(Arc::ptr_eq(&first, &kinds.share(with(1))));
        assert_ne!(first, kinds.share(with(2)));
    }

    #[test]
    fn what_nobody_has_is_forgotten_and_what_is_had_is_bounded() {
        let mut kinds = Kinds::default();
        let kept = kinds.share(with(0));
        for n in 1..10 * MOST {
            kinds.share(with(n));
        }
        assert!(kinds.known.len() <= FEW);
        assert!(Arc::ptr_eq(&kept, &kinds.share(with(0))));
        let all: Vec<_> = (0..2 * MOST).map(|n| kinds.share(with(n))).collect();
        assert_eq!(kinds.known.len(), MOST);
        assert_eq!(all[2 * MOST - 1], with(2 * MOST - 1));
    }

    fn said(kinds: &mut Kinds, parameters: &[&str], payload: &[u8]) -> Option<Arc<Announced>> {
        kinds.said(parameters.iter().map(|p| p.as_bytes()), payload)
    }

    #[test]
    fn the_same_words_are_known_whatever_the_name() {
        let mut kinds = Kinds::default();
        assert_eq!(said(&mut kinds, &["ep=a", "b=U", "lt=9"], b"</1>"), None);
        let kind = kinds.remember((*with(0)).clone());
        for (parameters, payload, known) in [
            (&["b=U"][..], "</1>", true),
            (&["ep=b", "lt=60", "b=U"], "</1>", true),
            (&["b=UQ"], "</1>", false),
            (&["b=U"], "</3>", false),
            (&["b=U", ""], "</1>", false),
            (&["b=U", "x"], "</1>", false),
            (&["b=", "U"], "</1>", false),
            (&[], "b=U</1>", false),
        ] {
            let found = said(&mut kinds, parameters, payload.as_bytes());
            let found = found.is_some_and(|found| Arc::ptr_eq(&found, &kind));
            assert_eq!(found, known, "{parameters:?} {payload}");
        }
    }

    #[test]
    fn words_are_few_and_short_and_keep_no_kind() {
        let mut kinds = Kinds::default();
        let kept = kinds.share(with(0));
        let long = [b' '; LONGEST];
        assert_eq!(said(&mut kinds, &[], &long), None);
        kinds.remember((*kept).clone());
        assert_eq!(said(&mut kinds, &[], &long), None);
        for n in 1..10 * MOST {
            for kind in [0, n] {
                assert_eq!(
                    said(&mut kinds, &[], format!("{kind} {n}").as_bytes()),
                    None
                );
                kinds.remember((*with(kind)).clone());
            }
        }
        assert!(kinds.known.len() <= FEW && kinds.said.len() <= FEW);
        assert!(Arc::ptr_eq(&kept, &kinds.share(with(0))));
    }
}
