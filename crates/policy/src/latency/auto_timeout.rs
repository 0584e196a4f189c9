//! A request timeout that follows what is usual, and says how it came about.

use std::fmt;
use std::time::Duration;

use crate::plan::AutoTimeout;

/// A timeout and where it comes from. Its `Display` is a sentence for operators.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AutoAnswer {
    /// The request timeout.
    pub timeout: Duration,
    /// How it came about.
    pub reason: AutoReason,
    plan: AutoTimeout,
}

/// How an automatic timeout came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoReason {
    /// Too little is known: the longest holds.
    Unknown,
    /// The factor times this p99.
    Follows(Duration),
    /// The factor times this p99 would be less than the least.
    Least(Duration),
    /// The factor times this p99 would be more than the most.
    Most(Duration),
}

/// The timeout for what `p99` is known to be.
#[must_use]
pub fn auto_timeout(plan: &AutoTimeout, p99: Option<Duration>) -> AutoAnswer {
    let answer = |timeout, reason| AutoAnswer {
        timeout,
        reason,
        plan: *plan,
    };
    let Some(p99) = p99 else {
        return answer(plan.most, AutoReason::Unknown);
    };
    let wanted = Duration::try_from_secs_f64(p99.as_secs_f64() * plan.factor).unwrap_or(Duration::MAX);
    if wanted >= plan.most {
        answer(plan.most, AutoReason::Most(p99))
    } else if wanted <= plan.least {
        answer(plan.least, AutoReason::Least(p99))
    } else {
        answer(wanted, AutoReason::Follows(p99))
    }
}

impl fmt::Display for AutoAnswer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, plan, .. } = self;
        let factor = plan.factor;
        match self.reason {
            AutoReason::Unknown => {
                let least = super::SAMPLES_MIN;
                write!(
                    out,
                    "{timeout:.3?}, the longest allowed: fewer than {least} responses are known"
                )
            }
            AutoReason::Follows(p99) => {
                write!(out, "{timeout:.3?}: {factor} times the p99 of {p99:.3?}")
            }
            AutoReason::Least(p99) => write!(
                out,
                "{timeout:.3?}, the shortest allowed: {factor} times the p99 of {p99:.3?} is no longer"
            ),
            AutoReason::Most(p99) => write!(
                out,
                "{timeout:.3?}, the longest allowed: {factor} times the p99 of {p99:.3?} is no shorter"
            ),
        }
    }
}
