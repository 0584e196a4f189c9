//! How often a request may come: the first rule of a plan that matches it has a bucket for it.
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

    /// Decides on a request and, if it may pass, takes it out of its bucket. `header` gives a field's
    /// value by its name in lower case, as [`crate::route::RequestView::header`] does.
    pub fn ask<'h>(
        &mut self,
        client: IpAddr,
        header: impl Fn(&str) -> Option<Cow<'h, [u8]>>,
        now: Moment,
    ) -> Decision {
        let client = client.to_canonical();
        let Some((at, rule)) = (0_u32..)
            .zip(&mut self.rules)
            .find(|(_, rule)| rule.matches(client, &header))
        else {
            return Decision::Unruled;
        };
        let rate = rule.rate;
        let take = |bucket: &mut Bucket| bucket.take(rate, now);
        let taken = match &mut rule.buckets {
            Buckets::Shared(bucket) => take(bucket),
            Buckets::Client(table) => table.with(&network_of(client, rule.plan.client), now, take),
            Buckets::Header(table, without) => {
                let Distinct::Header(name) = &rule.plan.distinct else {
                    unreachable!("buckets by field belong to a rule by field")
                };
                match header(name) {
                    Some(value) => table.with(&TextKey::of(&value), now, take),
                    None => take(without),
                }
            }
        };
        let quota = |full_at: Moment| Quota::of(at, &rule.plan, rate, full_at, now);
        match taken {
            Ok(full_at) => Decision::Pass(quota(full_at)),
            Err(full_at) => Decision::Limited(quota(full_at)),
        }
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
        }
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
