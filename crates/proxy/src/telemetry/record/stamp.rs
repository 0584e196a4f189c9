//! The moment that begins a line: RFC 3339 in UTC, with milliseconds.

use wire::text::two_digits as pair;

/// Unix time knows no leap seconds.
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// Writes timestamps. The calendar is asked once a day, and what does not change within a second is
/// written once a second.
#[derive(Debug)]
pub(super) struct Stamp {
    day: u64,
    second: u64,
    text: [u8; TEXT.len()],
}

/// Second 0, and the shape of every stamp (until the year 9999).
const TEXT: &[u8; 24] = b"1970-01-01T00:00:00.000Z";

/// Where the date ends, its `T` included.
const DATE_END: usize = 11;

impl Stamp {
    pub(super) const fn new() -> Self {
        Self {
            day: 0,
            second: 0,
            text: *TEXT,
        }
    }

    /// `nanos` since the Unix epoch, as `2016-04-15T20:17:00.310Z`.
    #[inline]
    pub(super) fn at(&mut self, nanos: u64) -> &[u8; TEXT.len()] {
        let millis = nanos / 1_000_000;
        let second = millis / 1000;
        if second != self.second {
            self.turn_to(second);
        }
        let [tens, ones] = pair(millis % 100);
        self.text[20..23].copy_from_slice(&[b'0' + (millis / 100 % 10) as u8, tens, ones]);
        &self.text
    }

    #[cold]
    fn turn_to(&mut self, second: u64) {
        let day = second / SECONDS_PER_DAY;
        if day != self.day {
            self.begin(day);
        }
        let of_day = second % SECONDS_PER_DAY;
        self.text[11..13].copy_from_slice(&pair(of_day / 3600));
        self.text[14..16].copy_from_slice(&pair(of_day / 60 % 60));
        self.text[17..19].copy_from_slice(&pair(of_day % 60));
        self.second = second;
    }

    fn begin(&mut self, day: u64) {
        // 64 bits of nanoseconds end in the year 2554, so the calendar always knows the day.
        let second = i64::try_from(day * SECONDS_PER_DAY).unwrap_or(0);
        let date = jiff::Timestamp::from_second(second).unwrap_or_default();
        let date = date.strftime("%Y-%m-%dT").to_string();
        if date.len() == DATE_END {
            self.text[..DATE_END].copy_from_slice(date.as_bytes());
            self.day = day;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(nanos: u64) -> String {
        read(&mut Stamp::new(), nanos)
    }

    fn read(stamp: &mut Stamp, nanos: u64) -> String {
        String::from_utf8(stamp.at(nanos).to_vec()).unwrap()
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
        assert_eq!(
            [midnight, midnight - 1_000_000, midnight].map(|nanos| read(&mut stamp, nanos)),
            [
                "2016-04-16T00:00:00.000Z",
                "2016-04-15T23:59:59.999Z",
                "2016-04-16T00:00:00.000Z"
            ]
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
