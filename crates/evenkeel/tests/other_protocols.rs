//! An upstream that speaks something else is named for what it is, not called a reset.

use crate::harness::{Gateway, Upstream, eventually};

/// Asks once and gives all that was told about the failure: the answer's body and the log line.
#[track_caller]
fn told_about(upstream: &Upstream) -> (u16, String) {
    let gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
    let told = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let line = eventually("the line", || gateway.log_lines(1).pop());
    (told.status(), format!("{} {line}", told.text()))
}

/// An upstream that reads what comes and answers with these bytes, then closes.
fn answering_with(bytes: &'static [u8]) -> Upstream {
    Upstream::scripted(move |_, mut peer| {
        peer.try_head();
        peer.try_send(bytes);
    })
}

#[track_caller]
fn is_named(upstream: &Upstream, name: &str) {
    let (status, told) = told_about(upstream);
    assert!(matches!(status, 502 | 503), "{status} {told}");
    assert!(
        told.to_lowercase().contains(&name.to_lowercase()),
        "{name} is not named: {told}"
    );
}

#[test]
fn tls_on_a_plain_port_is_named() {
    // An alert: unexpected_message, as TLS servers answer plain text.
    is_named(&answering_with(b"\x15\x03\x01\x00\x02\x02\x0a"), "TLS");
    // OpenSSL's choice: record_overflow or protocol_version in TLS 1.2 records.
    is_named(&answering_with(b"\x15\x03\x03\x00\x02\x02\x46"), "TLS");
}

#[test]
fn http_2_alone_is_named() {
    // A SETTINGS frame, then GOAWAY with PROTOCOL_ERROR.
    is_named(&answering_with(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), "HTTP/2");
}

#[test]
fn fastcgi_is_named() {
    // An FCGI_END_REQUEST record, version 1.
    is_named(
        &answering_with(b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        "FastCGI",
    );
}

#[test]
fn uwsgi_is_named_by_its_packets() {
    is_named(
        &answering_with(b"\x00\x12\x00\x00\x0e\x00REQUEST_METHOD\x00\x00"),
        "uwsgi",
    );
}

#[test]
fn uwsgi_is_named_as_what_a_silent_close_may_be() {
    // uwsgi reads "GET " as a packet header, finds its size absurd, and closes without a byte: all
    // a proxy can say is what closes like that on a fresh connection.
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.take(4)));
    let (status, told) = told_about(&upstream);
    assert_eq!(status, 503, "{told}");
    assert!(told.contains("uwsgi"), "{told}");
}

/// A TLS server as most are: it closes without a byte when it is sent plain text, and answers a ClientHello.
fn tls_server() -> Upstream {
    Upstream::scripted(|_, mut peer| {
        let hello = peer.take(5);
        if hello.starts_with(&[0x16, 3]) {
            let length = usize::from(hello[3]) << 8 | usize::from(hello[4]);
            assert_eq!(peer.take(length).len(), length, "a whole record");
            // The first record of a ServerHello.
            peer.send(b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03");
            peer.end();
        }
    })
}

#[test]
fn tls_behind_a_silent_close_is_asked_for_once_and_is_a_fact_from_then_on() {
    let upstream = tls_server();
    let gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(gateway.ask(post).status(), 503);
    let speaks = format!("::{}::evenkeel_speaks::TLS", upstream.address);
    eventually("the fact in /clusters", || {
        gateway
            .admin_get("/clusters")
            .text()
            .contains(&speaks)
            .then_some(())
    });
    for _ in 0..3 {
        assert_eq!(gateway.ask(post).status(), 503);
    }
    let lines = gateway.log_lines(4);
    assert!(!lines[0].contains("speaks TLS"), "a guess: {}", lines[0]);
    for line in &lines[1..] {
        assert!(
            line.contains("It speaks TLS, not HTTP/1 in plain text")
                && line.contains("To prevent this: check the port in the Backend")
                && !line.contains("uwsgi"),
            "{line}"
        );
    }
    assert_eq!(upstream.connections(), 5, "four requests and one question");
    let said = gateway.said();
    let event = format!("endpoint {} of cluster ", upstream.address);
    let told = said
        .lines()
        .filter(|line| line.contains(&event) && line.contains("speaks TLS"));
    assert_eq!(told.count(), 1, "{said}");
}

#[test]
fn an_endpoint_that_closes_and_speaks_nothing_else_is_called_nothing() {
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.take(4)));
    let gateway = Gateway::to(upstream.address, &["--access-log", "json"]);
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(gateway.ask(post).status(), 503);
    eventually("the question", || (upstream.connections() == 2).then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(gateway.ask(post).status(), 503);
    assert!(!gateway.admin_get("/clusters").text().contains("evenkeel_speaks"));
}

#[test]
fn another_greeting_is_named() {
    for (greeting, name) in [
        (&b"\x05\xff"[..], "SOCKS"),
        (&b"PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\n"[..], "PROXY protocol"),
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "SSH"),
        (&b"220 mail.example ESMTP\r\n"[..], "mail"),
    ] {
        is_named(&answering_with(greeting), name);
    }
}
