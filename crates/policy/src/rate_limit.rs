//! How often a request may come: each rule of a plan that matches it has a bucket for it, and the
//! strictest decides. A request passes if every one of these buckets lets it, and then it is taken out of
//! all of them (Envoy Gateway's `LocalRateLimit.rules`).
//!
//! **What is exact.** A bucket holds `requests` and regains them evenly, at `requests` within `per`. So
//! in any span of time, however it is laid, no more pass than `requests` plus what is regained in it:
//! at most twice `requests` in any `per`, and never more than the rate in the long run. A request that
//! is refused takes nothing.

mod quota;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use crate::plan::{ClientPrefix, Distinct, FieldTest, RateLimitPlan, RateRule};
use crate::time::Moment;

use table::{Bucket, Table, TextKey};

pub use quota::Quota;

/// What may be said of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// No rule matches.
    Unruled,
    /// It may pass, and so much is left.
    Pass(Quota),
    /// It may not: 429.
    Limited(Quota),
}

/// All the distinct values that a plan remembers, over its rules: some 15 MB at most. Past this the one
/// that was looked at longest ago is forgotten, and its owner has a full bucket again: a flood of values
/// makes a limit more lenient, never stricter. Who makes up values to that end gains nothing by it, since
/// a new value has a full bucket anyway.
pub const VALUES_MAX: usize = 65_536;

/// The buckets of one plan.
///
/// ```text
///   full --passes--> some left --passes--> empty --(refuses)--> empty
///    ^                |   ^                  |
///    '--regains, all--'   '---regains one----'        a full bucket is not kept
/// ```
#[derive(Debug)]
pub struct RateLimiter {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    plan: RateRule,
    rate: Rate,
    buckets: Buckets,
    /// Whether it matches the request that is decided on.
    matched: bool,
}

/// How a bucket of a rule fills.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// Nanoseconds to regain one request, rounded up.
    each: u64,
    /// Nanoseconds to regain all of them, one after the other.
    all: u64,
}

#[derive(Debug)]
enum Buckets {
    Shared(Bucket),
    Client(Table<IpAddr>),
    /// And one for all requests without the field.
    Header(Table<TextKey>, Bucket),
}

impl RateLimiter {
    /// One with full buckets.
    #[must_use]
    pub fn new(plan: &RateLimitPlan) -> Self {
        let mut limiter = Self { rules: Vec::new() };
        limiter.adopt(plan);
        limiter
    }

    /// Another plan takes the place of the present one. Buckets of rules that it has in common with it
    /// stay as they are, wherever they stand: a change of the configuration is no free round.
    pub fn adopt(&mut self, plan: &RateLimitPlan) {
        let mut former = std::mem::take(&mut self.rules);
        let tables = plan
            .rules
            .iter()
            .filter(|rule| rule.distinct != Distinct::Shared)
            .count();
        let most = VALUES_MAX / tables.max(1);
        for plan in &plan.rules {
            let same = former.iter().position(|rule| rule.plan == *plan);
            let mut rule = same.map_or_else(|| Rule::new(plan), |at| former.swap_remove(at));
            rule.buckets.bound(most);
            self.rules.push(rule);
        }
    }

    /// Decides on a request and, if it may pass, takes it out of its buckets. `header` gives a field's
    /// value by its name in lower case, as [`crate::route::RequestView::header`] does. Of several rules
    /// that match, the one that leaves the least is told of.
    pub fn ask<'h>(
        &mut self,
        client: IpAddr,
        header: impl Fn(&str) -> Option<Cow<'h, [u8]>>,
        now: Moment,
    ) -> Decision {
        let client = client.to_canonical();
        if let [only] = self.rules.as_mut_slice() {
            return if only.matches(client, &header) {
                only.take(client, &header, now).map_or_else(
                    |full_at| Decision::Limited(only.quota(0, full_at, now)),
                    |full_at| Decision::Pass(only.quota(0, full_at, now)),
                )
            } else {
                Decision::Unruled
            };
        }
        let mut refused: Option<Quota> = None;
        for (at, rule) in (0_u32..).zip(&mut self.rules) {
            rule.matched = rule.matches(client, &header);
            if rule.matched
                && let Err(full_at) = rule.look(client, &header, now)
            {
                let quota = rule.quota(at, full_at, now);
                refused = Some(refused.filter(|other| other.wait >= quota.wait).unwrap_or(quota));
            }
        }
        if let Some(quota) = refused {
            return Decision::Limited(quota);
        }
        let mut least: Option<Quota> = None;
        for (at, rule) in (0_u32..).zip(&mut self.rules).filter(|(_, rule)| rule.matched) {
            // It was looked at above, and nothing has changed since.
            let (Ok(full_at) | Err(full_at)) = rule.take(client, &header, now);
            let quota = rule.quota(at, full_at, now);
            least = Some(
                least
                    .filter(|other| other.remaining <= quota.remaining)
                    .unwrap_or(quota),
            );
        }
        least.map_or(Decision::Unruled, Decision::Pass)
    }

    /// Distinct values that are remembered at the moment, over all rules.
    #[must_use]
    pub fn values(&self) -> usize {
        let of_rule = |rule: &Rule| match &rule.buckets {
            Buckets::Shared(_) => 0,
            Buckets::Client(table) => table.len(),
            Buckets::Header(table, _) => table.len(),
        };
        self.rules.iter().map(of_rule).sum()
    }
}

impl Rule {
    fn new(plan: &RateRule) -> Self {
        let buckets = match plan.distinct {
            Distinct::Shared => Buckets::Shared(Bucket::FULL),
            Distinct::Client => Buckets::Client(Table::new()),
            Distinct::Header(_) => Buckets::Header(Table::new(), Bucket::FULL),
        };
        Self {
            plan: plan.clone(),
            rate: Rate::of(plan),
            buckets,
            matched: false,
        }
    }

    /// Takes one out of the bucket that a request of this client has. Either way it says when that is full.
    fn take<'h>(
        &mut self,
        client: IpAddr,
        header: &impl Fn(&str) -> Option<Cow<'h, [u8]>>,
        now: Moment,
    ) -> Result<Moment, Moment> {
        let value = self.value(header);
        let rate = self.rate;
        let take = |bucket: &mut Bucket| bucket.take(rate, now);
        match (&mut self.buckets, value) {
            (Buckets::Shared(bucket) | Buckets::Header(_, bucket), None) => take(bucket),
            (Buckets::Header(table, _), Some(value)) => table.with(&value, now, take),
            (Buckets::Client(table), _) => table.with(&network_of(client, self.plan.client), now, take),
            (Buckets::Shared(bucket), Some(_)) => take(bucket),
        }
    }

    /// Whether one could be taken out.
    fn look<'h>(
        &self,
        client: IpAddr,
        header: &impl Fn(&str) -> Option<Cow<'h, [u8]>>,
        now: Moment,
    ) -> Result<Moment, Moment> {
        let bucket = match (&self.buckets, self.value(header)) {
            (Buckets::Shared(bucket), _) | (Buckets::Header(_, bucket), None) => *bucket,
            (Buckets::Header(table, _), Some(value)) => table.get(&value),
            (Buckets::Client(table), _) => table.get(&network_of(client, self.plan.client)),
        };
        bucket.look(self.rate, now)
    }

    /// What tells a request's bucket by a field from the others; `None` without the field.
    fn value<'h>(&self, header: &impl Fn(&str) -> Option<Cow<'h, [u8]>>) -> Option<TextKey> {
        match &self.plan.distinct {
            Distinct::Header(name) => header(name).map(|value| TextKey::of(&value)),
            Distinct::Shared | Distinct::Client => None,
        }
    }

    fn quota(&self, at: u32, full_at: Moment, now: Moment) -> Quota {
        Quota::of(at, &self.plan, self.rate, full_at, now)
    }

    fn matches<'h>(&self, client: IpAddr, header: &impl Fn(&str) -> Option<Cow<'h, [u8]>>) -> bool {
        let in_source = |&(network, length): &(IpAddr, u8)| is_within(client, network.to_canonical(), length);
        (self.plan.sources.is_empty() || self.plan.sources.iter().any(in_source))
            && self.plan.headers.iter().all(|(name, test)| {
                header(name).is_some_and(|value| match test {
                    FieldTest::Present => true,
                    FieldTest::Exact(asked) => *asked.as_bytes() == *value,
                })
            })
    }
}

impl Rate {
    fn of(plan: &RateRule) -> Self {
        let requests = u64::from(plan.requests.get());
        let per = u64::try_from(plan.per.as_nanos()).unwrap_or(u64::MAX);
        // Rounded up, and the whole made of such parts, so that a bucket holds exactly `requests` and
        // never regains faster than it should.
        let each = per.div_ceil(requests).max(1);
        Self {
            each,
            all: each.saturating_mul(requests),
        }
    }

    fn each(self) -> Duration {
        Duration::from_nanos(self.each)
    }

    fn all(self) -> Duration {
        Duration::from_nanos(self.all)
    }
}

impl Buckets {
    fn bound(&mut self, most: usize) {
        match self {
            Self::Shared(_) => {}
            Self::Client(table) => table.bound(most),
            Self::Header(table, _) => table.bound(most),
        }
    }
}

/// The network that stands for a client: what of its address tells it from others.
fn network_of(client: IpAddr, prefix: ClientPrefix) -> IpAddr {
    let kept = |width: u8, length: u8| u128::MAX.checked_shl(u32::from(width.saturating_sub(length)));
    match client {
        IpAddr::V4(address) => {
            let mask = kept(32, prefix.v4).unwrap_or(0) as u32;
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = kept(128, prefix.v6).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// Whether an address is in a network; addresses of the other family never are.
fn is_within(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let same = |one: u128, two: u128, bits: u8| {
        let shift = u32::from(bits.saturating_sub(length));
        one.checked_shr(shift) == two.checked_shr(shift)
    };
    match (address, network) {
        (IpAddr::V4(one), IpAddr::V4(two)) => same(one.to_bits().into(), two.to_bits().into(), 32),
        (IpAddr::V6(one), IpAddr::V6(two)) => same(one.to_bits(), two.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
