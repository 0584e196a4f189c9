//! Responses that are not as they should be: mended where nobody can read them in two ways.

use crate::harness::{Gateway, Upstream, free_port, yaml};

const MENDED: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX-A: 1\r\n  2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
];

#[test]
fn a_malformed_response_of_one_meaning_is_mended_and_its_connection_not_used_again() {
    for answer in MENDED {
        let upstream = Upstream::replying(answer);
        let gateway = Gateway::before(&upstream);
        for _ in 0..2 {
            let told = gateway.get("a", "/");
            assert_eq!(
                told.status().to_string(),
                answer[answer.find("HTTP").unwrap() + 9..][..3],
                "{answer:?}"
            );
            let body = if told.status() == 200 { "ok" } else { "" };
            assert_eq!(told.text(), body, "{answer:?}");
            let framing = told.all("content-length").count() + told.all("transfer-encoding").count();
            assert_eq!(framing, usize::from(told.status() == 200), "{answer:?}: {told:?}");
        }
        assert_eq!(upstream.connections(), 2, "{answer:?}");
        assert_eq!(gateway.stat("upstream_rq_mended"), 2, "{answer:?}");
        let said = gateway.said();
        let warned = said.lines().filter(|line| line.contains("malformed")).count();
        assert_eq!(warned, 1, "once a minute: {answer:?}");
    }
    let upstream = Upstream::replying(MENDED[3]);
    let told = Gateway::before(&upstream).get("a", "/");
    assert_eq!(told.field("x-a"), Some("1 2"));
}

#[test]
fn an_owner_may_have_malformed_responses_refused() {
    for answer in MENDED {
        let upstream = Upstream::replying(answer);
        let policy = "  malformedResponses: Refuse\n";
        let gateway = Gateway::configured(&yaml::simple(free_port(), upstream.address, policy));
        assert_eq!(gateway.get("a", "/").status(), 502, "{answer:?}");
    }
}

#[test]
fn trailers_that_connection_names_end_here_both_ways() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: X-Mine\r\nTransfer-Encoding: chunked\r\n\r\n\
                  2\r\nok\r\n0\r\nX-Mine: 1\r\nX-Kept: 2\r\n\r\n";
    let upstream = Upstream::answering(move |_| answer.to_owned());
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te, X-Mine\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Mine: 1\r\nX-Kept: 2\r\n\r\n",
    );
    let kept = [("X-Kept".to_owned(), "2".to_owned())];
    assert_eq!(told.trailers, kept);
    assert_eq!(upstream.only_request().trailers, kept);
}

#[test]
fn request_lines_are_answered_as_their_fault_is() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let long = "M".repeat(100_000);
    for (request, status) in [
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 200),
        ("GET / HTTP/1.9\r\nHost: a\r\n\r\n", 200),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        ("GET /\r\n\r\n", 400),
        ("GET\r\n\r\n", 400),
        (&format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"), 501),
        (&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;=x\r\nhi\r\n0\r\n\r\n",
            400,
        ),
    ] {
        assert_eq!(
            gateway.ask(request).status(),
            status,
            "{}",
            &request[..request.len().min(60)]
        );
    }
}
