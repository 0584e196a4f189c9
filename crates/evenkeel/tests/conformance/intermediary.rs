//! The duties of an intermediary (RFC 9110 section 7.6, RFC 9112): what it removes, adds and keeps.

use crate::harness::{Gateway, Message, Upstream, reply};

fn ok(_: &Message) -> String {
    reply("ok")
}

/// What the upstream was sent for this request.
#[track_caller]
fn forwarded(request: &str) -> Message {
    let upstream = Upstream::answering(ok);
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.ask(request).status(), 200);
    upstream.only_request()
}

/// What the client is told for this answer.
#[track_caller]
fn relayed(answer: &'static str) -> Message {
    let upstream = Upstream::replying(answer);
    let gateway = Gateway::before(&upstream);
    gateway.get("a", "/")
}

#[test]
fn hop_by_hop_fields_and_those_that_connection_names_stay_on_their_side() {
    let sent = forwarded(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine, x-other\r\nConnection: X-Third\r\nX-Mine: 1\r\n\
         X-Other: 2\r\nX-Third: 3\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\n\
         TE: gzip\r\nUpgrade: h2c\r\nX-Kept: yes\r\n\r\n",
    );
    for gone in [
        "x-mine",
        "x-other",
        "x-third",
        "keep-alive",
        "proxy-connection",
        "upgrade",
    ] {
        assert_eq!(sent.field(gone), None, "{gone} crossed: {sent:#?}");
    }
    assert_eq!(sent.field("x-kept"), Some("yes"));

    let told = relayed(
        "HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n\
         Upgrade: h2c\r\nX-Kept: yes\r\nContent-Length: 0\r\n\r\n",
    );
    for gone in ["x-theirs", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(told.field(gone), None, "{gone} crossed: {told:#?}");
    }
    assert_eq!(told.field("x-kept"), Some("yes"));
}

#[test]
fn connection_can_not_be_made_to_remove_what_routing_and_framing_stand_on() {
    for named in ["host", "content-length", "x-forwarded-for", "x-request-id"] {
        let upstream = Upstream::answering(ok);
        let gateway = Gateway::before(&upstream);
        let told = gateway.ask(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: {named}\r\nContent-Length: 3\r\nX-Request-Id: mine\r\n\r\nabc"
        ));
        if told.status() == 400 {
            continue;
        }
        let sent = upstream.only_request();
        assert!(sent.field(named).is_some(), "{named} was removed: {sent:#?}");
        assert_eq!((sent.field("host"), sent.text().as_str()), (Some("a"), "abc"));
    }
}

#[test]
fn via_is_added_both_ways_behind_what_was_there() {
    let sent = forwarded("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\n\r\n");
    let via: Vec<&str> = sent
        .all("via")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    assert_eq!(via.len(), 2, "{via:?}");
    assert_eq!(via[0], "1.0 before");
    assert!(via[1].starts_with("1.1 "), "{via:?}");

    let told = relayed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(
        told.field("via").is_some_and(|via| via.starts_with("1.1 ")),
        "{told:#?}"
    );
}

#[test]
fn via_names_the_version_that_was_received() {
    let sent = forwarded("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(
        sent.field("via").is_some_and(|via| via.starts_with("1.0 ")),
        "{sent:#?}"
    );
    assert!(
        sent.line.ends_with("HTTP/1.1"),
        "we speak our own version: {}",
        sent.line
    );
    let told = relayed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert!(
        told.field("via").is_some_and(|via| via.starts_with("1.0 ")),
        "{told:#?}"
    );
    assert!(told.line.starts_with("HTTP/1.1 "), "{}", told.line);
}

#[test]
fn the_upstream_learns_who_asked_and_how() {
    let sent = forwarded("GET / HTTP/1.1\r\nHost: shop.example:81\r\n\r\n");
    assert_eq!(sent.field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(sent.field("x-forwarded-proto"), Some("http"));
    assert_eq!(sent.field("x-forwarded-host"), Some("shop.example:81"));
    assert_eq!(
        sent.field("host"),
        Some("shop.example:81"),
        "the client's Host is kept"
    );
}

#[test]
fn a_strangers_word_on_who_asked_is_not_believed() {
    let sent = forwarded(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\r\n",
    );
    let hops: Vec<&str> = sent
        .all("x-forwarded-for")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    assert_eq!(hops.last(), Some(&"127.0.0.1"), "{hops:?}");
    assert_eq!(sent.all("x-forwarded-proto").collect::<Vec<_>>(), ["http"]);
    assert_eq!(sent.all("x-forwarded-host").collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_request_without_an_id_gets_one_and_one_with_an_id_keeps_it() {
    let upstream = Upstream::answering(ok);
    let gateway = Gateway::before(&upstream);
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: mine-1\r\n\r\n");
    let ids: Vec<String> = upstream
        .requests()
        .iter()
        .map(|r| r.field("x-request-id").unwrap_or_default().to_owned())
        .collect();
    assert!(ids[0].len() >= 16 && ids[0] != ids[1], "{ids:?}");
    assert_eq!(ids[2], "mine-1");
}

#[test]
fn the_client_learns_how_long_the_upstream_took() {
    let told = relayed("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let took = told.field("x-envoy-upstream-service-time").expect("the field");
    assert!(took.parse::<u64>().is_ok_and(|ms| ms < 5000), "{took}");
}

#[test]
fn end_to_end_fields_pass_in_order_and_with_every_value() {
    let sent = forwarded(
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX-A: 1\r\nX-B: 2\r\nX-A: 3\r\nX-Empty:\r\n\r\n",
    );
    assert_eq!(sent.all("x-a").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(sent.field("x-empty"), Some(""));
    let told =
        relayed("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2; Path=/\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2; Path=/"]);
}

#[test]
fn opaque_bytes_in_a_value_pass_unchanged() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(b"HTTP/1.1 200 OK\r\nX-Bytes: \xe9\xff\x80 \"q\"\r\nContent-Length: 0\r\n\r\n");
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = client.rest();
    assert!(
        answer.windows(7).any(|seven| seven == b"\xe9\xff\x80 \"q\""),
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[test]
fn the_status_and_its_reason_pass_unknown_codes_too() {
    for line in [
        "HTTP/1.1 299 Strange But True",
        "HTTP/1.1 418 I'm a teapot",
        "HTTP/1.1 599 Far Out",
    ] {
        let upstream = Upstream::replying(format!("{line}\r\nContent-Length: 0\r\n\r\n"));
        let gateway = Gateway::before(&upstream);
        let told = gateway.get("a", "/");
        assert_eq!(told.line[9..12], line[9..12]);
    }
}

#[test]
fn max_forwards_0_is_answered_here_and_others_are_counted_down() {
    for method in ["TRACE", "OPTIONS"] {
        let upstream = Upstream::answering(ok);
        let gateway = Gateway::before(&upstream);
        let request = |hops: &str| format!("{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n");
        let here = gateway.ask(request("0"));
        assert!(
            upstream.requests().is_empty(),
            "{method}: Max-Forwards: 0 was forwarded"
        );
        assert!((200..500).contains(&here.status()), "{here:?}");
        gateway.ask(request("5"));
        assert_eq!(
            upstream.only_request().field("max-forwards"),
            Some("4"),
            "{method}"
        );
    }
}

#[test]
fn max_forwards_of_other_methods_means_nothing() {
    assert_eq!(
        forwarded("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n").method(),
        "GET"
    );
}

#[test]
fn a_trace_that_is_answered_here_echoes_no_secrets() {
    let upstream = Upstream::answering(ok);
    let gateway = Gateway::before(&upstream);
    let here = gateway.ask("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nAuthorization: Basic c2VjcmV0\r\nCookie: c=secret\r\n\r\n");
    assert!(
        !here.text().contains("c2VjcmV0") && !here.text().contains("c=secret"),
        "{here:?}"
    );
}

#[test]
fn te_is_ours_to_say() {
    let sent = forwarded("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers, gzip;q=0.5\r\n\r\n");
    if let Some(te) = sent.field("te") {
        assert_eq!(
            te, "trailers",
            "codings that the client takes are not ours to promise"
        );
        assert!(sent.connection_says("te"), "TE is hop-by-hop: {sent:#?}");
    }
}

#[test]
fn an_absolute_target_wins_over_host_and_goes_on_in_origin_form() {
    let sent = forwarded("GET http://real.example/a?b=c HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(
        (sent.target(), sent.field("host")),
        ("/a?b=c", Some("real.example"))
    );
    let sent = forwarded("GET http://real.example HTTP/1.1\r\nHost: real.example\r\n\r\n");
    assert_eq!(sent.target(), "/");
    let sent = forwarded("GET http://real.example?q=1 HTTP/1.1\r\nHost: real.example\r\n\r\n");
    assert_eq!(sent.target(), "/?q=1");
}

#[test]
fn options_of_the_whole_server_stays_what_it_is() {
    assert_eq!(forwarded("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target(), "*");
    // RFC 9112 section 3.2.4: an absolute target without a path is `*` for OPTIONS.
    assert_eq!(
        forwarded("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n").target(),
        "*"
    );
}

#[test]
fn an_http_1_0_request_needs_no_host() {
    assert!(
        forwarded("GET /a HTTP/1.0\r\n\r\n").field("host").is_some(),
        "we speak HTTP/1.1, which needs one"
    );
}

#[test]
fn the_query_passes_byte_for_byte() {
    let target = "/a?b=c%20d&e=%C3%A9&&f==?/?&g[]=1&h=a+b";
    assert_eq!(
        forwarded(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).target(),
        target
    );
}

#[test]
fn methods_that_nobody_knows_pass() {
    assert_eq!(
        forwarded("BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n").method(),
        "BREW"
    );
    assert_eq!(
        forwarded("M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n").method(),
        "M-SEARCH"
    );
}

#[test]
fn a_date_and_a_server_of_the_upstream_are_kept_and_none_is_invented_for_it() {
    let told = relayed(
        "HTTP/1.1 200 OK\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nServer: theirs\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!(told.field("date"), Some("Tue, 15 Nov 1994 08:12:31 GMT"));
    assert_eq!(told.field("server"), Some("theirs"));
}

#[test]
fn interim_responses_pass_before_the_final_one() {
    let told = relayed(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
         HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let hints: Vec<&Message> = told
        .interim
        .iter()
        .filter(|interim| interim.status() == 103)
        .collect();
    assert_eq!(hints.len(), 2, "{told:#?}");
    assert_eq!(hints[0].field("link"), Some("</a.css>; rel=preload"));
    assert_eq!((told.status(), told.text().as_str()), (200, "ok"));
}

#[test]
fn an_http_1_0_client_is_sent_no_interim_response() {
    let upstream = Upstream::replying(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask("GET / HTTP/1.0\r\n\r\n");
    assert!(told.interim.is_empty(), "{told:#?}");
    assert_eq!(told.status(), 200);
}

#[test]
fn fields_of_upgrade_and_connection_are_written_anew_not_copied() {
    let sent = forwarded("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(
        !sent.connection_says("close"),
        "the client's wish is about its own connection: {sent:#?}"
    );
}
