//! Retries, in the words of HTTPRoute and of BackendTrafficPolicy.

use std::time::Duration;

use policy::plan::{OwnerRetry, RetryOn, RetryPlan, UnsafeMethods};

use crate::mistake::{Code, Report};

use super::view::View;

/// HTTPRoute's `retry`: every method, on a broken connection, a per-try timeout, and the codes.
pub(super) fn of_route(view: View<'_>) -> RetryPlan {
    RetryPlan::Owner(OwnerRetry {
        unsafe_methods: UnsafeMethods::Retry,
        attempts: view.int("attempts").unwrap_or(1),
        backoff: view.duration("backoff").filter(|pause| !pause.is_zero()),
        backoff_max: None,
        on: RetryOn {
            reset: true,
            connect_failure: true,
            reset_before_request: false,
            timeout: true,
            statuses: sorted(view.ints("codes")),
        },
    })
}

/// BackendTrafficPolicy's `retry`, with Envoy Gateway's defaults.
pub(super) fn of_policy(view: View<'_>, words: Words, report: &mut Report) -> RetryPlan {
    let back_off = view
        .object("perRetry")
        .and_then(|per_retry| per_retry.object("backOff"));
    let backoff = back_off.map(|view| view.duration("baseInterval").unwrap_or(BASE_INTERVAL));
    let backoff_max = back_off.and_then(|view| view.duration("maxInterval"));
    if let (Some(view), Some(base), Some(most)) = (back_off, backoff, backoff_max)
        && most < base
    {
        report
            .error(
                Code::Inconsistent,
                view.value_spot("maxInterval"),
                "`maxInterval` is shorter than `baseInterval`",
            )
            .help("make it as long, or longer");
    }
    RetryPlan::Owner(OwnerRetry {
        unsafe_methods: match view.text("unsafeMethods") {
            Some("ProvenOnly") => UnsafeMethods::ProvenOnly,
            _ => UnsafeMethods::Retry,
        },
        attempts: view.int("numRetries").unwrap_or(2),
        backoff,
        backoff_max,
        on: view
            .object("retryOn")
            .map_or_else(default_conditions, |view| conditions(view, words, report)),
    })
}

/// Envoy's default for `baseInterval`.
const BASE_INTERVAL: Duration = Duration::from_millis(25);

fn default_conditions() -> RetryOn {
    RetryOn {
        connect_failure: true,
        reset_before_request: true,
        statuses: vec![503],
        ..RetryOn::default()
    }
}

/// Whose API a policy is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    Own,
    EnvoyGateway,
}

/// Envoy's triggers. `refused-stream` is HTTP/2's and never occurs. In Envoy Gateway's words
/// `httpStatusCodes` counts only with `retriable-status-codes`; in ours a list of statuses is asked for by
/// being there.
fn conditions(view: View<'_>, words: Words, report: &mut Report) -> RetryOn {
    let mut on = RetryOn {
        statuses: view.ints("httpStatusCodes"),
        ..RetryOn::default()
    };
    let asked = |trigger: &super::view::Word<'_>| trigger.text == "retriable-status-codes";
    let triggers = view.words("triggers");
    if words == Words::EnvoyGateway && view.has("httpStatusCodes") && !triggers.iter().any(asked) {
        on.statuses.clear();
        report
            .error(
                Code::Ignored,
                view.key_spot("httpStatusCodes"),
                "`httpStatusCodes` has no effect without the trigger `retriable-status-codes`",
            )
            .help("add `retriable-status-codes` to `triggers`");
    }
    for trigger in triggers {
        match trigger.text {
            "5xx" => {
                (on.reset, on.connect_failure, on.timeout) = (true, true, true);
                on.statuses.extend(500..=599);
            }
            "gateway-error" => {
                (on.reset, on.connect_failure, on.timeout) = (true, true, true);
                on.statuses.extend([502, 503, 504]);
            }
            "reset" => (on.reset, on.timeout) = (true, true),
            "reset-before-request" => on.reset_before_request = true,
            "connect-failure" => on.connect_failure = true,
            "retriable-4xx" => on.statuses.push(409),
            _ => {}
        }
    }
    on.statuses = sorted(on.statuses);
    on
}

fn sorted(mut statuses: Vec<u16>) -> Vec<u16> {
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}
