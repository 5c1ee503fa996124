//! What devices of a kind announce alike is in memory once.

use std::collections::HashSet;
use std::sync::Arc;

use super::types::Announced;

/// Most kinds that are looked for; a device of any other keeps its own.
const MOST: usize = 4096;

/// Below so many it is not asked which are in use.
const FEW: usize = 64;

#[derive(Default)]
pub(super) struct Kinds {
    known: HashSet<Arc<Announced>>,
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
            self.known.retain(|kind| Arc::strong_count(kind) > 1);
            self.full = (self.known.len() * 2).clamp(FEW, MOST);
        }
        if self.known.len() < self.full {
            self.known.insert(Arc::clone(&announced));
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
}
