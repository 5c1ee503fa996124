//! Wall time for people.

/// A wall time in milliseconds as UTC: 2026-11-26T05:50:00.123Z.
pub(super) fn date(ms: u64) -> String {
    let (s, ms) = (ms / 1000, ms % 1000);
    let (year, month, day) = civil(s / 86_400);
    let (hour, minute, second) = (s / 3600 % 24, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The date of a day since 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Eras of 400 years from 0000-03-01 on, so that a leap day is the last day of a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + next, month, date)
}

/// The inverse of [`date`]: a date, and perhaps a time without fractions.
pub(super) fn parse_date(text: &str) -> Option<u64> {
    let (day, time) = text
        .trim_end_matches('Z')
        .split_once('T')
        .unwrap_or((text, "00:00:00"));
    let [year, month, date] = numbers(day, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    if !(1970..=9999).contains(&year) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // A year has at most so many days before it.
    let first = (year - 1970) * 365;
    let mut days = first..first + 3000;
    let days = days.find(|days| civil(*days) == (year, month, date))?;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

fn numbers(text: &str, between: char) -> Option<[u64; 3]> {
    let all: Option<Vec<u64>> = text.split(between).map(|part| part.parse().ok()).collect();
    all?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        for (s, text) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_677_628_799, "2023-02-28T23:59:59.007Z"),
            (1_677_628_800, "2023-03-01T00:00:00.007Z"),
            (1_709_164_800, "2024-02-29T00:00:00.007Z"),
            (1_795_648_360, "2026-11-25T23:12:40.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(date(s * 1000 + 7), text);
            let whole = text.replace(".007Z", "Z");
            assert_eq!(parse_date(&whole), Some(s * 1000), "{whole}");
        }
        assert_eq!(parse_date("2024-02-29"), Some(1_709_164_800_000));
        for wrong in [
            "2023-02-29",
            "2024-13-01",
            "2024-02-29T24:00:00Z",
            "1969-12-31",
            "x",
            "",
        ] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }
}
