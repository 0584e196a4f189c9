//! What the clients saw, and what can be read from it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One request of an open-loop load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shot {
    /// The name of its stream.
    pub(crate) stream: &'static str,
    /// Sent along, so that backends can tell it.
    pub(crate) id: u64,
    /// When it was to be sent: its client's time counts from here.
    pub(crate) due: Instant,
    /// How much later than that we were.
    pub(crate) late: Duration,
    /// From when it was due to the answer's last byte, or to its end.
    pub(crate) took: Duration,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// A whole answer.
    Status(u16),
    /// The connection ended first, or could not be opened.
    CutOff,
    /// The client's patience did.
    GaveUp,
}

/// A set of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shots(Vec<Shot>);

impl Shots {
    /// These, in the order in which they were due.
    pub(crate) fn new(mut shots: Vec<Shot>) -> Self {
        shots.sort_by_key(|shot| shot.due);
        Self(shots)
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Those for which `holds`.
    pub(crate) fn filter(&self, holds: impl Fn(&Shot) -> bool) -> Self {
        Self(self.0.iter().filter(|shot| holds(shot)).copied().collect())
    }

    /// Those of one stream.
    pub(crate) fn of(&self, stream: &str) -> Self {
        self.filter(|shot| shot.stream == stream)
    }

    /// Those due from `from` on and before `until`.
    pub(crate) fn due(&self, from: Instant, until: Instant) -> Self {
        self.filter(|shot| shot.due >= from && shot.due < until)
    }

    /// Those answered with 200.
    pub(crate) fn good(&self) -> Self {
        self.filter(|shot| !shot.failed())
    }

    /// Those that the proxy, or an endpoint, turned away. A 504 is none: it is a wait that ended.
    pub(crate) fn refused(&self) -> Self {
        self.filter(|shot| matches!(shot.outcome, Outcome::Status(429 | 502 | 503)))
    }

    /// How many were not answered with 200.
    pub(crate) fn failed(&self) -> usize {
        self.0.iter().filter(|shot| shot.failed()).count()
    }

    /// The time, in milliseconds, within which this share of them (0 to 1) ended; `None` of none.
    pub(crate) fn within_ms(&self, share: f64) -> Option<f64> {
        quantile(self.0.iter().map(|shot| shot.took), share)
    }

    /// How late this share of them, or less, were sent, in milliseconds.
    pub(crate) fn late_ms(&self, share: f64) -> Option<f64> {
        quantile(self.0.iter().map(|shot| shot.late), share)
    }

    /// Outcomes, the most frequent first.
    pub(crate) fn tally(&self) -> String {
        let mut counts: BTreeMap<Outcome, usize> = BTreeMap::new();
        for shot in &self.0 {
            *counts.entry(shot.outcome).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let words = counts
            .iter()
            .map(|(outcome, count)| format!("{count}x {}", outcome.name()));
        words.collect::<Vec<_>>().join(", ")
    }

    /// Seconds after `moment` from which on fewer than one request in a thousand fails; infinite if that
    /// is never reached.
    pub(crate) fn errors_end_after(&self, moment: Instant) -> f64 {
        self.holds_after(moment, |rest| rest.failed() * 1_000 < rest.count())
    }

    /// Seconds after `moment` from which on 99 % end within half as much again as `usual_ms`; infinite
    /// if that is never reached.
    pub(crate) fn p99_is_back_after(&self, moment: Instant, usual_ms: f64) -> f64 {
        self.holds_after(moment, |rest| {
            rest.within_ms(0.99).is_some_and(|p99| p99 <= usual_ms * 1.5)
        })
    }

    /// The first of the moments `STEP` apart from which on the rest is as it should be.
    fn holds_after(&self, moment: Instant, holds: impl Fn(&Self) -> bool) -> f64 {
        let Some(last) = self.0.last().map(|shot| shot.due) else {
            return f64::INFINITY;
        };
        let mut steps = 0;
        loop {
            let from = moment + STEP * steps;
            if from > last {
                return f64::INFINITY;
            }
            if holds(&self.filter(|shot| shot.due >= from)) {
                return (STEP * steps).as_secs_f64();
            }
            steps += 1;
        }
    }
}

impl Shot {
    fn failed(&self) -> bool {
        self.outcome != Outcome::Status(200)
    }

    /// When it ended.
    pub(crate) fn ended(&self) -> Instant {
        self.due + self.took
    }
}

impl Outcome {
    fn name(self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::CutOff => "cut off".into(),
            Self::GaveUp => "gave up".into(),
        }
    }
}

fn quantile(of: impl Iterator<Item = Duration>, share: f64) -> Option<f64> {
    let mut of: Vec<Duration> = of.collect();
    of.sort_unstable();
    let rank = (of.len() as f64 * share).ceil() as usize;
    of.get(rank.saturating_sub(1))
        .map(|span| span.as_secs_f64() * 1_000.0)
}

/// How finely recoveries are told apart.
const STEP: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn shots(begin: Instant, outcomes: &[(u64, u64, u16)]) -> Shots {
        let shot = |(due, took, status): &(u64, u64, u16)| Shot {
            stream: "a",
            id: *due,
            due: begin + Duration::from_millis(*due),
            late: Duration::ZERO,
            took: Duration::from_millis(*took),
            outcome: Outcome::Status(*status),
        };
        Shots::new(outcomes.iter().map(shot).collect())
    }

    #[test]
    fn a_quantile_is_a_time_that_was_seen() {
        let begin = Instant::now();
        let of = shots(begin, &[(0, 4, 200), (1, 1, 200), (2, 3, 503), (3, 2, 200)]);
        assert_eq!(of.within_ms(0.5), Some(2.0));
        assert_eq!(of.within_ms(0.99), Some(4.0));
        assert_eq!(of.refused().within_ms(0.5), Some(3.0));
        assert_eq!(shots(begin, &[]).within_ms(0.5), None);
        assert_eq!(of.tally(), "3x 200, 1x 503");
    }

    #[test]
    fn a_recovery_is_over_when_nothing_more_goes_wrong() {
        let begin = Instant::now();
        let mut outcomes: Vec<_> = (0..100).map(|at| (at * 10, 5, 200)).collect();
        (outcomes[12], outcomes[13]) = ((120, 900, 503), (130, 900, 503));
        let of = shots(begin, &outcomes);
        assert_eq!(of.errors_end_after(begin), 0.15);
        assert_eq!(of.p99_is_back_after(begin, 5.0), 0.15);
        assert_eq!(of.p99_is_back_after(begin, 1.0), f64::INFINITY);
    }
}
