//! The blocks that keep an overload where it is: `queue`, `hedge`, `adaptiveConcurrency`, `autoTimeout`.

use policy::plan::{AdaptivePlan, AutoTimeout, HedgePlan, QueuePlan};

use crate::mistake::{Code, Report};
use crate::resolve::view::View;

/// `queue`.
pub(super) fn queue(view: Option<View<'_>>) -> QueuePlan {
    let mut plan = QueuePlan::default();
    if let Some(view) = view {
        plan.interval = view.duration("interval").unwrap_or(plan.interval);
        plan.patience = view.duration("maxWait").unwrap_or(plan.patience);
    }
    plan
}

/// `hedge`.
pub(super) fn hedge(view: View<'_>) -> HedgePlan {
    let plan = HedgePlan::default();
    HedgePlan {
        quantile: view.number("quantile").unwrap_or(plan.quantile),
        least: view.duration("minDelay").unwrap_or(plan.least),
    }
}

/// `adaptiveConcurrency`.
pub(super) fn adaptive(view: View<'_>, report: &mut Report) -> AdaptivePlan {
    let plan = AdaptivePlan::default();
    let plan = AdaptivePlan {
        least: view.int("minLimit").unwrap_or(plan.least),
        most: view.int("maxLimit").unwrap_or(plan.most),
        tolerance: view.number("tolerance").unwrap_or(plan.tolerance),
    };
    if plan.least > plan.most {
        between(view, ("minLimit", "maxLimit"), report);
    }
    plan
}

/// `timeout.http.autoTimeout`, which takes the place of `requestTimeout`.
pub(super) fn auto_timeout(http: View<'_>, report: &mut Report) -> Option<AutoTimeout> {
    let view = http.object("autoTimeout")?;
    if http.has("requestTimeout") {
        report
            .error(
                Code::Exclusive,
                http.key_spot("autoTimeout"),
                "`autoTimeout` and `requestTimeout` exclude each other",
            )
            .also(http.key_spot("requestTimeout"), "the other one")
            .help("remove one of them; `autoTimeout.most` is the longest that the timeout becomes");
    }
    let plan = AutoTimeout::default();
    let plan = AutoTimeout {
        factor: view.number("factor").unwrap_or(plan.factor),
        least: view.duration("least").unwrap_or(plan.least),
        most: view.duration("most").unwrap_or(plan.most),
    };
    if plan.least > plan.most {
        between(view, ("least", "most"), report);
    }
    Some(plan)
}

/// Notes that a lower bound is above the upper one. Either may be the default.
fn between(view: View<'_>, (least, most): (&str, &str), report: &mut Report) {
    let at = if view.has(least) { least } else { most };
    report
        .error(
            Code::Inconsistent,
            view.value_spot(at),
            format!("`{least}` is above `{most}`"),
        )
        .help(format!(
            "keep `{least}` within `{most}`; where one of them is absent, its default holds"
        ));
}
