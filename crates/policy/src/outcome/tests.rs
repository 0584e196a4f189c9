use super::*;
use crate::evidence::{End, Facts, Written};
use crate::keepalive::{Learner, Sign};
use crate::plan::KeepAlivePlan;
use crate::time::Moment;

const RESET: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";

fn told(failure: &Failure) -> (Option<u16>, String, String, String) {
    let verdict = verdict(failure, Before::default());
    (
        verdict.status,
        verdict.flags.to_string(),
        verdict.details.into_owned(),
        verdict.body.into_owned(),
    )
}

#[test]
fn each_failure_is_told_in_envoys_words() {
    let row = |status: u16, flags: &str, details: &str, body: &str| {
        (
            (status > 0).then_some(status),
            flags.to_owned(),
            details.to_owned(),
            body.to_owned(),
        )
    };
    let bad = Failure::BadRequest {
        status: 431,
        details: "http1.headers_too_large",
    };
    let refused = Failure::Connect {
        reason: "Connection refused".into(),
    };
    let uwsgi = Failure::Protocol {
        reason: "the endpoint speaks uwsgi".into(),
    };
    let started = "upstream_reset_before_response_started";
    let rows = [
        (
            bad,
            row(
                431,
                "DPE",
                "http1.headers_too_large",
                "Request Header Fields Too Large",
            ),
        ),
        (
            Failure::HeadTimeout,
            row(408, "DPE", "request_header_timeout", "request header timeout"),
        ),
        (
            Failure::BodyTimeout,
            row(408, "SI", "stream_idle_timeout", "stream timeout"),
        ),
        (
            Failure::DownstreamLeft,
            row(0, "DC", "downstream_remote_disconnect", ""),
        ),
        (Failure::NoRoute, row(404, "NR", "route_not_found", "")),
        (Failure::NoCluster, row(500, "NC", "cluster_not_found", "")),
        (Failure::OptionsEndsHere, row(200, "-", "direct_response", "")),
        (Failure::TraceEndsHere, row(405, "-", "direct_response", "")),
        (Failure::UpgradeRefused, row(403, "-", "upgrade_failed", "")),
        (
            Failure::Refused(Refusal::NoEndpoint),
            row(503, "UH", "no_healthy_upstream", "no healthy upstream"),
        ),
        (
            Failure::Refused(Refusal::Overflow),
            row(
                503,
                "UO",
                &format!("{started}{{overflow}}"),
                &format!("{RESET}overflow"),
            ),
        ),
        (
            Failure::Unresolved,
            row(503, "DF", "dns_resolution_failure", "DNS resolution failure"),
        ),
        (
            refused,
            row(
                503,
                "UF",
                &format!("{started}{{remote_connection_failure|Connection_refused}}"),
                &format!("{RESET}remote connection failure, transport failure reason: Connection refused"),
            ),
        ),
        (
            Failure::ConnectTimeout,
            row(
                503,
                "UF",
                &format!("{started}{{connection_timeout}}"),
                &format!("{RESET}connection timeout"),
            ),
        ),
        (
            Failure::Died { reason: None },
            row(
                503,
                "UC",
                &format!("{started}{{connection_termination}}"),
                &format!("{RESET}connection termination"),
            ),
        ),
        (
            uwsgi,
            row(
                502,
                "UPE",
                &format!("{started}{{protocol_error|the_endpoint_speaks_uwsgi}}"),
                &format!("{RESET}protocol error, transport failure reason: the endpoint speaks uwsgi"),
            ),
        ),
        (
            Failure::Truncated,
            row(
                0,
                "UC",
                "upstream_reset_after_response_started{connection_termination}",
                "",
            ),
        ),
        (
            Failure::ProtocolInBody,
            row(
                0,
                "UPE",
                "upstream_reset_after_response_started{protocol_error}",
                "",
            ),
        ),
        (
            Failure::PerTryTimeout,
            row(504, "UT", "upstream_per_try_timeout", "upstream request timeout"),
        ),
        (
            Failure::RequestTimeout,
            row(504, "UT", "response_timeout", "upstream request timeout"),
        ),
        (
            Failure::IdleDownstream,
            row(408, "SI", "stream_idle_timeout", "stream timeout"),
        ),
        (
            Failure::IdleUpstream,
            row(504, "SI", "stream_idle_timeout", "stream timeout"),
        ),
        (Failure::LateTimeout, row(0, "UT", "response_timeout", "")),
    ];
    for (failure, expected) in rows {
        assert_eq!(told(&failure), expected, "{failure:?}");
    }
}

#[test]
fn an_overflow_says_so_to_the_client_and_when_to_return() {
    let overflow = verdict(&Failure::Refused(Refusal::Overflow), Before::default());
    assert!(overflow.overloaded);
    assert_eq!(overflow.retry_after, Some(Duration::from_secs(1)));
    assert!(!verdict(&Failure::NoRoute, Before::default()).overloaded);
}

#[test]
fn a_request_that_came_too_early_is_told_when_to_return_and_what_it_may_have() {
    let quota = Quota {
        rule: 0,
        limit: 5,
        per: Duration::from_secs(60),
        remaining: 0,
        reset: Duration::from_secs(60),
        wait: Duration::from_millis(11_200),
    };
    let verdict = verdict(&Failure::RateLimited(quota), Before::default());
    assert_eq!(
        (verdict.status, verdict.flags.to_string()),
        (Some(429), "RL".into())
    );
    assert_eq!((&*verdict.details, &*verdict.body), (RATE_LIMITED, RATE_LIMITED));
    assert_eq!(verdict.retry_after, Some(Duration::from_secs(12)));
    assert_eq!(verdict.quota, Some(quota));
    assert!(!verdict.overloaded, "that speaks of endpoints");
}

#[test]
fn a_failure_after_retries_says_so_in_body_and_flags() {
    let before = Before {
        made_again: true,
        limit_exceeded: true,
    };
    let verdict = verdict(&Failure::Died { reason: None }, before);
    assert_eq!(verdict.flags.to_string(), "UC,URX");
    assert!(
        verdict
            .body
            .contains("before headers. retried and the latest reset reason: connection termination")
    );
}

#[test]
fn a_silent_path_is_told_apart_from_a_close() {
    let (status, flags, details, _) = told(&Failure::Silent);
    assert_eq!((status, flags.as_str()), (Some(503), "UC"));
    assert!(
        details.contains("|nothing_that_was_sent_is_acknowledged}"),
        "{details}"
    );
}

#[test]
fn flags_are_written_in_their_order_and_none_is_a_dash() {
    assert_eq!(FlagSet::NONE.to_string(), "-");
    assert_eq!(FlagSet::NONE.with(Flag::URX).with(Flag::UF).to_string(), "UF,URX");
    for flag in Flag::ALL {
        let set = FlagSet::NONE.with(flag);
        assert_eq!(set.iter().collect::<Vec<_>>(), [flag]);
        assert_eq!(set.to_string(), format!("{flag:?}"));
    }
}

fn raced(then: Then, end: End, acknowledged: Option<u64>) -> Story {
    let plan = KeepAlivePlan::default();
    let mut learner = Learner::new();
    for n in 0..41 {
        learner.on_closed(
            Duration::from_millis(5001),
            Sign::Fin,
            Moment::from_millis(n * 6000),
        );
    }
    let facts = Facts {
        written: Written::WholeHead,
        end,
        ended_before_write: false,
        head_bytes: 412,
        acknowledged,
        response_begun: false,
    };
    Story {
        facts,
        grade: crate::evidence::grade(&facts),
        idle_age: Some(Duration::from_millis(5001)),
        request_bytes: 412,
        knowledge: Some(learner.knowledge(&plan, Duration::from_millis(1))),
        then,
    }
}

#[test]
fn a_saved_request_tells_its_story() {
    let story = raced(Then::Replayed, End::Eof, Some(0));
    assert_eq!(
        sentence(&story),
        "the endpoint closed the connection after 5.001 s idle, as 41 of 41 closes; the request was not \
         received (FIN, 0 of 412 bytes acknowledged) and was sent again; limit now 4.943 s"
    );
    assert_eq!(advice(&story), None);
}

#[test]
fn a_lost_request_tells_why_and_what_would_help() {
    let story = raced(Then::Answered, End::Reset, Some(0));
    let text = sentence(&story);
    assert!(
        text.starts_with("the endpoint reset the connection after 5.001 s idle, as 41 of 41 closes; "),
        "{text}"
    );
    assert!(
        text.contains("not known (0 of 412 bytes acknowledged, no FIN), so it was not sent again"),
        "{text}"
    );
    assert!(advice(&story).is_some_and(|advice| advice.contains("Idempotency-Key")));
}

#[test]
fn a_fresh_connection_is_called_fresh() {
    let story = Story {
        idle_age: None,
        knowledge: None,
        ..raced(Then::Answered, End::Eof, Some(412))
    };
    let text = sentence(&story);
    assert!(
        text.starts_with("the endpoint closed the connection, a fresh one; "),
        "{text}"
    );
    assert!(text.contains("412 of 412 bytes acknowledged, FIN"), "{text}");
}
