//! Bodies: every framing, both ways, in bounded memory, as they come.

use std::time::Duration;

use crate::harness::{End, Framing, Gateway, Upstream, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_request_body_arrives_whole_in_either_framing() {
    let upstream = Upstream::answering(|request| reply(&request.text()));
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().text(), "hello");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhe\r\n003;ext=\"1\"\r\nllo\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().text(), "");
    let framings: Vec<Framing> = upstream
        .requests()
        .iter()
        .map(|request| request.framing)
        .collect();
    assert_eq!(
        framings,
        [Framing::Length(5), Framing::Chunked, Framing::Length(0)]
    );
}

#[test]
fn a_megabyte_crosses_unchanged_in_both_directions() {
    let upstream = Upstream::answering(|request| reply(&request.text()));
    let gateway = Gateway::before(&upstream);
    let body: String = (0..100_000).map(|number| format!("{number:010}\n")).collect();
    let mut client = gateway.connect();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert!(client.response().text() == body, "the body came back changed");
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(33_333) {
        client.send(format!("{:X}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert!(
        client.response().text() == body,
        "the chunked body came back changed"
    );
}

#[test]
fn trailers_cross_in_both_directions() {
    let upstream = Upstream::answering(|request| {
        let seen: Vec<String> = request
            .trailers
            .iter()
            .map(|(name, value)| format!("{}={value}", name.to_lowercase()))
            .collect();
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\nX-Seen: {}\r\n\r\n",
            seen.join(";")
        )
    });
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nTrailer: X-Check\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Check: 7\r\n\r\n",
    );
    assert!(
        told.trailers.contains(&("X-Sum".into(), "42".into())),
        "{told:#?}"
    );
    assert!(
        told.trailers.iter().any(|(_, value)| value == "x-check=7"),
        "{told:#?}"
    );
}

#[test]
fn trailers_can_not_change_framing_or_routing() {
    let upstream = Upstream::answering(|request| {
        assert!(
            !request
                .trailers
                .iter()
                .any(|(name, _)| ["content-length", "host", "transfer-encoding"]
                    .contains(&name.to_lowercase().as_str())),
            "{request:#?}"
        );
        reply("ok")
    });
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nContent-Length: 9\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    assert!(matches!(told.status(), 200 | 400), "{told:?}");
}

#[test]
fn answers_without_a_body_have_none() {
    let upstream = Upstream::answering(|request| match request.target() {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 1234\r\n\r\n".to_owned(),
        _ if request.method() == "HEAD" => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n".to_owned(),
        _ => reply("next"),
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for (method, target, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/", 200)] {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let told = client.response_to(method);
        assert_eq!(told.status(), status);
        assert_eq!(told.field("transfer-encoding"), None, "{told:?}");
        if status == 204 {
            assert_eq!(
                told.field("content-length"),
                None,
                "RFC 9110 section 8.6: {told:?}"
            );
        } else {
            assert_eq!(told.field("content-length"), Some("1234"), "{told:?}");
        }
        client.send(GET);
        assert_eq!(client.response().text(), "next", "after {method} {target}");
    }
    assert_eq!(upstream.connections(), 1, "all on one connection");
}

#[test]
fn a_close_delimited_answer_is_chunked_for_http_1_1_and_closed_for_http_1_0() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end");
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(GET);
        let told = client.response();
        assert_eq!(
            (told.framing, told.text().as_str(), told.complete),
            (Framing::Chunked, "until the end", true)
        );
    }
    let told = gateway.ask("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(
        (told.framing, told.text().as_str()),
        (Framing::Close, "until the end")
    );
}

#[test]
fn an_http_1_0_client_is_sent_no_chunks() {
    let upstream = Upstream::answering(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: u\r\n\r\n".to_owned()
    });
    let gateway = Gateway::before(&upstream);
    for more in ["", "Connection: keep-alive\r\n"] {
        let mut client = gateway.connect();
        client.send(format!("GET / HTTP/1.0\r\nHost: a\r\n{more}\r\n"));
        let told = client.response();
        assert_eq!(
            (
                told.field("transfer-encoding"),
                told.text().as_str(),
                told.complete
            ),
            (None, "abc", true),
            "{told:?}"
        );
        assert_eq!(client.end(), End::Fin);
    }
}

#[test]
fn an_http_1_0_client_may_keep_its_connection_where_the_length_is_known() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let told = client.response();
        assert!(told.connection_says("keep-alive"), "{told:?}");
        assert_eq!(told.text(), "ok");
    }
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(
        client.end(),
        End::Fin,
        "without keep-alive an HTTP/1.0 connection ends"
    );
}

#[test]
fn a_body_streams_while_it_is_being_sent() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let head = peer.try_head().expect("a head");
        assert_eq!(head.field("content-length"), Some("6"));
        assert_eq!(
            peer.take(3),
            b"abc",
            "the first half must not wait for the second"
        );
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
        assert_eq!(peer.take(3), b"def");
        peer.send("ho");
        peer.end();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    let head = client
        .try_head()
        .expect("an answer while the request is being sent");
    assert_eq!(head.status(), 200);
    assert_eq!(
        client.take(2),
        b"hi",
        "the answer's first half must not wait for its second"
    );
    client.send("def");
    assert_eq!(client.take(2), b"ho");
}

#[test]
fn a_slow_reader_holds_the_writer_back_and_not_the_memory() {
    const SIZE: usize = 64 * 1024 * 1024;
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {SIZE}\r\n\r\n"));
        let piece = vec![b'x'; 64 * 1024];
        let written = (0..SIZE / piece.len())
            .take_while(|_| peer.try_send(&piece))
            .count()
            * piece.len();
        assert!(
            written < SIZE / 2,
            "{written} bytes were taken though nobody read them"
        );
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.try_head().expect("a head").status(), 200);
    std::thread::sleep(Duration::from_millis(500));
    let memory = gateway.resident_bytes();
    assert!(memory < SIZE / 2, "{memory} bytes resident");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.try_head();
        peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop");
        peer.half_close();
        peer.rest();
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nfirst");
    let told = client.response();
    assert_eq!((told.status(), told.text().as_str()), (413, "stop"));
}

#[test]
fn a_client_that_closed_its_writing_half_is_still_answered() {
    let upstream = Upstream::answering(|request| {
        std::thread::sleep(Duration::from_millis(100));
        reply(&request.text())
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    client.half_close();
    let told = client.response();
    assert_eq!((told.status(), told.text().as_str()), (200, "abc"));
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn a_request_cut_short_is_not_completed_upstream() {
    let upstream = Upstream::scripted(|_, mut peer| {
        let bytes = peer.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            !text.contains("\r\n0\r\n\r\n"),
            "a cut request was completed: {text}"
        );
    });
    let gateway = Gateway::before(&upstream);
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n64\r\nhalf"));
        std::thread::sleep(Duration::from_millis(30));
        client.half_close();
        client.rest();
    }
}

#[test]
fn a_client_that_leaves_ends_the_upstreams_work() {
    let upstream = Upstream::scripted(|_, mut peer| {
        peer.request();
        assert_ne!(
            peer.end_within(Duration::from_secs(2)),
            End::Open,
            "nobody told the upstream"
        );
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    client.reset();
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn whoever_ended_its_side_and_gets_nothing_soon_holds_no_upstream_connection() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"] {
        let upstream = Upstream::scripted(move |_, mut peer| {
            peer.request();
            peer.send(begun);
            let end = peer.end_within(Duration::from_secs(3));
            assert_ne!(end, End::Open, "held, with {begun:?} of the answer sent");
        });
        let gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send(GET);
        client.half_close();
        let asked = std::time::Instant::now();
        assert_ne!(client.end(), End::Open);
        assert!(
            asked.elapsed() >= Duration::from_millis(450),
            "it was not waited for"
        );
    }
}
