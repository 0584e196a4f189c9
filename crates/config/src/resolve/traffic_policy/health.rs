//! `healthCheck`: which endpoints sit out.

use std::num::NonZeroU32;
use std::time::Duration;

use policy::plan::{HealthPlan, HealthProbe, OutlierPlan};

use crate::mistake::{Code, Report};
use crate::resolve::view::View;
use crate::units;

use super::variant;

/// `passive`: with the block, Envoy Gateway's defaults hold; without, our own.
pub(super) fn outlier(view: Option<View<'_>>, report: &mut Report) -> OutlierPlan {
    let own = OutlierPlan::default();
    let Some(view) = view else { return own };
    let count = |name, default| view.int(name).unwrap_or(default);
    let plan = OutlierPlan {
        interval: view.duration("interval").unwrap_or(Duration::from_secs(3)),
        consecutive_5xx: count("consecutive5XxErrors", 5),
        consecutive_gateway: count("consecutiveGatewayErrors", 0),
        consecutive_local: count("consecutiveLocalOriginFailures", 5),
        split_local: view.bool("splitExternalLocalOriginErrors").unwrap_or(false),
        success_rate_factor: count("successRateStdevFactor", 0),
        failure_percentage: count("failurePercentageThreshold", 0),
        rate_requests_min: count("requestVolume", own.rate_requests_min),
        base_ejection: view
            .duration("baseEjectionTime")
            .unwrap_or(Duration::from_secs(30)),
        max_ejection: own.max_ejection,
        max_ejection_percent: count("maxEjectionPercent", 10),
    };
    let max_ejection = view.duration("maxEjectionTime");
    if let Some(most) = max_ejection.filter(|most| *most < plan.base_ejection) {
        report
            .error(
                Code::Inconsistent,
                view.value_spot("maxEjectionTime"),
                format!(
                    "`{}` is shorter than the first ejection",
                    units::write_duration(most)
                ),
            )
            .help("make it as long as `baseEjectionTime`, or longer");
    }
    OutlierPlan {
        max_ejection: max_ejection.unwrap_or(plan.max_ejection).max(plan.base_ejection),
        ..plan
    }
}

/// `active`.
pub(super) fn active(view: View<'_>, report: &mut Report) -> Option<HealthPlan> {
    let kind = view.word("type")?;
    // A connection that opens is check enough, so `tcp` may be absent.
    let needs = match kind.text {
        "HTTP" => Some("http"),
        _ if view.has("tcp") => Some("tcp"),
        _ => None,
    };
    variant::check(view, kind, needs, &["http", "tcp"], report);
    let probe = match kind.text {
        "HTTP" => http(view.object("http")?, report)?,
        "TCP" => tcp(view.object("tcp"), report),
        _ => return None,
    };
    let interval = view.duration("interval").unwrap_or(Duration::from_secs(3));
    let threshold = |name, default: NonZeroU32| view.int(name).and_then(NonZeroU32::new).unwrap_or(default);
    Some(HealthPlan {
        timeout: view.duration("timeout").unwrap_or(Duration::from_secs(1)),
        interval,
        initial_jitter: view.duration("initialJitter").unwrap_or(interval),
        unhealthy_threshold: threshold("unhealthyThreshold", UNHEALTHY_THRESHOLD),
        healthy_threshold: threshold("healthyThreshold", NonZeroU32::MIN),
        port: view.object("overrides").and_then(|view| view.int("port")),
        probe,
    })
}

/// Envoy Gateway's default.
const UNHEALTHY_THRESHOLD: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

fn http(view: View<'_>, report: &mut Report) -> Option<HealthProbe> {
    let mut statuses: Vec<u16> = view.ints("expectedStatuses");
    if statuses.is_empty() {
        statuses.push(200);
    }
    let retriable: Vec<u16> = view.ints("retriableStatuses");
    if let Some(both) = retriable.iter().find(|status| statuses.contains(status)) {
        report
            .error(
                Code::Inconsistent,
                view.key_spot("retriableStatuses"),
                format!("status {both} is expected and retriable at once"),
            )
            .help("an expected status is good, a retriable one bad: keep it in one of the lists");
    }
    let method = view.text("method").unwrap_or("GET");
    if method == "HEAD" && view.has("expectedResponse") {
        report
            .error(
                Code::Inconsistent,
                view.key_spot("expectedResponse"),
                "a response to HEAD has no body that could be looked at",
            )
            .also(view.value_spot("method"), "the method")
            .help("use `method: GET`, or remove `expectedResponse`");
    }
    let receive = view.object("expectedResponse");
    Some(HealthProbe::Http {
        host: view.text("hostname").map(str::to_owned),
        path: view.text("path")?.to_owned(),
        method: method.to_owned(),
        statuses,
        retriable,
        receive: receive.map(|view| payload(view, report)).unwrap_or_default(),
    })
}

fn tcp(view: Option<View<'_>>, report: &mut Report) -> HealthProbe {
    let mut bytes = |name| {
        let block = view.and_then(|view| view.object(name));
        block.map(|block| payload(block, report)).unwrap_or_default()
    };
    HealthProbe::Tcp {
        send: bytes("send"),
        receive: bytes("receive"),
    }
}

/// Bytes as text or in base64.
fn payload(view: View<'_>, report: &mut Report) -> Vec<u8> {
    let Some(kind) = view.word("type") else {
        return Vec::new();
    };
    let own = if kind.text == "Binary" { "binary" } else { "text" };
    variant::check(view, kind, Some(own), &["text", "binary"], report);
    let text = view.text(own).unwrap_or_default();
    match own {
        "binary" => units::base64(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    }
}
