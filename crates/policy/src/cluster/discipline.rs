//! When a queue is overloaded, who is served next then, and who may still join.
//!
//! A queue that empties now and then only smooths: first come, first served. One that does not
//! makes every request late and none of them answered more; so the newest are served, whose
//! clients still wait, and few may join: a refusal costs nobody anything while it comes at once.

use std::time::Duration;

use crate::plan::QueuePlan;
use crate::time::Moment;

/// The state of one queue.
///
/// ```text
///   Calm --not empty for `interval`--> Overloaded --empty for `interval`--> Calm
/// ```
#[derive(Debug, Default)]
pub(super) struct Discipline {
    /// Somebody has been waiting since, but for pauses shorter than an interval once it was
    /// overloaded. A shorter pause is luck: to call it calm would let a new crowd in each time.
    busy_since: Option<Moment>,
    emptied: Option<Moment>,
    /// The time between two turns while somebody waits, smoothed.
    pace: Option<Duration>,
    turned: Option<Moment>,
    /// When a request last ended, or, if none has since, when the first of those in flight began.
    moved: Moment,
    /// Who gathered during a freeze of our own is no sign of overload until then.
    settled: Moment,
}

/// Who is served next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Discipline {
    pub(super) fn overloaded(&self, plan: &QueuePlan, now: Moment) -> bool {
        let paused = |emptied| now.since(emptied) >= plan.interval;
        self.busy_since
            .is_some_and(|since| now.since(since.max(self.settled)) >= plan.interval)
            && !self.emptied.is_some_and(paused)
    }

    pub(super) fn order(&self, plan: &QueuePlan, now: Moment) -> Order {
        if self.overloaded(plan, now) {
            Order::NewestFirst
        } else {
            Order::OldestFirst
        }
    }

    /// Whether one more may join the `waiting`, while `slots` requests are in flight.
    pub(super) fn admits(&self, waiting: usize, slots: u32, plan: &QueuePlan, now: Moment) -> bool {
        if self.stalled(plan, now) {
            // Nothing ends any more: whoever joins now waits in vain, but for the first few, who
            // are there when it goes on.
            return waiting < PLACES_MIN;
        }
        if !self.overloaded(plan, now) {
            return true;
        }
        let share = slots as usize / SLOTS_PER_PLACE;
        let places = match self.pace {
            None => share,
            Some(pace) => {
                let turns = |span: Duration| (span.as_nanos() / pace.as_nanos().max(1)) as usize;
                share
                    .max(turns(plan.interval / UNFELT))
                    .min(turns(plan.patience / 2))
            }
        };
        waiting < places.max(PLACES_MIN)
    }

    /// Whether no request has ended for half of the time that one may wait.
    pub(super) fn stalled(&self, plan: &QueuePlan, now: Moment) -> bool {
        now.since(self.moved) >= plan.patience / 2
    }

    /// Somebody waits who did not before.
    pub(super) fn joined(&mut self, plan: &QueuePlan, now: Moment) {
        let goes_on = self.overloaded(plan, now) || self.emptied.is_none();
        self.emptied = None;
        if self.busy_since.is_none() || !goes_on {
            self.busy_since = Some(now);
        }
    }

    /// One of those who wait was served.
    pub(super) fn turned(&mut self, plan: &QueuePlan, now: Moment) {
        if let Some(last) = self.turned.replace(now) {
            let gap = now.since(last).min(plan.patience);
            let pace = self.pace.unwrap_or(gap);
            self.pace = Some(pace - pace / PACE_OVER + gap / PACE_OVER);
        }
    }

    /// Nobody waits any more.
    pub(super) fn emptied(&mut self, plan: &QueuePlan, now: Moment) {
        if self.overloaded(plan, now) {
            self.emptied = Some(now);
        } else {
            (self.busy_since, self.emptied) = (None, None);
        }
        self.turned = None;
    }

    /// Nothing could happen for so long, and what gathered meanwhile is dealt with by `settled`.
    pub(super) fn on_freeze(&mut self, lost: Duration, settled: Moment) {
        for moment in [&mut self.busy_since, &mut self.emptied, &mut self.turned] {
            *moment = moment.map(|moment| moment + lost);
        }
        self.moved = self.moved + lost;
        self.settled = settled;
    }

    /// A request ended, or one began while none was in flight.
    pub(super) fn moved(&mut self, now: Moment) {
        self.moved = now;
    }
}

/// So few may wait always: with none a connection would idle between two arrivals.
const PLACES_MIN: usize = 2;

/// In flight to waiting under overload: a quarter of the service time is what they wait at most.
const SLOTS_PER_PLACE: usize = 4;

/// A wait of this part of the interval is felt by nobody, so as many may wait.
const UNFELT: u32 = 10;

/// Turns over which the pace is smoothed.
const PACE_OVER: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Moment = Moment::from_millis;

    fn plan() -> QueuePlan {
        QueuePlan::default()
    }

    #[test]
    fn a_queue_is_overloaded_once_it_has_not_been_empty_for_the_interval() {
        let mut queue = Discipline::default();
        queue.joined(&plan(), AT(0));
        assert_eq!(queue.order(&plan(), AT(99)), Order::OldestFirst);
        assert_eq!(queue.order(&plan(), AT(100)), Order::NewestFirst);
        queue.emptied(&plan(), AT(120));
        queue.joined(&plan(), AT(200));
        assert!(
            queue.overloaded(&plan(), AT(200)),
            "it was empty for a moment only"
        );
        queue.emptied(&plan(), AT(220));
        assert!(!queue.overloaded(&plan(), AT(320)));
        queue.joined(&plan(), AT(320));
        assert!(!queue.overloaded(&plan(), AT(400)));
    }

    #[test]
    fn pauses_keep_a_queue_calm_as_long_as_it_is() {
        let mut queue = Discipline::default();
        for ms in (0..1000).step_by(50) {
            queue.joined(&plan(), AT(ms));
            assert!(!queue.overloaded(&plan(), AT(ms + 49)));
            queue.emptied(&plan(), AT(ms + 49));
        }
    }

    #[test]
    fn an_overloaded_queue_admits_a_quarter_of_those_in_flight_or_as_many_as_wait_unfelt() {
        let mut queue = Discipline::default();
        queue.joined(&plan(), AT(0));
        queue.moved(AT(100));
        assert!(queue.admits(1000, 8, &plan(), AT(99)), "calm");
        assert!(queue.admits(1, 8, &plan(), AT(100)) && !queue.admits(2, 8, &plan(), AT(100)));
        assert!(queue.admits(24, 100, &plan(), AT(100)) && !queue.admits(25, 100, &plan(), AT(100)));
        (100..120).for_each(|ms| queue.turned(&plan(), AT(ms)));
        queue.moved(AT(120));
        assert!(queue.admits(9, 8, &plan(), AT(120)), "a turn each millisecond");
        assert!(!queue.admits(10, 8, &plan(), AT(120)));
    }

    #[test]
    fn where_nothing_ends_hardly_anybody_joins_from_the_first() {
        let mut queue = Discipline::default();
        queue.moved(AT(0));
        assert!(queue.admits(0, 1024, &plan(), AT(499)) && queue.admits(500, 1024, &plan(), AT(499)));
        queue.joined(&plan(), AT(500));
        assert!(queue.admits(1, 1024, &plan(), AT(500)) && !queue.admits(2, 1024, &plan(), AT(500)));
    }
}
