//! Endpoints that fail more than the others do, or more than is borne.

use super::{Cause, Share, Standing, State, Tally};
use crate::plan::OutlierPlan;

/// With fewer endpoints to compare, none is far from the mean: of `n`, the worst is at most
/// `sqrt(n - 1)` standard deviations away, which is 2 for 5.
const COMPARED_MIN: usize = 5;

/// Rates that differ by less are the same: the mean of equal ones is rounded.
const ROUNDING: f64 = 1e-9;

/// The standings that should be ejected for what they did within the interval, as indexes, the worst
/// first. One may be named more than once.
pub(super) fn outliers(standings: &[&mut Standing], plan: &OutlierPlan) -> Vec<(usize, Cause)> {
    if plan.success_rate_factor == 0 && plan.failure_percentage == 0 {
        return Vec::new();
    }
    let answers = rates(standings, plan, |tally| tally.answers);
    let mut found = below_mean(&answers, plan, Cause::SuccessRate);
    found.extend(failing(&answers, plan, Cause::FailurePercentage));
    if plan.split_local {
        let local = rates(standings, plan, |tally| tally.local);
        found.extend(below_mean(&local, plan, Cause::LocalOriginSuccessRate));
        found.extend(failing(&local, plan, Cause::FailurePercentageLocalOrigin));
    }
    found
}

/// Success rates, 0 to 1, of those who had enough requests, ascending.
fn rates(standings: &[&mut Standing], plan: &OutlierPlan, of: impl Fn(&Tally) -> Share) -> Vec<(usize, f64)> {
    let mut rates: Vec<(usize, f64)> = standings
        .iter()
        .enumerate()
        .filter(|(_, standing)| !matches!(standing.state, State::Ejected { .. }))
        .map(|(at, standing)| (at, of(&standing.tally)))
        .filter(|(_, share)| share.all >= plan.rate_requests_min.max(1))
        .map(|(at, share)| (at, f64::from(share.good) / f64::from(share.all)))
        .collect();
    rates.sort_by(|one, two| one.1.total_cmp(&two.1));
    rates
}

fn below_mean(rates: &[(usize, f64)], plan: &OutlierPlan, cause: Cause) -> Vec<(usize, Cause)> {
    if plan.success_rate_factor == 0 || rates.len() < COMPARED_MIN {
        return Vec::new();
    }
    let count = rates.len() as f64;
    let mean = rates.iter().map(|&(_, rate)| rate).sum::<f64>() / count;
    let variance = rates.iter().map(|&(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
    let least = mean - variance.sqrt() * f64::from(plan.success_rate_factor) / 1000.0 - ROUNDING;
    let below = rates.iter().filter(|&&(_, rate)| rate < least);
    below.map(|&(at, _)| (at, cause)).collect()
}

fn failing(rates: &[(usize, f64)], plan: &OutlierPlan, cause: Cause) -> Vec<(usize, Cause)> {
    let most = f64::from(plan.failure_percentage) / 100.0 - ROUNDING;
    let failing = rates
        .iter()
        .filter(|&&(_, rate)| plan.failure_percentage > 0 && 1.0 - rate >= most);
    failing.map(|&(at, _)| (at, cause)).collect()
}
