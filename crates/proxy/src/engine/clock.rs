//! The sole reader of clocks and entropy. Decisions get a [`Moment`] from here.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use policy::freeze::Freeze;
use policy::time::Moment;

/// The process's clock: all workers share one origin, so their moments compare.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

/// Within a few polls of tasks, some microseconds, time stands still: it is read at most once.
const UNREAD: u64 = 0;

/// To read time takes as long as a hundredth of a request, which is polled five times.
const POLLS_A_READING: u32 = 4;

/// This thread has no engine: time is read whenever it is asked for.
const FLOWING: u64 = u64::MAX;

const NEVER_FROZEN: Freeze = Freeze {
    began: Moment::from_nanos(0),
    ended: Moment::from_nanos(0),
};

thread_local! {
    static HELD: Cell<u64> = const { Cell::new(FLOWING) };
    /// Polls since it was read.
    static POLLS: Cell<u32> = const { Cell::new(0) };
    /// When this thread reads time again, if nothing keeps it from running.
    static READ_BY: Cell<Moment> = const { Cell::new(Moment::NEVER) };
    /// The last span in which it did not run.
    static FROZEN: Cell<Freeze> = const { Cell::new(NEVER_FROZEN) };
}

/// The engine begins another part of its turn: what was read before is old.
pub(crate) fn cache_now() {
    HELD.set(UNREAD);
}

/// The engine begins another poll.
pub(crate) fn pass() {
    let polls = POLLS.get() + 1;
    if polls >= POLLS_A_READING {
        HELD.set(UNREAD);
    }
    POLLS.set(polls);
}

/// The engine sleeps for no longer than until then.
pub(crate) fn sleeps_until(at: Moment) {
    READ_BY.set(at);
}

/// The last time that this thread was frozen: it was to read time, and did so much later.
pub(crate) fn last_freeze() -> Freeze {
    FROZEN.get()
}

/// The engine of this thread is gone.
pub(crate) fn read_anew() {
    READ_BY.set(Moment::NEVER);
    // The next engine may count from another origin.
    FROZEN.set(NEVER_FROZEN);
    HELD.set(FLOWING);
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Now; for a task, when it or one that was polled just before first asked.
    pub(crate) fn now(self) -> Moment {
        let held = HELD.get();
        if held != UNREAD && held != FLOWING {
            return Moment::from_nanos(held);
        }
        let now = self.read();
        if held == UNREAD {
            HELD.set(now);
            POLLS.set(0);
            watch(Moment::from_nanos(now));
        }
        Moment::from_nanos(now)
    }

    fn read(self) -> u64 {
        #[cfg(feature = "sim")]
        if let Some(simulated) = crate::engine::simulation::now() {
            return simulated.as_nanos();
        }
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }
}

/// A thread that runs an engine reads time many times in each turn, so a gap is time in which it did not run.
#[inline]
fn watch(now: Moment) {
    if let Some(freeze) = Freeze::seen(READ_BY.replace(now), now) {
        FROZEN.set(freeze);
    }
}

/// Wall-clock time in nanoseconds since 1970; 0 if the clock is before that.
pub(crate) fn unix_nanos() -> u64 {
    #[cfg(feature = "sim")]
    if let Some(simulated) = crate::engine::simulation::unix_nanos() {
        return simulated;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

/// A seed that differs for each call and each process.
pub(crate) fn entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    #[cfg(feature = "sim")]
    if let Some(simulated) = crate::engine::simulation::entropy() {
        return simulated;
    }
    // The standard library seeds its hasher from the operating system.
    let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
    hasher.write_u64(unix_nanos());
    hasher.finish()
}

/// Wall-clock time for a worker, read from the system once a second and counted on in between.
#[derive(Debug, Default)]
pub(crate) struct Calendar {
    day: std::cell::RefCell<Day>,
}

#[derive(Debug, Default)]
struct Day {
    read_at: Moment,
    /// Nanoseconds since 1970 at `read_at`; 0 before the first reading.
    unix: u64,
    /// The second that `text` is of.
    second: u64,
    text: Rc<[u8]>,
}

/// How far the wall clock is counted on before it is read again: it may be set meanwhile.
const READ_AGAIN: Duration = Duration::from_secs(1);

impl Calendar {
    /// Nanoseconds since 1970.
    pub(crate) fn unix_nanos(&self, now: Moment) -> u64 {
        self.day.borrow_mut().at(now)
    }

    /// The text of the `Date` field (RFC 9110, 5.6.7), made once a second.
    pub(crate) fn date(&self, now: Moment) -> Rc<[u8]> {
        let mut day = self.day.borrow_mut();
        let second = day.at(now) / 1_000_000_000;
        if day.second != second {
            let now = i64::try_from(second)
                .ok()
                .and_then(|s| jiff::Timestamp::from_second(s).ok());
            let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
            let date = now.and_then(|now| printer.timestamp_to_rfc9110_string(&now).ok());
            (day.second, day.text) = (second, date.unwrap_or_default().into_bytes().into());
        }
        day.text.clone()
    }
}

impl Day {
    fn at(&mut self, now: Moment) -> u64 {
        let since = now.since(self.read_at);
        if self.unix == 0 || since >= READ_AGAIN {
            (self.read_at, self.unix) = (now, unix_nanos());
            return self.unix;
        }
        self.unix + since.as_nanos() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_an_imf_fixdate() {
        let date = Calendar::default().date(Clock::start().now());
        let date = std::str::from_utf8(&date).unwrap();
        assert_eq!(date.len(), 29, "{date}");
        assert!(date.ends_with(" GMT"), "{date}");
    }

    #[test]
    fn the_wall_clock_is_counted_on_between_two_readings() {
        let calendar = Calendar::default();
        let first = calendar.unix_nanos(Moment::from_millis(5));
        assert_eq!(calendar.unix_nanos(Moment::from_millis(900)), first + 895_000_000);
        let again = calendar.unix_nanos(Moment::from_millis(1100));
        assert!(
            again < first + 1_000_000_000,
            "read anew: hardly any time has passed"
        );
    }

    #[test]
    fn a_gap_between_two_readings_is_a_freeze_unless_it_was_asked_for() {
        let clock = Clock::start();
        cache_now();
        let first = clock.now();
        sleeps_until(first + Duration::from_secs(9));
        std::thread::sleep(Duration::from_millis(70));
        cache_now();
        let second = clock.now();
        assert_eq!(last_freeze(), Freeze::default());
        std::thread::sleep(Duration::from_millis(70));
        cache_now();
        let third = clock.now();
        let seen = Freeze {
            began: second,
            ended: third,
        };
        assert_eq!(last_freeze(), seen);
        read_anew();
    }

    #[test]
    fn time_stands_still_within_a_poll() {
        let clock = Clock::start();
        cache_now();
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), first);
        cache_now();
        assert!(clock.now() > first);
        read_anew();
    }
}
