//! Durations, counted in buckets of two significant digits.
//!
//! Envoy's default bounds (0.5 ms to 1 h) all have two significant digits or fewer, so the counts
//! at its bounds are exact, and a quantile is off by less than 10 % of its value.

use std::sync::OnceLock;
use std::time::Duration;

use super::meter::Counter;

/// Decades: up to 100 µs in steps of one, then one page for each power of ten up to 10,000 s.
const PAGES: usize = 9;

/// Buckets of a page; the pages after the first use 90.
const SLOTS: usize = 101;

/// Durations that one thread records and any thread reads. A page is allocated when the first
/// duration falls into it; most histograms need two or three.
#[derive(Debug, Default)]
pub struct Histogram {
    pages: [OnceLock<Box<[Counter; SLOTS]>>; PAGES],
    sum_micros: Counter,
}

impl Histogram {
    /// Records one duration. Only one thread may.
    pub fn record(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let (page, slot) = place(micros);
        self.pages[page].get_or_init(|| Box::new(std::array::from_fn(|_| Counter::default())))[slot].inc();
        self.sum_micros.add(micros);
    }

    /// Adds what was recorded to `summary`.
    pub(super) fn add_to(&self, summary: &mut Summary) {
        for (number, page) in self.pages.iter().enumerate() {
            let Some(page) = page.get() else { continue };
            let into = summary.pages[number].get_or_insert_with(|| Box::new([0; SLOTS]));
            for (total, count) in into.iter_mut().zip(page.iter()) {
                *total += count.get();
            }
        }
        summary.sum_micros += self.sum_micros.get();
    }
}

/// The page and slot that `micros` falls into: each bucket holds its upper bound and not its lower
/// one, as Prometheus' `le` wants it.
fn place(micros: u64) -> (usize, usize) {
    if micros <= 100 {
        return (0, micros as usize);
    }
    let mut unit = 10;
    for page in 1..PAGES {
        if micros <= unit * 100 {
            return (page, (micros.div_ceil(unit) - 11) as usize);
        }
        unit *= 10;
    }
    (PAGES - 1, 89)
}

/// The largest duration, in microseconds, that falls into a bucket.
fn upper_bound(page: usize, slot: usize) -> u64 {
    match page {
        0 => slot as u64,
        _ => (slot as u64 + 11) * 10_u64.pow(page as u32),
    }
}

/// What histograms had recorded when they were read, added up.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pages: [Option<Box<[u64; SLOTS]>>; PAGES],
    sum_micros: u64,
}

impl Summary {
    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets().map(|(_, _, count)| count).sum()
    }

    /// All durations together, in milliseconds.
    #[must_use]
    pub fn sum_ms(&self) -> f64 {
        self.sum_micros as f64 / 1000.0
    }

    /// How many durations are no longer than `bound`. Exact where `bound` in microseconds has two
    /// significant digits or fewer.
    #[must_use]
    pub fn at_most(&self, bound: Duration) -> u64 {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        self.buckets()
            .filter(|&(_, upper, _)| upper <= micros)
            .map(|(_, _, count)| count)
            .sum()
    }

    /// The duration in milliseconds that `share` (0 to 1) of all do not exceed, by linear
    /// interpolation within its bucket; `None` if there are none.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let rank = share.clamp(0.0, 1.0) * self.count() as f64;
        let mut below = 0.0;
        let mut last = None;
        for (lower, upper, count) in self.buckets() {
            let here = count as f64;
            let value = |part: f64| (lower as f64 + part * (upper - lower) as f64) / 1000.0;
            if below + here >= rank {
                return Some(value(((rank - below) / here).max(0.0)));
            }
            below += here;
            last = Some(value(1.0));
        }
        last
    }

    /// Bounds in microseconds (the lower one exclusive) and count of each bucket that is not empty,
    /// in ascending order.
    fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        self.pages.iter().enumerate().flat_map(|(page, slots)| {
            slots.iter().flat_map(move |slots| {
                slots
                    .iter()
                    .enumerate()
                    .filter(|(_, count)| **count > 0)
                    .map(move |(slot, &count)| {
                        let upper = upper_bound(page, slot);
                        (upper.saturating_sub(10_u64.pow(page as u32)), upper, count)
                    })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(spans: &[Duration]) -> Summary {
        let histogram = Histogram::default();
        spans.iter().for_each(|&span| histogram.record(span));
        let mut summary = Summary::default();
        histogram.add_to(&mut summary);
        summary
    }

    #[test]
    fn a_duration_on_a_bound_counts_as_within_it_and_one_microsecond_more_does_not() {
        for millis in [1, 5, 10, 25, 50, 100, 250, 1000, 2500, 30_000, 3_600_000] {
            let bound = Duration::from_millis(millis);
            assert_eq!(of(&[bound]).at_most(bound), 1, "{bound:?}");
            assert_eq!(
                of(&[bound + Duration::from_micros(1)]).at_most(bound),
                0,
                "{bound:?}"
            );
        }
        let half = Duration::from_micros(500);
        assert_eq!(of(&[half, half + Duration::from_micros(1)]).at_most(half), 1);
    }

    #[test]
    fn quantiles_of_nothing_are_unknown_and_of_one_value_are_that_value() {
        assert_eq!(of(&[]).quantile_ms(0.5), None);
        assert_eq!(of(&[Duration::ZERO]).quantile_ms(1.0), Some(0.0));
        assert_eq!(of(&[Duration::from_millis(20)]).quantile_ms(1.0), Some(20.0));
    }

    #[test]
    fn a_duration_past_the_last_bucket_is_counted_in_it() {
        let summary = of(&[Duration::from_secs(86_400)]);
        assert_eq!(summary.count(), 1);
        assert_eq!(summary.quantile_ms(1.0), Some(10_000_000.0));
    }

    #[test]
    fn histograms_of_several_workers_add_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_millis(3));
        two.record(Duration::from_secs(3));
        let mut summary = Summary::default();
        one.add_to(&mut summary);
        two.add_to(&mut summary);
        assert_eq!((summary.count(), summary.sum_ms()), (2, 3003.0));
        assert_eq!(summary.at_most(Duration::from_secs(1)), 1);
    }

    proptest! {
        #[test]
        fn every_duration_falls_into_the_bucket_that_holds_it(micros in 0_u64..10_000_000_000) {
            let (page, slot) = place(micros);
            let upper = upper_bound(page, slot);
            prop_assert!(micros <= upper);
            prop_assert!(micros == 0 || micros > upper - 10_u64.pow(page as u32));
        }

        #[test]
        fn a_quantile_is_off_by_less_than_a_tenth(micros in 1_u64..10_000_000_000) {
            let millis = micros as f64 / 1000.0;
            let read = of(&[Duration::from_micros(micros)]).quantile_ms(1.0).unwrap();
            prop_assert!((read - millis).abs() <= millis / 10.0, "{read} for {millis}");
        }
    }
}
