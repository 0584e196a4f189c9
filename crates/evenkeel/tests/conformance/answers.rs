//! The gateway's own answers: Envoy's statuses, bodies and fields.

use std::net::TcpListener;

use crate::harness::{Gateway, Upstream, free_port, yaml};

#[test]
fn nobody_listening_upstream_is_a_503_that_says_so() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound");
    drop(taken);
    let gateway = Gateway::to(address, &["--access-log", "json"]);
    let told = gateway.get("a", "/");
    assert_eq!(told.status(), 503);
    assert!(
        told.text()
            .starts_with("upstream connect error or disconnect/reset before headers. "),
        "{told:?}"
    );
    assert!(told.text().contains("reset reason: "), "{told:?}");
    assert!(
        told.text().to_lowercase().contains("connection refused"),
        "{told:?}"
    );
    let line = gateway.only_json_line();
    assert_eq!(
        line["envoy_response_flags"]
            .as_str()
            .map(|flags| flags.split(',').next()),
        Some(Some("UF")),
        "{line}"
    );
}

#[test]
fn no_route_is_a_404_without_a_body() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let rules = format!(
        "  - matches: [{{path: {{type: Exact, value: /only}}}}]\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = format!(
        "{}{}{}",
        yaml::gateway(port),
        yaml::route("r", &rules),
        yaml::backend("app", &[upstream.address])
    );
    let gateway = Gateway::configured_with(&text, &["--access-log", "json"]);
    let told = gateway.get("a", "/other");
    assert_eq!((told.status(), told.text().as_str()), (404, ""));
    assert!(
        !told.connection_says("close"),
        "no reason to end the connection: {told:?}"
    );
    assert_eq!(gateway.only_json_line()["envoy_response_flags"], "NR");
}

#[test]
fn an_upstream_that_closes_without_a_word_is_a_503_with_the_reason() {
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.request()));
    let gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
    let told = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na");
    assert_eq!(told.status(), 503);
    assert_eq!(
        told.text(),
        "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
    );
    let line = gateway.only_json_line();
    assert_eq!(line["envoy_response_flags"], "UC");
    assert_eq!(
        line["envoy_response_code_details"],
        "upstream_reset_before_response_started{connection_termination}"
    );
}

#[test]
fn own_answers_have_a_length_a_type_and_a_date() {
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.request()));
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told.status(), 503);
    assert!(told.field("content-length").is_some(), "{told:?}");
    assert!(
        told.field("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain")),
        "{told:?}"
    );
    assert!(told.field("date").is_some(), "RFC 9110 section 6.6.1: {told:?}");
}

#[test]
fn an_upstream_that_takes_too_long_is_a_504() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.end();
    });
    let port = free_port();
    let rules = format!(
        "  - timeouts: {{request: 150ms}}\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = format!(
        "{}{}{}",
        yaml::gateway(port),
        yaml::route("r", &rules),
        yaml::backend("app", &[upstream.address])
    );
    let gateway = Gateway::configured_with(&text, &["--access-log", "json"]);
    let told = gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(
        (told.status(), told.text().as_str()),
        (504, "upstream request timeout")
    );
    assert_eq!(gateway.only_json_line()["envoy_response_flags"], "UT");
}

#[test]
fn a_head_request_is_refused_without_a_body() {
    let upstream = Upstream::scripted(|_, peer| drop(peer));
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = String::from_utf8_lossy(&client.rest()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "a body behind a HEAD: {answer}");
}
