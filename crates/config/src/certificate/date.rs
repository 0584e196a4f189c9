//! Dates and spans of time in words.

const DAY: i64 = 24 * 3600;

/// The day of a time that counts seconds from 1970, as `2026-11-30` (UTC).
#[must_use]
pub fn date(seconds: i64) -> String {
    // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is their last.
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + next)
}

/// A span in its largest unit, rounded down: `3 days`, `5 hours`, `1 minute`.
pub(super) fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..3600 => (seconds / 60, "minute"),
        3600..DAY => (seconds / 3600, "hour"),
        _ => (seconds / DAY, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, day) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_796_083_199, "2026-11-30"),
            (4_102_444_800, "2100-01-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(date(seconds), day);
        }
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        for (seconds, words) in [
            (59, "0 minutes"),
            (60, "1 minute"),
            (7199, "1 hour"),
            (3 * DAY + 5, "3 days"),
        ] {
            assert_eq!(span(seconds), words);
        }
    }
}
