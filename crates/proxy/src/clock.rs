//! The sole reader of clocks and entropy. Decisions get a [`Moment`] from here.

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::time::Moment;

/// The process's clock: all workers share one origin, so their moments compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now.
    pub(crate) fn now(self) -> Moment {
        Moment::from_nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment as the runtime's timers want it; a moment that never comes is a year away.
    pub(crate) fn instant(self, moment: Moment) -> tokio::time::Instant {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let ahead = moment.since(self.now()).min(YEAR);
        tokio::time::Instant::now() + ahead
    }
}

/// Wall-clock time in nanoseconds since 1970; 0 if the clock is before that.
pub(crate) fn unix_nanos() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// A seed that differs for each call and each process.
pub(crate) fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    // The standard library seeds its hasher from the operating system.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(unix_nanos());
    hasher.finish()
}

/// The text of the `Date` field (RFC 9110, 5.6.7), made once a second.
#[derive(Debug, Default)]
pub(crate) struct DateCache {
    text: std::cell::RefCell<(u64, Rc<[u8]>)>,
}

impl DateCache {
    /// The date now.
    pub(crate) fn now(&self) -> Rc<[u8]> {
        let seconds = unix_nanos() / 1_000_000_000;
        let mut text = self.text.borrow_mut();
        if text.0 != seconds {
            let now = i64::try_from(seconds)
                .ok()
                .and_then(|s| jiff::Timestamp::from_second(s).ok());
            let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
            let date = now.and_then(|now| printer.timestamp_to_rfc9110_string(&now).ok());
            *text = (seconds, date.unwrap_or_default().into_bytes().into());
        }
        text.1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_an_imf_fixdate() {
        let date = DateCache::default().now();
        let date = std::str::from_utf8(&date).unwrap();
        assert_eq!(date.len(), 29, "{date}");
        assert!(date.ends_with(" GMT"), "{date}");
    }
}
