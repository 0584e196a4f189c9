//! How much retrying a cluster can bear. Retries and hedges draw on it; a replay with proof does not.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::plan::RetryBudgetPlan;
use crate::time::Moment;

/// Parts of the window, so that it slides: it covers between nine and ten tenths of the interval.
const PARTS: u64 = 10;

/// Retries are remembered for one part longer, and so for the interval at least: a share of what came
/// within it is never exceeded within it.
const KEPT: usize = PARTS as usize + 1;

/// What is in flight to the cluster at the moment, for [`RetryBudgetPlan::Parallel`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// Requests, those that wait for a connection included.
    pub requests: u32,
    /// Retries and hedges among them.
    pub retries: u32,
}

/// The retry budget of one cluster, over all its routes and workers.
///
/// ```text
///   oldest |                     the window                    head |
///   |      | 9 req | 7 req | 8 req | ...................... | 6 req |
///   | 1 try| 1 try | 0     | 2 try |                        | 1 try |
///   one more retry is admitted while  retries + 1 <= max(floor, share * requests)  over what is kept
/// ```
/// What this promises (with a floor of 0): of all requests so far, no more than the share was ever
/// retried, and in every interval that ends with a retry too, the first of an outage included. For such
/// intervals that do not overlap cover all retries, and each holds its own bound. A floor adds itself
/// once an interval.
///
/// Past that a retry may draw on the burst: `burst` tokens, regained at the floor's rate. Every retry takes
/// one, whatever it was admitted by, so where the share alone admits more than the floor none is left.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    parts: [Part; KEPT],
    /// Retries of all parts, requests of all but the oldest.
    sum: Part,
    /// The number of the newest part, counted from the origin of time.
    head: u64,
    /// The whole window, as last asked under.
    interval: Duration,
    /// When the newest part ends.
    ends: Moment,
    /// When all tokens of the burst will be there again.
    full_at: Moment,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    requests: u32,
    retries: u32,
}

impl RetryBudget {
    /// One that nothing was drawn from.
    #[must_use]
    pub fn new() -> Self {
        Self {
            parts: [Part::default(); KEPT],
            sum: Part::default(),
            head: 0,
            interval: Duration::ZERO,
            ends: Moment::default(),
            full_at: Moment::default(),
        }
    }

    /// A request begins: to be called once for each, at its first attempt.
    pub fn on_request(&mut self, plan: &RetryBudgetPlan, now: Moment) {
        if let Some(part) = self.advance(plan, now) {
            part.requests += 1;
            self.sum.requests += 1;
        }
    }

    /// Whether one more retry or hedge may begin now; if so it is counted. Ask last, when nothing else
    /// can keep it from beginning: what was drawn is not given back.
    #[must_use]
    pub fn admit(&mut self, plan: &RetryBudgetPlan, in_flight: InFlight, now: Moment) -> bool {
        let admitted = self.remaining(plan, in_flight, now) > 0;
        if admitted && let Some(part) = self.advance(plan, now) {
            part.retries += 1;
            self.sum.retries += 1;
            self.take_token(plan, now);
        }
        admitted
    }

    /// How many more retries would be admitted now.
    #[must_use]
    pub fn remaining(&mut self, plan: &RetryBudgetPlan, in_flight: InFlight, now: Moment) -> u32 {
        self.advance(plan, now);
        match *plan {
            RetryBudgetPlan::Rate { share, floor, .. } => {
                let shared = allowed(share, self.sum.requests, floor).saturating_sub(self.sum.retries);
                shared.max(self.tokens(plan, now))
            }
            RetryBudgetPlan::Parallel { share, floor } => {
                allowed(share, in_flight.requests, floor).saturating_sub(in_flight.retries)
            }
        }
    }

    /// Tokens of the burst that are there now.
    fn tokens(&self, plan: &RetryBudgetPlan, now: Moment) -> u32 {
        let RetryBudgetPlan::Rate { burst, .. } = *plan else {
            return 0;
        };
        let Some(each) = token_nanos(plan) else { return 0 };
        let missing = self.full_at.since(now).as_nanos().div_ceil(u128::from(each));
        burst.saturating_sub(u32::try_from(missing).unwrap_or(u32::MAX))
    }

    fn take_token(&mut self, plan: &RetryBudgetPlan, now: Moment) {
        let RetryBudgetPlan::Rate { burst, .. } = *plan else {
            return;
        };
        if let Some(each) = token_nanos(plan) {
            let each = Duration::from_nanos(each);
            // As many again may be owed: what the share admits is no reason for more from the burst.
            let most = each.saturating_mul(burst).saturating_mul(2);
            self.full_at = (self.full_at.max(now) + each).min(now + most);
        }
    }

    /// Lets parts fall out of the window; the part of `now`, if the plan has a window.
    fn advance(&mut self, plan: &RetryBudgetPlan, now: Moment) -> Option<&mut Part> {
        let RetryBudgetPlan::Rate { interval, .. } = *plan else {
            return None;
        };
        // Workers read the clock before they get to the cluster, so one may be a little behind.
        if now >= self.ends || interval != self.interval {
            self.turn(interval, now);
        }
        Some(&mut self.parts[slot(self.head)])
    }

    /// Goes on to the part of `now`.
    fn turn(&mut self, interval: Duration, now: Moment) {
        let width = part_nanos(interval);
        let head = now.as_nanos() / width;
        if interval != self.interval {
            // Another interval: what is known is kept as if it had happened just now. To forget it
            // would grant the floor again, and two snapshots with different plans may take turns.
            let sum = self.sum;
            self.parts = [Part::default(); KEPT];
            self.parts[slot(head)] = sum;
            (self.head, self.interval) = (head, interval);
        }
        for number in (self.head + 1..=head).take(KEPT) {
            let left = std::mem::take(&mut self.parts[slot(number)]);
            self.sum.retries -= left.retries;
            self.sum.requests -= self.parts[slot(number + 1)].requests;
        }
        self.head = self.head.max(head);
        self.ends = Moment::from_nanos((self.head + 1).saturating_mul(width));
    }
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self::new()
    }
}

/// How long one token of the burst takes to come back; `None` without a burst.
fn token_nanos(plan: &RetryBudgetPlan) -> Option<u64> {
    match *plan {
        RetryBudgetPlan::Rate {
            interval,
            floor,
            burst,
            ..
        } if burst > 0 && floor > 0 => {
            let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            Some((nanos / u64::from(floor)).max(1))
        }
        RetryBudgetPlan::Rate { .. } | RetryBudgetPlan::Parallel { .. } => None,
    }
}

fn slot(number: u64) -> usize {
    (number % KEPT as u64) as usize
}

fn part_nanos(interval: Duration) -> u64 {
    let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
    (nanos / PARTS).max(1)
}

/// `share` of so many requests, and at least `floor`. In millionths, since 0.29 * 100 as a fraction of
/// twos is less than 29.
fn allowed(share: f64, requests: u32, floor: u32) -> u32 {
    let millionths = (share.clamp(0.0, 1.0) * 1e6).round() as u64;
    let shared = u64::from(requests) * millionths / 1_000_000;
    floor.max(u32::try_from(shared).unwrap_or(u32::MAX))
}
