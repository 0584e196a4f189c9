//! What a client is told of its bucket: `RateLimit-Policy`, `RateLimit` (draft-ietf-httpapi-ratelimit-
//! headers) and `Retry-After` (RFC 9110, 10.2.3).

use std::time::Duration;

use super::Rate;
use crate::plan::RateRule;
use crate::time::Moment;

/// A bucket after a request was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The rule's place in the plan.
    pub rule: u32,
    /// Requests that a full bucket holds.
    pub limit: u32,
    /// What it takes to regain all of them.
    pub per: Duration,
    /// Requests that would pass now.
    pub remaining: u32,
    /// Until the bucket is full again, if nothing more is taken.
    pub reset: Duration,
    /// Until one request would pass; zero if one would now.
    pub wait: Duration,
}

impl Quota {
    pub(super) fn of(rule: u32, plan: &RateRule, rate: Rate, full_at: Moment, now: Moment) -> Self {
        let reset = full_at.since(now);
        let room = rate.all().saturating_sub(reset);
        let remaining = room.as_nanos() / rate.each().as_nanos();
        Self {
            rule,
            limit: plan.requests.get(),
            per: plan.per,
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset,
            wait: rate.each().saturating_sub(room),
        }
    }

    /// The value of `RateLimit-Policy`. The window is left out if it is no whole number of seconds, as
    /// the field can not say it.
    #[must_use]
    pub fn policy_field(&self) -> String {
        let Self { rule, limit, per, .. } = self;
        if per.subsec_nanos() == 0 {
            format!("\"rule-{rule}\";q={limit};w={}", per.as_secs())
        } else {
            format!("\"rule-{rule}\";q={limit}")
        }
    }

    /// The value of `RateLimit`.
    #[must_use]
    pub fn state_field(&self) -> String {
        let Self { rule, remaining, .. } = self;
        format!("\"rule-{rule}\";r={remaining};t={}", whole_seconds(self.reset))
    }

    /// The value of `Retry-After` with a 429, in seconds: at least 1, as 0 would invite to try at once.
    #[must_use]
    pub fn retry_after(&self) -> u64 {
        whole_seconds(self.wait).max(1)
    }
}

/// Rounded up: who comes back then is not too early.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}
