use super::*;
use crate::h1::encode::{self, OutboundHead};
use crate::h1::head::{Limits, Scan};

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

fn arrival(believed: bool) -> Arrival<'static> {
    Arrival {
        name: "evenkeel",
        peer: PEER,
        believed,
        keeps_claims: believed,
        scheme: "http",
        asked_host: "a.test",
        max_forwards: None,
    }
}

/// The request as it goes on, its lines sorted out of the way of their order.
fn forwarded(fields: &str, arrival: &Arrival<'_>) -> String {
    let mut head = RequestHead::default();
    let text = format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n");
    head.read(text.as_bytes(), &mut Scan::default(), &Limits::default())
        .unwrap()
        .unwrap();
    request(&mut head, arrival);
    let mut out = Vec::new();
    encode::request(&mut out, &head, &OutboundHead::default());
    String::from_utf8(out).unwrap()
}

const OURS: &str = "via: 1.1 evenkeel\r\nx-forwarded-for: 10.0.0.9\r\nx-forwarded-proto: http\r\n\
                    x-forwarded-host: a.test\r\n";

#[test]
fn what_only_a_trusted_proxy_may_say_is_dropped_from_others_and_kept_from_it() {
    let claims = "Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Client-Cert: By=me\r\n\
                  X-Forwarded-Port: 443\r\nX-Envoy-Internal: true\r\nX-Original-URL: /admin\r\n\
                  X-Rewrite-URL: /admin\r\nProxy: evil:80\r\n";
    let start = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    assert_eq!(forwarded(claims, &arrival(false)), format!("{start}{OURS}\r\n"));
    assert_eq!(
        forwarded(claims, &arrival(true)),
        format!("{start}{claims}{OURS}\r\n")
    );
}

#[test]
fn aliases_of_what_we_write_or_frame_by_never_pass() {
    let aliases = "X_Forwarded_For: 6.6.6.6\r\nx.real.ip: 6.6.6.6\r\nContent_Length: 9\r\n\
                   Transfer_Encoding: chunked\r\nX_Request_Id: 1\r\nX_Envoy_Internal: true\r\n";
    for believed in [false, true] {
        let sent = format!("{aliases}my_field: 1\r\n");
        let start = "GET / HTTP/1.1\r\nHost: a.test\r\nmy_field: 1\r\n";
        assert_eq!(forwarded(&sent, &arrival(believed)), format!("{start}{OURS}\r\n"));
    }
}

#[test]
fn what_connection_names_ends_here_but_for_what_identity_rests_on() {
    let fields = "X-Secret: 1\r\nX-Request-Id: 7\r\nConnection: close, x-secret, X-Request-Id, te\r\n\
                  TE: trailers\r\nProxy-Authorization: Basic eA==\r\n";
    let start = "GET / HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: 7\r\n";
    assert_eq!(
        forwarded(fields, &arrival(false)),
        format!("{start}{OURS}te: trailers\r\nconnection: te\r\n\r\n")
    );
}

#[test]
fn statements_of_ours_take_the_place_of_those_that_came_and_lists_grow() {
    let fields = "X-Forwarded-For: 1.1.1.1\r\nVia: 1.0 a\r\nX-Forwarded-Proto: gopher\r\nVia:\r\nVia: 1.1 b (x)\r\n\
                  X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Host: b.test\r\nMax-Forwards: 9\r\n";
    let mut sent = arrival(false);
    sent.max_forwards = Some(8);
    let ours = "x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.9\r\nvia: 1.0 a, 1.1 b (x), 1.1 evenkeel\r\n\
                x-forwarded-proto: http\r\n";
    let start = "GET / HTTP/1.1\r\nHost: a.test\r\n";
    assert_eq!(
        forwarded(fields, &sent),
        format!("{start}{ours}x-forwarded-host: a.test\r\nmax-forwards: 8\r\n\r\n")
    );
    let mut believed = arrival(true);
    (believed.scheme, believed.max_forwards) = ("https", Some(8));
    let ours = ours.replace("proto: http", "proto: https");
    assert_eq!(
        forwarded(fields, &believed),
        format!("{start}{ours}X-Forwarded-Host: b.test\r\nmax-forwards: 8\r\n\r\n")
    );
    let nowhere = Arrival {
        asked_host: "",
        ..arrival(false)
    };
    assert!(!forwarded("X-Forwarded-Host: b.test\r\n", &nowhere).contains("forwarded-host"));
}

#[test]
fn a_response_says_by_whom_it_came_and_when() {
    let relayed = |fields: &str| {
        let mut head = ResponseHead::default();
        let text = format!("HTTP/1.0 200 OK\r\n{fields}\r\n");
        head.read(text.as_bytes(), &mut Scan::default(), &Limits::default())
            .unwrap()
            .unwrap();
        let returned = Return {
            name: "evenkeel",
            service_ms: 12,
            date: b"Wed, 17 Jan 2024 09:30:00 GMT",
        };
        response(&mut head, &returned);
        let mut out = Vec::new();
        encode::response(&mut out, &head, &OutboundHead::default());
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        relayed("X-A: 1\r\nConnection: x-a\r\nProxy-Authenticate: Basic\r\nServer: s\r\n"),
        "HTTP/1.1 200 OK\r\nServer: s\r\nvia: 1.0 evenkeel\r\nx-envoy-upstream-service-time: 12\r\n\
         date: Wed, 17 Jan 2024 09:30:00 GMT\r\n\r\n"
    );
    assert_eq!(
        relayed("Date: then\r\nx-envoy-upstream-service-time: 1\r\nForwarded: for=a\r\n"),
        "HTTP/1.1 200 OK\r\nDate: then\r\nx-envoy-upstream-service-time: 12\r\nForwarded: for=a\r\n\
         via: 1.0 evenkeel\r\n\r\n"
    );
}
