//! What became of attempts: the last one in full, all of them by number and rule, and why there was no
//! other.

use super::super::story::{Attempt, AttemptEnd, Ended, Ending, History, Rule, Stop, Story};
use super::super::{Death, Failure, Settings};
use super::{Took, connect_fault};
use crate::evidence::{End, Grade};
use crate::keepalive::{Seconds, Source};
use crate::plan::{RetryBudgetPlan, RetryPlan};

/// What became of the last attempt that failed.
pub(super) fn last(story: &Story<'_>) -> String {
    let Some(attempt) = story.history.and_then(History::last) else {
        return String::from("The endpoint answered.");
    };
    let at = &attempt.endpoint;
    match &attempt.end {
        AttemptEnd::Status(status) => format!("The endpoint {at} answered {status}."),
        AttemptEnd::Connect(fault) => format!("The endpoint {at} {}.", connect_fault(*fault)),
        AttemptEnd::ConnectTimeout => match story.settings.connect_timeout() {
            Some(limit) => format!("The endpoint {at} did not accept a connection within {limit}."),
            None => format!("The endpoint {at} did not accept a connection in time."),
        },
        AttemptEnd::Died(ended) => died(attempt, ended, story.around) + &spoken(story),
        AttemptEnd::BadResponse => format!("The response of the endpoint {at} is malformed."),
        AttemptEnd::TimedOut(_) => format!("The endpoint {at} did not respond within the attempt's time."),
        AttemptEnd::GivenUp(sent) => {
            let (took, acknowledged) = (Took(attempt.lasted), super::limits::acknowledged(*sent));
            format!(
                "The endpoint {at} had not responded within {took}{acknowledged} when another attempt was answered."
            )
        }
    }
}

/// What the endpoint speaks instead of HTTP.
pub(super) fn spoken(story: &Story<'_>) -> String {
    story.speaks.map_or(String::new(), |name| {
        format!(" It speaks {name}, not HTTP/1 in plain text, as its first bytes on another connection have shown.")
    })
}

/// Who ended a connection, on what evidence.
fn died(attempt: &Attempt, ended: &Ended, around: &str) -> String {
    let at = &attempt.endpoint;
    let connection = match attempt.idle_age {
        None => String::from("a new connection before responding"),
        Some(age) => format!(
            "a connection that had been idle for {}{}, before responding",
            Seconds(age),
            others(attempt, ended)
        ),
    };
    let mut text = match ended.death {
        Death::Closed if ended.grade == Grade::Begun => {
            format!("The endpoint {at} closed the connection (FIN) inside its response's head.")
        }
        Death::Reset if ended.grade == Grade::Begun => {
            format!("The endpoint {at} reset the connection (RST) inside its response's head.")
        }
        Death::Lost if ended.grade == Grade::Begun => {
            format!("The connection to the endpoint {at} failed inside its response's head.")
        }
        Death::Closed => format!("The endpoint {at} closed {connection}."),
        Death::Reset => format!("The endpoint {at} reset {connection}."),
        Death::Silent => format!(
            "The endpoint {at} acknowledged nothing of what it was sent for {}: the path to it is silent.",
            Took(attempt.lasted)
        ),
        Death::Lost => format!("The connection to the endpoint {at} failed before a response."),
    };
    text.push_str(match ended.facts.end {
        End::Farewell => " It sent a farewell, which is no answer to this request.",
        End::Stale if ended.facts.acknowledged.is_some_and(|count| count > 0) => {
            " What it sent had probably been on its way before the request arrived, so it is not taken for its answer."
        }
        End::Stale => {
            " What it sent was on its way before the request could have arrived, so it answers nothing."
        }
        _ => "",
    });
    if ended.grade != Grade::Begun {
        text.push(' ');
        text.push_str(&evidence(ended));
    }
    if !around.is_empty() {
        text.push(' ');
        text.push_str(around);
    }
    text
}

/// How this close compares with those before.
fn others(attempt: &Attempt, ended: &Ended) -> String {
    let closed = matches!(ended.death, Death::Closed | Death::Reset);
    let known = ended.knowledge.filter(|_| closed).zip(attempt.idle_age);
    let among = known.and_then(|(knowledge, age)| {
        let wall = knowledge.wall?;
        (age >= wall.lo && age <= wall.top()).then_some((wall.closes, knowledge.closes))
    });
    among.map_or(String::new(), |(closes, all)| {
        format!(" (as {closes} of {all} closes)")
    })
}

fn evidence(ended: &Ended) -> String {
    let (written, facts) = (ended.written, &ended.facts);
    let fin = if matches!(facts.end, End::Eof | End::Farewell) {
        "FIN"
    } else {
        "no FIN"
    };
    let acknowledged = facts
        .acknowledged
        .map(|count| format!("{count} of {written} bytes acknowledged, {fin}"));
    match (ended.grade, acknowledged) {
        (Grade::Unsent, _) => String::from("No byte of the request was sent."),
        (Grade::Stillborn, _) => String::from("It had ended before the request's first byte."),
        (Grade::Incomplete, _) => {
            String::from("The request's head was not sent to its end, so it was not processed.")
        }
        (Grade::Begun, _) => String::from("Its response had begun."),
        (Grade::Unreceived, Some(proof)) => format!("It had not received the request ({proof})."),
        (Grade::Unreceived, None) => String::from("It had not received the request."),
        (Grade::Unknown, Some(proof)) => format!("The request may have been processed ({proof})."),
        (Grade::Unknown, None) => String::from("The request may have been processed."),
    }
}

/// How many attempts there were, by which rules, and why there was no other.
pub(super) fn made(story: &Story<'_>) -> Option<String> {
    let history = story.history?;
    let mut text = match history.made() {
        0 => return None,
        1 => String::new(),
        made => counted(history, made, &story.settings),
    };
    if let Ending::Saved = story.ending {
        let limit = learned_limit(history);
        text.push_str(&limit.map_or(String::new(), |limit| format!(" The reuse limit is now {limit}.")));
        return (!text.is_empty()).then_some(text);
    }
    let repeatable = match story.ending {
        Ending::Failed(failure) => is_an_attempts(failure),
        Ending::Answered(_) => true,
        Ending::Saved | Ending::Tunnel(_) | Ending::Drained => false,
    };
    if let Some(stop) = history.stop.filter(|_| repeatable) {
        let reason = reason(stop, &story.settings);
        let lead = if history.made() == 1 {
            "evenkeel did not retry it: "
        } else {
            " No further attempt was made: "
        };
        text.push_str(lead);
        text.push_str(&reason);
        text.push('.');
    }
    (!text.is_empty()).then_some(text)
}

/// Whether a failure is one that an attempt might have been repeated for.
const fn is_an_attempts(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Connect(_)
            | Failure::ConnectTimeout
            | Failure::Died(_)
            | Failure::OtherProtocol { .. }
            | Failure::BadResponse { .. }
            | Failure::ResponseHeadTooLarge
            | Failure::PerTryTimeout
    )
}

/// `evenkeel sent the request 3 times: once, then 2 times by HTTPRoute retry.attempts = 2.`
fn counted(history: &History, made: u32, settings: &Settings<'_>) -> String {
    let sent = history.sent();
    let mut text = match sent {
        0 => format!("evenkeel made {made} attempts, none of which sent the request: one"),
        _ if sent == made => format!("evenkeel sent the request {made} times: once"),
        _ => format!("evenkeel made {made} attempts, of which {sent} sent the request: one"),
    };
    let mut more = |count: u32, rule: &str| {
        if count > 0 {
            text.push_str(&format!(", then {} {rule}", times(count)));
        }
    };
    more(
        history.made_by(Rule::Replay(Grade::Unsent)),
        "because the attempt before was proven not to have been processed",
    );
    more(
        history.made_by(Rule::DefaultRetry),
        "by the default retry of idempotent requests",
    );
    let owners = settings
        .retry()
        .map_or(String::from("by the route's retry"), |retry| {
            format!("by the route's retry ({retry})")
        });
    more(history.made_by(Rule::OwnersRetry), &owners);
    more(history.made_by(Rule::Hedge), "as a hedge beside a slow attempt");
    text.push('.');
    text
}

fn times(count: u32) -> String {
    if count == 1 {
        String::from("once")
    } else {
        format!("{count} times")
    }
}

/// The limit that closes have taught, if they have.
fn learned_limit(history: &History) -> Option<Seconds> {
    let AttemptEnd::Died(ended) = &history.last()?.end else {
        return None;
    };
    let knowledge = ended.knowledge?;
    (knowledge.limit.source != Source::Configured).then_some(Seconds(knowledge.limit.reuse))
}

/// Why there was no other attempt.
fn reason(stop: Stop, settings: &Settings<'_>) -> String {
    let retry = settings.retry();
    let owners = |rest: &str| {
        retry.map_or(format!("the route's retry {rest}"), |retry| {
            format!("{retry} {rest}")
        })
    };
    match stop {
        Stop::Begun => String::from("its response had begun"),
        Stop::NotKept => match settings.replay_buffer() {
            Some(limit) => format!("it is not kept whole, since it is larger than {limit}"),
            None => String::from("it is not kept whole"),
        },
        Stop::ClientStalled => {
            String::from("the client had kept the endpoint waiting for the rest of the request")
        }
        Stop::NotIdempotent => String::from("its method is not idempotent, and it has no Idempotency-Key"),
        Stop::NotRepeated => {
            String::from("without a retry of the owner's, evenkeel repeats no attempt that ended so")
        }
        Stop::UsedUp => String::from("without a retry of the owner's, there are no more"),
        Stop::OwnersNone => owners("forbids it"),
        Stop::OwnersOther => String::from("the route's retry does not name what happened"),
        Stop::OwnersUsedUp => owners("allows no more"),
        Stop::Budget => format!("the backend's retry budget was spent ({})", budget(settings)),
        Stop::Parallel => {
            let most = settings.plan.map_or(0, |plan| plan.limits.max_parallel_retries);
            format!(
                "as many retries as BackendTrafficPolicy circuitBreaker.maxParallelRetries = {most} were in flight"
            )
        }
    }
}

/// The retry budget as it is set.
pub(super) fn budget(settings: &Settings<'_>) -> String {
    let Some(plan) = settings.plan else {
        return String::from("BackendTrafficPolicy retryConstraint");
    };
    let default = if plan.retry_budget == RetryBudgetPlan::default() {
        ", the default"
    } else {
        ""
    };
    match plan.retry_budget {
        RetryBudgetPlan::Rate {
            share,
            interval,
            floor,
            burst,
        } => format!(
            "BackendTrafficPolicy retryConstraint = {} % of the requests of {}, at least {floor}, and a burst of {burst}{default}",
            share * 100.0,
            Seconds(interval)
        ),
        RetryBudgetPlan::Parallel { share, floor } => format!(
            "BackendTrafficPolicy circuitBreaker.retryBudget = {} % of the requests in flight, at least {floor}{default}",
            share * 100.0
        ),
    }
}

/// Whether the owner has set a retry for this exchange.
pub(super) fn owner_has_retry(settings: &Settings<'_>) -> bool {
    let route = settings.route.and_then(|route| route.retry.as_ref());
    let plan = route.or_else(|| settings.plan.map(|plan| &plan.retry));
    matches!(plan, Some(RetryPlan::Owner(_)))
}
