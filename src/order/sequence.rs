//! Sequence numbers of packages: a device takes none that is not above its floor, the highest one
//! it has ever committed.

/// As far as a clock may raise the number at once, in seconds.
const JUMP: u64 = 366 * 24 * 3600;

/// The number of the next package for a device: above `last`, the highest one that was given or is
/// known to be the device's floor, and the time in seconds since 1970, so that a server that has
/// lost its records goes on above them. A wrong clock raises a number that is known by a year at
/// most. `refused`: the device said that the last one was too low, and does not tell its floor.
pub fn next_sequence(last: u64, wall_s: u64, refused: bool) -> u64 {
    let most = last.saturating_add(JUMP);
    if last == 0 {
        return wall_s.max(1);
    }
    if refused {
        return most;
    }
    wall_s.min(most).max(last.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    #[test]
    fn always_above_the_last_and_seldom_below_the_clock() {
        assert_eq!(next_sequence(0, NOW, false), NOW);
        assert_eq!(next_sequence(0, 0, false), 1);
        assert_eq!(next_sequence(NOW - 5, NOW, false), NOW);
        assert_eq!(next_sequence(NOW, NOW, false), NOW + 1);
        assert_eq!(next_sequence(NOW + 9, NOW, false), NOW + 10);
        assert_eq!(next_sequence(u64::MAX, NOW, true), u64::MAX);
    }

    #[test]
    fn a_clock_20_years_ahead_moves_it_by_a_year() {
        let ahead = NOW + 20 * JUMP;
        let once = next_sequence(NOW, ahead, false);
        assert_eq!(once, NOW + JUMP);
        // The clock is right again.
        assert_eq!(next_sequence(once, NOW, false), once + 1);
    }

    #[test]
    fn refusals_reach_every_floor() {
        let floor = NOW + 20 * JUMP;
        let mut last = NOW;
        let mut tries = 0;
        while last <= floor {
            last = next_sequence(last, NOW, true);
            tries += 1;
        }
        assert_eq!(tries, 21);
    }
}
