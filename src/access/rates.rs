//! How often something may happen, for each of many.

use std::collections::HashMap;
use std::hash::Hash;

/// How often: so many at once, and then so many in each second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Milliseconds between two, in the long run.
    interval: f64,
    /// How many at once.
    burst: f64,
}

impl Limit {
    /// `per_second` in the long run, `burst` at once.
    pub fn new(per_second: f64, burst: u32) -> Self {
        Limit {
            interval: 1000.0 / per_second.max(1e-6),
            burst: f64::from(burst.max(1)),
        }
    }
}

/// It may not happen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// In so many seconds it may.
    pub seconds: u64,
}

/// Who did how much of late; a table with a bound.
///
/// For each there is the time at which all that it did is paid for: each use moves it on by an
/// interval, and it may be ahead of now by as much as a burst. When the table is full, whoever has
/// paid goes, and if all owe, the one that owes least: so strangers without number make room among
/// themselves and never for who is held back.
#[derive(Debug)]
pub struct Rates<K> {
    limit: Limit,
    max: usize,
    paid: HashMap<K, f64>,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// A table of at most `max`.
    pub fn new(limit: Limit, max: usize) -> Self {
        let paid = HashMap::new();
        let max = max.max(1);
        Rates { limit, max, paid }
    }

    /// Uses one, at a time in milliseconds.
    ///
    /// # Errors
    /// It is too much; nothing was used.
    pub fn take(&mut self, now: u64, key: &K) -> Result<(), Wait> {
        let now = now as f64;
        let Limit { interval, burst } = self.limit;
        let paid = self.paid.get(key).map_or(now, |at| at.max(now));
        let next = paid + interval;
        let over = next - now - burst * interval;
        if over > 1e-3 {
            let seconds = (over / 1000.0).ceil() as u64;
            return Err(Wait {
                seconds: seconds.max(1),
            });
        }
        if !self.paid.contains_key(key) && self.paid.len() >= self.max {
            self.make_room(now);
        }
        self.paid.insert(key.clone(), next);
        Ok(())
    }

    fn make_room(&mut self, now: f64) {
        self.paid.retain(|_, at| *at > now);
        if self.paid.len() >= self.max {
            let least = self.paid.iter().min_by(|a, b| a.1.total_cmp(b.1));
            if let Some(key) = least.map(|(key, _)| key.clone()) {
                self.paid.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_rate() {
        let mut rates = Rates::new(Limit::new(2.0, 3), 10);
        for _ in 0..3 {
            assert_eq!(rates.take(1000, &"a"), Ok(()));
        }
        assert_eq!(rates.take(1000, &"a"), Err(Wait { seconds: 1 }));
        // Others are not held back, and what was refused is not counted.
        assert_eq!(rates.take(1000, &"b"), Ok(()));
        assert!(rates.take(1499, &"a").is_err());
        assert_eq!(rates.take(1500, &"a"), Ok(()));
        assert!(rates.take(1500, &"a").is_err());
        let slow = Limit::new(0.1, 1);
        let mut rates = Rates::new(slow, 10);
        assert_eq!(rates.take(0, &()), Ok(()));
        assert_eq!(rates.take(0, &()), Err(Wait { seconds: 10 }));
        assert_eq!(rates.take(10_000, &()), Ok(()));
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let mut rates = Rates::new(Limit::new(1.0, 1), 10);
        assert_eq!(rates.take(5000, &()), Ok(()));
        let Err(Wait { seconds }) = rates.take(0, &()) else {
            panic!("it is not paid");
        };
        assert!(seconds <= 6);
    }

    #[test]
    fn strangers_without_number_free_nobody() {
        let mut rates = Rates::new(Limit::new(1.0, 5), 100);
        for _ in 0..5 {
            assert_eq!(rates.take(0, &0), Ok(()));
        }
        for stranger in 1..10_000 {
            assert_eq!(rates.take(1, &stranger), Ok(()));
            assert!(rates.paid.len() <= 100);
        }
        assert!(rates.take(2, &0).is_err());
        // Who has paid takes no place.
        rates.take(60_000, &-1).unwrap();
        assert!(rates.paid.len() <= 100);
    }
}
