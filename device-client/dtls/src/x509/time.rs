//! Times of certificates (RFC 5280 §4.1.2.5).

use crate::der::Der;

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The next element as seconds since 1970-01-01 UTC.
pub(super) fn read(der: &mut Der<'_>) -> Option<i64> {
    let (tag, text) = der.any()?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = two(text)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (century, rest) = two(text)?;
            let (year, rest) = two(rest)?;
            (100 * century + year, rest)
        }
        _ => return None,
    };
    let (month, rest) = two(rest)?;
    let (day, rest) = two(rest)?;
    let (hour, rest) = two(rest)?;
    let (minute, rest) = two(rest)?;
    let (second, rest) = two(rest)?;
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day);
    if rest != b"Z" || !valid || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

fn two(text: &[u8]) -> Option<(i64, &[u8])> {
    let (digits, rest) = text.split_first_chunk::<2>()?;
    let [a, b] = digits.map(|digit| digit.wrapping_sub(b'0'));
    (a <= 9 && b <= 9).then(|| (i64::from(a) * 10 + i64::from(b), rest))
}

/// Days from 1970-01-01 in the Gregorian calendar, which years begin in March for.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap = year / 4 - year / 100 + year / 400;
    year * 365 + leap + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tag: u8, text: &str) -> Option<i64> {
        let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
        read(&mut Der::new(&der))
    }

    /// As `date -u +%s -d` gives them.
    #[test]
    fn known_times() {
        for (tag, text, seconds) in [
            (UTC_TIME, "700101000000Z", 0),
            (UTC_TIME, "000229235959Z", 951_868_799),
            (UTC_TIME, "491231235959Z", 2_524_607_999),
            (UTC_TIME, "500101000000Z", -631_152_000),
            (GENERALIZED_TIME, "20500101000000Z", 2_524_608_000),
            (GENERALIZED_TIME, "99991231235959Z", 253_402_300_799),
            (GENERALIZED_TIME, "19700301000000Z", 5_097_600),
        ] {
            assert_eq!(of(tag, text), Some(seconds), "{text}");
        }
        for bad in [
            "7001010000Z",
            "700101000000",
            "701301000000Z",
            "700100000000Z",
            "700101240000Z",
            "700101006000Z",
            "7001010000000",
            "70010100000AZ",
            "700101000000+0100",
        ] {
            assert_eq!(of(UTC_TIME, bad), None, "{bad}");
        }
        assert_eq!(of(2, "700101000000Z"), None);
    }
}
