use super::*;
use crate::h1::head::{Limits, Scan};

fn request(line: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    let text = format!("{line}\r\n\r\n");
    head.read(text.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    fields
        .iter()
        .for_each(|(name, value)| head.fields.push(name.as_bytes(), value.as_bytes()));
    head
}

fn get(fields: &[(&str, &str)]) -> RequestHead {
    request("GET / HTTP/1.1", fields)
}

#[test]
fn connection_may_name_any_field_but_those_that_others_rely_on() {
    let check = |value: &str| check_connection(&get(&[("connection", value)]).fields);
    assert_eq!(check("close, X-Mine, cookie, te, upgrade"), Ok(()));
    for name in [
        "Content-Length",
        "TRANSFER-ENCODING",
        "host",
        "x-forwarded-for",
        "via",
        "idempotency-key",
    ] {
        assert_eq!(
            check(&format!("close, {name}")),
            Err(HopError::ProtectedField),
            "{name}"
        );
    }
    for odd in ["close, \"x\"", "close;", "keep-alive x", "close, \u{e9}"] {
        assert_eq!(check(odd), Err(HopError::BadOption), "{odd}");
    }
    assert_eq!(check(&["a"; 32].join(",")), Ok(()));
    assert_eq!(check(&["a"; 33].join(",")), Err(HopError::TooManyOptions));
    assert_eq!(check_connection(&get(&[]).fields), Ok(()));
}

#[test]
fn an_upgrade_counts_only_on_http_11_with_connection_and_never_to_http2() {
    let asked = |connection: &str, upgrade: &str| {
        upgrade_request(&get(&[("connection", connection), ("upgrade", upgrade)])).map(<[u8]>::to_vec)
    };
    assert_eq!(
        asked("keep-alive, Upgrade", "websocket"),
        Some(b"websocket".to_vec())
    );
    assert_eq!(asked("close", "websocket"), None);
    assert_eq!(asked("upgrade, http2-settings", "h2c"), None);
    assert_eq!(asked("upgrade", "websocket, H2C"), None);
    assert_eq!(asked("upgrade", ""), None);
    let twice = get(&[
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("upgrade", "websocket"),
    ]);
    assert_eq!(upgrade_request(&twice), None);
    let old = request(
        "GET / HTTP/1.0",
        &[("connection", "upgrade"), ("upgrade", "websocket")],
    );
    assert_eq!(upgrade_request(&old), None);
}

#[test]
fn the_one_expectation_is_understood_and_others_fail() {
    assert_eq!(expects_continue(&get(&[])), Ok(false));
    assert_eq!(expects_continue(&get(&[("expect", "100-Continue")])), Ok(true));
    assert_eq!(
        expects_continue(&get(&[("expect", "100-continue, x")])),
        Err(HopError::UnknownExpectation)
    );
    assert_eq!(
        expects_continue(&get(&[("expect", "")])),
        Err(HopError::UnknownExpectation)
    );
    let twice = get(&[("expect", "100-continue"), ("expect", "100-continue")]);
    assert_eq!(expects_continue(&twice), Err(HopError::UnknownExpectation));
    assert_eq!(
        expects_continue(&request("POST / HTTP/1.0", &[("expect", "100-continue")])),
        Ok(false)
    );
}

#[test]
fn hops_are_counted_down_for_trace_and_options_only() {
    let hops = |line: &str, value: &str| max_forwards(&request(line, &[("max-forwards", value)]));
    assert_eq!(hops("TRACE / HTTP/1.1", "10"), Ok(MaxForwards::Forward(9)));
    assert_eq!(hops("OPTIONS * HTTP/1.1", "0"), Ok(MaxForwards::Answer));
    assert_eq!(
        hops("OPTIONS / HTTP/1.1", "99999999999"),
        Ok(MaxForwards::Forward(u32::MAX - 1))
    );
    assert_eq!(hops("GET / HTTP/1.1", "0"), Ok(MaxForwards::Unbound));
    assert_eq!(hops("TRACE / HTTP/1.1", "-1"), Err(HopError::BadMaxForwards));
    assert_eq!(hops("TRACE / HTTP/1.1", ""), Err(HopError::BadMaxForwards));
    assert_eq!(
        max_forwards(&request("TRACE / HTTP/1.1", &[])),
        Ok(MaxForwards::Unbound)
    );
}

#[test]
fn trailers_go_on_unless_a_head_would_be_judged_by_them() {
    let fate = |name: &str| trailer_fate(Known::of(name.as_bytes()), name.as_bytes());
    for name in [
        "grpc-status",
        "Server-Timing",
        "Digest",
        "X-Checksum",
        "ETag",
        "if",
    ] {
        assert_eq!(fate(name), TrailerFate::Keep, "{name}");
    }
    for name in [
        "Connection",
        "TE",
        "Set-Cookie",
        "authorization",
        "If-Match",
        "X-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "X_Forwarded_For",
        "Content-Type",
    ] {
        assert_eq!(fate(name), TrailerFate::Drop, "{name}");
    }
    for name in ["Content-Length", "transfer-encoding", "HOST"] {
        assert_eq!(fate(name), TrailerFate::Refuse, "{name}");
    }
}
