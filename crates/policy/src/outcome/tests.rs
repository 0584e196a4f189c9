mod stories;

use std::time::Duration;

use super::*;
use crate::cluster::Refusal;
use crate::rate_limit::Quota;

/// One failure of each cause that a failure can have.
fn failures() -> Vec<Failure> {
    let bad = |status| Failure::BadRequest {
        status,
        details: "http1.invalid_url",
        what: "It is bad.",
    };
    let what = "It is bad.";
    let name = "TLS";
    let mut all = vec![
        Failure::BadRequestBody {
            details: "http1.codec_error",
            what,
        },
        Failure::ClientOtherProtocol { name },
        Failure::PlainHttpOnTls,
        Failure::TlsHandshake { what },
        Failure::TlsHandshakeTimeout,
        Failure::TlsHandshakeShed,
        Failure::TlsHandshakeLeft,
        Failure::HeadTimeout,
        Failure::HeadShed,
        Failure::BodyTimeout,
        Failure::DownstreamLeft,
        Failure::NoRoute,
        Failure::NoCluster,
        Failure::OptionsEndsHere,
        Failure::TraceEndsHere,
        Failure::RateLimited(quota()),
        Failure::Unresolved,
        Failure::ConnectTimeout,
        Failure::OtherProtocol { name },
        Failure::BadResponse { what },
        Failure::ResponseHeadTooLarge,
        Failure::ProtocolInBody { what },
        Failure::PerTryTimeout,
        Failure::RequestTimeout,
        Failure::LateTimeout,
        Failure::BodyTooLarge,
        Failure::SlowClient,
        Failure::IdleDownstream,
        Failure::IdleUpstream,
        Failure::IdleInResponse,
    ];
    all.extend([400, 405, 417, 501, 505].map(bad));
    let limits = [
        HeadLimit::Bytes,
        HeadLimit::Fields,
        HeadLimit::RequestLine,
        HeadLimit::Method,
        HeadLimit::TrailerBytes,
        HeadLimit::TrailerFields,
    ];
    all.extend(limits.map(Failure::HeadLimit));
    let refusals = [
        Refusal::NoEndpoint,
        Refusal::Requests,
        Refusal::Overflow,
        Refusal::Overload,
        Refusal::Stalled,
        Refusal::Shed,
    ];
    all.extend(refusals.map(Failure::Refused));
    let faults = [
        ConnectFault::Refused,
        ConnectFault::Unreachable,
        ConnectFault::NoSocketFile,
        ConnectFault::Forbidden,
        ConnectFault::Tls(TlsFault::Expired),
        ConnectFault::Tls(TlsFault::NotTls),
        ConnectFault::OutOfResources,
        ConnectFault::Other,
    ];
    all.extend(faults.map(Failure::Connect));
    let deaths = [Death::Closed, Death::Reset, Death::Silent, Death::Lost];
    all.extend(deaths.map(Failure::Died));
    all.extend(deaths.map(Failure::Truncated));
    all
}

fn quota() -> Quota {
    Quota {
        rule: 0,
        limit: 5,
        per: Duration::from_secs(60),
        remaining: 0,
        reset: Duration::from_secs(60),
        wait: Duration::from_millis(11_200),
    }
}

#[test]
fn each_failure_is_told_as_its_row_says() {
    for failure in failures() {
        let (row, verdict) = (failure.cause().row(), verdict(&failure, Before::default()));
        assert_eq!(verdict.flags, row.flag.into(), "{failure:?}");
        assert_eq!(verdict.status, row.told.status(), "{failure:?}");
        assert_eq!(verdict.body, row.body, "{failure:?}");
        let parsers = matches!(
            failure,
            Failure::BadRequest { .. }
                | Failure::BadRequestBody { .. }
                | Failure::HeadLimit(HeadLimit::Method)
        );
        assert!(parsers || verdict.details == row.details, "{failure:?}");
    }
}

#[test]
fn every_row_is_whole_and_in_envoys_form() {
    for &cause in Cause::ALL {
        let row = cause.row();
        for text in [row.happened, row.look, row.set] {
            assert!(text.ends_with('.') && text.len() > 7, "{cause:?}: {text}");
        }
        let details = row.details;
        assert!(
            !details.is_empty() && !details.contains(char::is_whitespace),
            "{cause:?}: {details}"
        );
        let answers = row.told.status().is_some_and(|status| status >= 400);
        let empty = matches!(cause, Cause::NoRoute | Cause::NoBackend | Cause::TraceEndsHere);
        assert_eq!(answers && !empty, !row.body.is_empty(), "{cause:?}");
    }
}

#[test]
fn every_flag_is_some_causes() {
    for flag in Flag::ALL {
        let raised = Cause::ALL.iter().any(|cause| cause.row().flag == Some(*flag));
        assert!(raised, "nothing raises {flag:?}");
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
    let quota = quota();
    let verdict = verdict(&Failure::RateLimited(quota), Before::default());
    assert_eq!(
        (verdict.status, verdict.flags.to_string()),
        (Some(429), "RL".into())
    );
    assert_eq!(
        (verdict.details, &*verdict.body),
        ("local_rate_limited", "local_rate_limited")
    );
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
    let verdict = verdict(&Failure::Died(Death::Closed), before);
    assert_eq!(verdict.flags.to_string(), "UC,URX");
    assert!(
        verdict
            .body
            .contains("before headers. retried and the latest reset reason: connection termination")
    );
}

#[test]
fn flags_are_written_in_their_order_and_none_is_a_dash() {
    assert_eq!(FlagSet::NONE.to_string(), "-");
    assert_eq!(FlagSet::NONE.with(Flag::URX).with(Flag::UF).to_string(), "UF,URX");
    for &flag in Flag::ALL {
        let set = FlagSet::NONE.with(flag);
        assert_eq!(set.iter().collect::<Vec<_>>(), [flag]);
        assert_eq!(set.to_string(), format!("{flag:?}"));
    }
}

#[test]
fn the_page_on_troubleshooting_is_the_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/troubleshooting.md");
    let page = troubleshooting();
    if std::env::var_os("EVENKEEL_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/troubleshooting.md is stale: EVENKEEL_WRITE_DOCS=1 cargo test -p evenkeel-policy troubleshooting"
    );
}
