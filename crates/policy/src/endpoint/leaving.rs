//! Endpoints that leave before anybody says so: one that refuses connections, or ends most of its
//! idle ones at once for no reason of its keep-alive timer.

use std::time::Duration;

use crate::time::Moment;

/// Whether an endpoint seems to leave.
///
/// ```text
///   Here --connect refused, or a burst of closes--> Away { until } --until--> one is let through,
///    ^                                                ^                       Away { until later }
///    |                                                '------- refused ---------'  |
///    '--------------- a connect succeeds, or the one let through is answered ------'
/// ```
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaving {
    away: Option<Away>,
    burst: Option<Burst>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    until: Moment,
    /// One request was let through to see.
    tried: bool,
}

/// Closes of idle connections that came together.
#[derive(Clone, Copy, Debug)]
struct Burst {
    began: Moment,
    closes: usize,
    /// Connections that idled when it began.
    idle: usize,
    /// Idle ages at the closes.
    youngest: Duration,
    oldest: Duration,
}

impl Leaving {
    /// Whether another endpoint is to be preferred.
    pub(crate) fn is_away(&self, now: Moment) -> bool {
        self.away.is_some_and(|away| away.until > now)
    }

    /// It refused a connection.
    pub(crate) fn on_refused(&mut self, now: Moment) {
        self.away = Some(Away {
            until: now + AVOIDED,
            tried: false,
        });
    }

    /// It closed one of `idle` idle connections at this age, for a reason that its keep-alive timer
    /// does not explain.
    pub(crate) fn on_close(&mut self, age: Duration, idle: usize, now: Moment) {
        let goes_on = self.burst.filter(|burst| now.since(burst.began) <= BURST);
        let mut burst = goes_on.unwrap_or(Burst {
            began: now,
            closes: 0,
            idle,
            youngest: age,
            oldest: age,
        });
        burst.closes += 1;
        (burst.youngest, burst.oldest) = (burst.youngest.min(age), burst.oldest.max(age));
        self.burst = Some(burst);
        // Connections that went idle together and end together have met a timer not yet known.
        let timer = burst.youngest > YOUNG && burst.oldest - burst.youngest <= BURST;
        if burst.closes >= CLOSES_MIN && burst.closes * 2 > burst.idle && !timer {
            self.on_refused(now);
        }
    }

    /// It took a connection.
    pub(crate) fn on_connected(&mut self) {
        self.away = None;
    }

    /// It answered a request, if only one that had been with it before.
    pub(crate) fn on_answered(&mut self) {
        if self.away.is_some_and(|away| away.tried) {
            self.away = None;
        }
    }

    /// A request goes to it: while it has not come back others are kept away.
    pub(crate) fn on_chosen(&mut self, now: Moment) {
        if let Some(away) = &mut self.away
            && away.until <= now
        {
            *away = Away {
                until: now + AVOIDED,
                tried: true,
            };
        }
    }
}

/// How long it is avoided: an orchestrator needs about as long to say that it is gone, and one that
/// restarts to be there again.
const AVOIDED: Duration = Duration::from_secs(1);

/// Closes within this belong together.
const BURST: Duration = Duration::from_millis(50);

/// A single close has many reasons.
const CLOSES_MIN: usize = 2;

/// No keep-alive timer in use is as short as this.
const YOUNG: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Moment = Moment::from_millis;
    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn one_that_refuses_is_avoided_for_a_second_then_tried_by_one_request_at_a_time() {
        let mut endpoint = Leaving::default();
        endpoint.on_refused(AT(0));
        assert!(endpoint.is_away(AT(999)) && !endpoint.is_away(AT(1000)));
        endpoint.on_chosen(AT(1000));
        assert!(
            endpoint.is_away(AT(1001)),
            "the others wait for what the first finds"
        );
        endpoint.on_answered();
        assert!(!endpoint.is_away(AT(1001)));
        endpoint.on_refused(AT(2000));
        endpoint.on_answered();
        assert!(
            endpoint.is_away(AT(2001)),
            "an answer to what it had before proves nothing"
        );
        endpoint.on_connected();
        assert!(!endpoint.is_away(AT(2001)));
    }

    #[test]
    fn most_idle_connections_ending_at_once_at_different_ages_mean_that_it_leaves() {
        let mut endpoint = Leaving::default();
        endpoint.on_close(MS(4000), 3, AT(0));
        assert!(!endpoint.is_away(AT(0)));
        endpoint.on_close(MS(200), 2, AT(40));
        assert!(endpoint.is_away(AT(40)));
    }

    #[test]
    fn few_of_many_or_closes_of_one_age_or_far_apart_mean_nothing() {
        for closes in [
            [(4000, 10, 0), (200, 9, 40)],
            [(4000, 3, 0), (4020, 2, 20)],
            [(4000, 3, 0), (200, 2, 60)],
        ] {
            let mut endpoint = Leaving::default();
            for (age, idle, at) in closes {
                endpoint.on_close(MS(age), idle, AT(at));
                assert!(!endpoint.is_away(AT(at)), "{closes:?}");
            }
        }
    }
}
