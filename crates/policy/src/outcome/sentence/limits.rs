//! Limits that were met, each with its name and the value it has now.

use super::super::story::{AttemptEnd, Phase, Sent, Story};
use super::super::{Failure, HeadLimit, Setting, Value};
use super::{Took, bytes, endpoint, head_limit};
use crate::cluster::Refusal;
use crate::plan::{Limits, QueuePlan};

pub(super) fn head(story: &Story<'_>, limit: HeadLimit) -> String {
    match head_limit(story, limit) {
        (what, Some(setting)) => format!("{what} {setting} allows."),
        (what, None) => format!(
            "{what} the {} that evenkeel takes.",
            Value::Bytes(story.settings.client.trailer_bytes)
        ),
    }
}

pub(super) fn body_too_large(story: &Story<'_>) -> String {
    let progress = &story.progress;
    let limit = story.settings.request_body();
    let limit = limit.map_or(String::from("evenkeel takes"), |limit| format!("{limit} allows"));
    let seen = match progress.received_of {
        Some(announced) => format!("its Content-Length is {announced}, and evenkeel forwarded nothing of it"),
        None => format!("{} of it had come", bytes(progress.received, None)),
    };
    format!("The request's body has more bytes than {limit}: {seen}.")
}

pub(super) fn head_timeout(story: &Story<'_>) -> String {
    let came = bytes(story.progress.received, None);
    let limit = story.settings.client.head_timeout;
    format!("The client did not finish its request's head within {limit}; {came} of it had come.")
}

pub(super) fn head_shed(story: &Story<'_>) -> String {
    let came = bytes(story.progress.received, None);
    format!(
        "The client had not finished its request's head ({came} of it had come), and it was the oldest when all \
         unfinished heads took more memory than --unfinished-heads-max allows."
    )
}

pub(super) fn body_timeout(story: &Story<'_>) -> String {
    let came = bytes(story.progress.received, story.progress.received_of);
    let limit = client_idle(story);
    format!("The client stopped sending its request's body: no byte came for {limit}, after {came}.")
}

pub(super) fn stuck(story: &Story<'_>) -> String {
    let limit = client_idle(story);
    let progress = &story.progress;
    format!(
        "The client took no byte of its response for {limit}, after {} of it.",
        bytes(progress.sent, progress.sent_of)
    )
}

/// How long a client may keep still: the shorter one of two limits.
pub(super) fn client_idle(story: &Story<'_>) -> Setting {
    let client = story.settings.client.body_timeout;
    let stream = story.settings.stream_idle();
    let shorter = |limit: &Setting| match (limit.value, client.value) {
        (Value::Span(stream), Value::Span(client)) => stream < client,
        _ => false,
    };
    stream.filter(shorter).unwrap_or(client)
}

/// A timeout, and what was waited for when it passed.
pub(super) fn timeout(story: &Story<'_>, failure: &Failure) -> String {
    let settings = &story.settings;
    let (what, limit) = match failure {
        Failure::PerTryTimeout => ("The attempt", settings.per_try_timeout()),
        _ => ("The request", settings.request_timeout()),
    };
    let limit = limit.map_or(String::from("it may"), |limit| limit.to_string());
    let waited_for = match failure {
        Failure::SlowClient => format!(
            "the client was slow to take its response, of which evenkeel had sent {}",
            bytes(story.progress.sent, story.progress.sent_of)
        ),
        _ => waited_for(story),
    };
    format!("{what} took longer than {limit}: {waited_for}.")
}

fn waited_for(story: &Story<'_>) -> String {
    let (at, progress) = (endpoint(story), &story.progress);
    match progress.phase {
        Phase::Head => String::from("its head was being read"),
        Phase::Connection => String::from("it was waiting for a connection to the backend"),
        Phase::Pause => String::from("evenkeel was pausing before the next attempt"),
        Phase::Request => format!(
            "its body was still coming from the client ({})",
            bytes(progress.received, progress.received_of)
        ),
        Phase::Response => format!("the endpoint{at} had not responded{}", how_long(story)),
        Phase::Body => format!(
            "{} of the response's body had come from the endpoint{at}",
            bytes(progress.sent, progress.sent_of)
        ),
    }
}

/// ` within 297 ms (80 of 80 bytes acknowledged)`.
fn how_long(story: &Story<'_>) -> String {
    let last = story.history.and_then(|history| history.last());
    let Some(attempt) = last else {
        return String::new();
    };
    let proof = match attempt.end {
        AttemptEnd::TimedOut(sent) | AttemptEnd::GivenUp(sent) => acknowledged(sent),
        _ => String::new(),
    };
    format!(" within {}{proof}", Took(attempt.lasted))
}

pub(super) fn acknowledged(sent: Sent) -> String {
    match sent.acknowledged {
        Some(count) => format!(" ({count} of {} bytes acknowledged)", sent.written),
        None => format!(" ({} bytes sent)", sent.written),
    }
}

/// No byte moved for too long, and it was the endpoint's turn.
pub(super) fn idle(story: &Story<'_>) -> String {
    let (at, progress) = (endpoint(story), &story.progress);
    let limit = story
        .settings
        .stream_idle()
        .map_or(String::from("as long as a stream may idle"), |limit| {
            limit.to_string()
        });
    if progress.phase == Phase::Body {
        return format!(
            "No byte of the response came from the endpoint{at} for {limit}, after {} of its body.",
            bytes(progress.sent, progress.sent_of)
        );
    }
    format!("No byte came from the endpoint{at} for {limit}, and it had not responded.")
}

/// A limit on load.
pub(super) fn overflow(story: &Story<'_>, refusal: Refusal) -> String {
    let Some(plan) = story.settings.plan else {
        return String::from("The backend's limits leave no room for the request.");
    };
    let usual = Limits::default();
    let scarce = if story.around.is_empty() {
        String::from("Every connection to the backend was in use.")
    } else {
        story.around.to_owned()
    };
    match refusal {
        Refusal::NoEndpoint => String::from("The backend has no endpoint in service."),
        Refusal::Requests => {
            let name = "BackendTrafficPolicy circuitBreaker.maxParallelRequests";
            let limit = Setting::count(
                name,
                plan.limits.max_parallel_requests,
                usual.max_parallel_requests,
            );
            format!("As many requests to the backend were in flight as {limit} allows.")
        }
        Refusal::Overflow => {
            let name = "BackendTrafficPolicy circuitBreaker.maxPendingRequests";
            let limit = Setting::count(name, plan.limits.max_pending_requests, usual.max_pending_requests);
            format!("{scarce} As many requests waited for one as {limit} allows.")
        }
        Refusal::Overload => {
            let name = "BackendTrafficPolicy queue.interval";
            let limit = Setting::span(name, plan.queue.interval, QueuePlan::default().interval);
            format!(
                "{scarce} The queue for them had not been empty for {limit}, so the request would have waited in vain."
            )
        }
        Refusal::Stalled => {
            let name = "BackendTrafficPolicy queue.maxWait";
            let limit = Setting::span(name, plan.queue.patience, QueuePlan::default().patience);
            format!(
                "{scarce} No request to the backend had ended for half of {limit}, so the request would have waited in vain."
            )
        }
        Refusal::Shed => {
            let name = "BackendTrafficPolicy queue.maxWait";
            let limit = Setting::span(name, plan.queue.patience, QueuePlan::default().patience);
            format!("{scarce} The request waited for one as long as {limit} allows.")
        }
    }
}
