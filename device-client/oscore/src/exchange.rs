//! Which request a response belongs to, on both sides.

use tinsmith_coap::{MessageId, Token};

/// A request of ours that was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) token: Token,
    pub(crate) id: MessageId,
    pub(crate) partial_iv: u64,
    /// Of what was sealed: the same message, sent again, is the same to the last byte.
    pub(crate) digest: [u8; 16],
    /// It asks for notifications.
    pub(crate) observes: bool,
    /// A response without a Partial IV came.
    pub(crate) answered: bool,
    /// The highest Partial IV of a response.
    pub(crate) highest: Option<u64>,
}

/// A request of the peer that was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) token: Token,
    pub(crate) partial_iv: u64,
    pub(crate) observes: bool,
    /// Its nonce was used for a response, or must not be.
    pub(crate) used: bool,
}

pub(crate) trait Entry: Copy {
    fn token(&self) -> Token;

    /// It is kept as long as there is room: more messages will refer to it.
    fn stays(&self) -> bool;
}

impl Entry for Asked {
    fn token(&self) -> Token {
        self.token
    }

    fn stays(&self) -> bool {
        self.observes
    }
}

impl Entry for Heard {
    fn token(&self) -> Token {
        self.token
    }

    fn stays(&self) -> bool {
        self.observes
    }
}

/// The latest exchanges. When it is full the oldest is forgotten that is no observation, or else
/// the oldest.
#[derive(Clone, Debug)]
pub(crate) struct Table<E, const N: usize> {
    entries: [Option<(u32, E)>; N],
    clock: u32,
}

impl<E: Entry, const N: usize> Table<E, N> {
    pub(crate) const NONE: Self = Self {
        entries: [const { None }; N],
        clock: 0,
    };

    pub(crate) fn clear(&mut self) {
        self.entries = [const { None }; N];
    }

    pub(crate) fn get(&mut self, token: Token) -> Option<&mut E> {
        let entries = self.entries.iter_mut().flatten();
        let mut entries = entries.map(|(_, entry)| entry);
        entries.find(|entry| entry.token() == token)
    }

    pub(crate) fn has(&self, token: Token) -> bool {
        let mut entries = self.entries.iter().flatten();
        entries.any(|(_, entry)| entry.token() == token)
    }

    /// Puts it in the place of one with its token, or a free one, or the oldest.
    pub(crate) fn put(&mut self, entry: E) {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let rank = |slot: &Option<(u32, E)>| match slot {
            Some((_, old)) if old.token() == entry.token() => (3, 0),
            None => (2, 0),
            Some((at, old)) => (u8::from(!old.stays()), clock.wrapping_sub(*at)),
        };
        if let Some(slot) = self.entries.iter_mut().max_by_key(|slot| rank(slot)) {
            *slot = Some((clock, entry));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(token: u8, observes: bool) -> Heard {
        Heard {
            token: Token::new(&[token]).expect("short"),
            partial_iv: u64::from(token),
            observes,
            used: false,
        }
    }

    #[test]
    fn the_oldest_that_is_no_observation_gives_way() {
        let mut table = Table::<Heard, 3>::NONE;
        let has = |table: &mut Table<Heard, 3>, token: u8| {
            table.get(Token::new(&[token]).expect("short")).is_some()
        };
        table.put(heard(1, true));
        table.put(heard(2, false));
        table.put(heard(3, false));
        table.put(heard(3, false));
        table.put(heard(4, false));
        assert_eq!(
            [1, 2, 3, 4].map(|t| has(&mut table, t)),
            [true, false, true, true]
        );
        table.put(heard(3, true));
        table.put(heard(4, true));
        table.put(heard(5, true));
        assert_eq!(
            [1, 3, 4, 5].map(|t| has(&mut table, t)),
            [false, true, true, true]
        );
    }
}
