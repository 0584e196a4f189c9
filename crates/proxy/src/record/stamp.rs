//! The moment that begins a line: RFC 3339 in UTC, with milliseconds.

/// Milliseconds of a day; Unix time knows no leap seconds.
const MILLIS_PER_DAY: u64 = 24 * 60 * 60 * 1000;

/// Writes timestamps. The calendar is asked once a day; the time of day is plain division.
#[derive(Debug)]
pub(super) struct Stamp {
    day: u64,
    date: [u8; DATE.len()],
}

/// Day 0, and the shape that every date is printed in (until the year 9999).
const DATE: &[u8; 11] = b"1970-01-01T";

impl Stamp {
    pub(super) const fn new() -> Self {
        Self { day: 0, date: *DATE }
    }

    /// Appends `nanos` since the Unix epoch, as `2016-04-15T20:17:00.310Z`.
    pub(super) fn write(&mut self, nanos: u64, line: &mut Vec<u8>) {
        let millis = nanos / 1_000_000;
        let day = millis / MILLIS_PER_DAY;
        if day != self.day {
            self.turn_to(day);
        }
        let of_day = millis % MILLIS_PER_DAY;
        let mut time = *b"00:00:00.000Z";
        let digit = |value: u64| b'0' + (value % 10) as u8;
        let pair = |value: u64| [digit(value / 10), digit(value)];
        time[0..2].copy_from_slice(&pair(of_day / 3_600_000));
        time[3..5].copy_from_slice(&pair(of_day / 60_000 % 60));
        time[6..8].copy_from_slice(&pair(of_day / 1000 % 60));
        time[9..12].copy_from_slice(&[digit(of_day / 100), digit(of_day / 10), digit(of_day)]);
        line.extend_from_slice(&self.date);
        line.extend_from_slice(&time);
    }

    fn turn_to(&mut self, day: u64) {
        // 64 bits of nanoseconds end in the year 2554, so the calendar always knows the day.
        let second = i64::try_from(day * (MILLIS_PER_DAY / 1000)).unwrap_or(0);
        let date = jiff::Timestamp::from_second(second).unwrap_or_default();
        let text = date.strftime("%Y-%m-%dT").to_string();
        if let Ok(date) = text.as_bytes().try_into() {
            (self.day, self.date) = (day, date);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(nanos: u64) -> String {
        let mut line = Vec::new();
        Stamp::new().write(nanos, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_stamp_is_what_the_calendar_says_to_the_millisecond() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(1_460_751_420_310_999_999), "2016-04-15T20:17:00.310Z");
        assert_eq!(stamp(u64::MAX), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn stamps_go_back_over_midnight_as_well_as_forth() {
        let midnight = 1_460_764_800_000_000_000;
        let mut stamp = Stamp::new();
        let mut line = Vec::new();
        for nanos in [midnight, midnight - 1_000_000, midnight] {
            stamp.write(nanos, &mut line);
            line.push(b' ');
        }
        assert_eq!(
            String::from_utf8(line).unwrap(),
            "2016-04-16T00:00:00.000Z 2016-04-15T23:59:59.999Z 2016-04-16T00:00:00.000Z "
        );
    }

    proptest::proptest! {
        #[test]
        fn every_stamp_reads_back_as_its_own_millisecond(nanos: u64) {
            let read: jiff::Timestamp = stamp(nanos).parse().unwrap();
            proptest::prop_assert_eq!(read.as_millisecond(), (nanos / 1_000_000) as i64);
        }
    }
}
