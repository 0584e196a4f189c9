//! Retry budgets: Envoy's share of the requests in flight, and the Gateway API's share of a rate.

use std::time::Duration;

use policy::plan::RetryBudgetPlan;

use crate::mistake::{Code, Report};
use crate::node::Spot;
use crate::resolve::view::View;

/// The budget that a BackendTrafficPolicy sets, and where, if it does.
pub(super) fn of_policy(spec: View<'_>, report: &mut Report) -> Option<(RetryBudgetPlan, Spot)> {
    let breaker = spec
        .object("circuitBreaker")
        .filter(|view| view.has("retryBudget"));
    if let Some(breaker) = breaker.filter(|_| spec.has("retryConstraint")) {
        report
            .error(
                Code::Exclusive,
                spec.key_spot("retryConstraint"),
                "`retryConstraint` and `retryBudget` both set the retry budget",
            )
            .also(breaker.key_spot("retryBudget"), "the other one")
            .help(
                "keep one: `retryConstraint` bounds retries in a span of time, `retryBudget` those at once",
            );
    }
    if let Some(view) = spec.object("retryConstraint") {
        return Some((rate(view), spec.key_spot("retryConstraint")));
    }
    let breaker = breaker?;
    let plan = parallel(breaker.object("retryBudget")?, report);
    Some((plan, breaker.key_spot("retryBudget")))
}

/// `retryConstraint`, with the Gateway API's defaults (GEP-3388).
pub(super) fn rate(view: View<'_>) -> RetryBudgetPlan {
    let (budget, least) = (view.object("budget"), view.object("minRetryRate"));
    let percent: u32 = budget.and_then(|view| view.int("percent")).unwrap_or(20);
    let interval = budget.and_then(|view| view.duration("interval"));
    let interval = interval.unwrap_or(Duration::from_secs(10));
    let count: u32 = least.and_then(|view| view.int("count")).unwrap_or(10);
    let count_interval = least.and_then(|view| view.duration("interval"));
    let count_interval = count_interval.unwrap_or(Duration::from_secs(1));
    // What may be in each span of `minRetryRate` is allowed in each of the budget's, in proportion.
    let scaled = u128::from(count) * interval.as_millis();
    let floor = scaled.div_ceil(count_interval.as_millis().max(1));
    RetryBudgetPlan::Rate {
        share: f64::from(percent) / 100.0,
        interval,
        floor: u32::try_from(floor).unwrap_or(u32::MAX),
        burst: 0,
    }
}

/// `retryBudget`, with Envoy's defaults.
fn parallel(view: View<'_>, report: &mut Report) -> RetryBudgetPlan {
    let share = match view.object("percent") {
        Some(fraction) => {
            let numerator: u32 = fraction.int("numerator").unwrap_or(0);
            let denominator: u32 = fraction.int("denominator").unwrap_or(100);
            if numerator > denominator {
                report
                    .error(
                        Code::Inconsistent,
                        fraction.value_spot("numerator"),
                        "this share is more than the whole",
                    )
                    .help("keep `numerator` within `denominator`, which is 100 if it is absent");
            }
            f64::from(numerator) / f64::from(denominator)
        }
        None => f64::from(view.int::<u32>("percent").unwrap_or(20)) / 100.0,
    };
    RetryBudgetPlan::Parallel {
        share,
        floor: view.int("minRetryConcurrency").unwrap_or(3),
    }
}
