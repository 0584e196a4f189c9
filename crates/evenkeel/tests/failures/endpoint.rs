//! What endpoints do.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::stage::{Endpoint, Made, Row, Scene, nobody};
use crate::harness::tls::Authority;
use crate::harness::{Message, Upstream, eventually};

/// The body of a request that was sent again, or was to be.
macro_rules! again {
    () => {
        "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: "
    };
}
/// One request, before an endpoint that does this with each connection.
fn before(script: fn() -> Endpoint, sentence: &'static str, closed_by: &'static str) -> Row {
    Row {
        endpoint: script,
        closed_by,
        ..Row::new(|scene| scene.get("/"), sentence)
    }
}

/// A POST, which bears no second time.
fn posts(scene: &Scene<'_>) -> Option<Message> {
    let more = "Content-Length: 2\r\n\r\nhi";
    Some(scene.sends("POST", "/", more).response())
}

/// Answers each connection with these bytes, and closes it.
fn says(bytes: &'static str) -> Endpoint {
    Endpoint::of(Upstream::scripted(move |_, mut peer| {
        if peer.request().is_some() {
            peer.try_send(bytes);
        }
    }))
}

pub(super) fn no_healthy() -> Vec<Made> {
    let row = Row {
        policy: "  healthCheck: {panicThreshold: 0, active: {type: TCP, interval: 20ms, unhealthyThreshold: 1}}\n",
        endpoint: || Endpoint::at(nobody(), ()),
        ..Row::new(
            |scene| {
                eventually("the endpoint to be out", || {
                    let clusters = scene.gateway.admin_get("/clusters").text();
                    clusters.contains("/failed_active_hc").then_some(())
                });
                scene.get("/")
            },
            "The backend default/row-{n} has no endpoint in service: {at} fails its health checks \
             (healthCheck.active). To prevent this: see in the admin's /clusters why endpoints are out.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn unresolved() -> Vec<Made> {
    let name = || {
        let yaml = "{fqdn: {hostname: nope.invalid, port: 80}}".to_owned();
        Endpoint::written(yaml, "nope.invalid".to_owned())
    };
    vec![Made::By(before(
        name,
        "evenkeel has no address for the name nope.invalid of this backend: there is no such name (NXDOMAIN). \
         To prevent this: check the name in the Backend, and what the resolver of this machine answers for \
         it.",
        "",
    ))]
}

pub(super) fn refused() -> Vec<Made> {
    let row = Row {
        flags: Some("UF,URX"),
        body: Some(concat!(
            again!(),
            "remote connection failure, transport failure reason: connection refused"
        )),
        ..before(
            || Endpoint::at(nobody(), ()),
            "The endpoint {at} refused the connection: nothing listens there. evenkeel made 4 attempts, none of \
         which sent the request: one, then 3 times because the attempt before was proven not to have been \
         processed. No further attempt was made: without a retry of the owner's, there are no more. To \
         prevent this: check that the server runs and listens at {at}; healthCheck.active keeps requests away \
         from endpoints that are down.",
            "",
        )
    };
    vec![Made::By(row)]
}

/// An endpoint that neither takes connections nor refuses them: its backlog is full.
fn deaf() -> Endpoint {
    let socket =
        || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let listener = socket();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("bound").as_socket().expect("IP");
    let only = TcpStream::connect(address).expect("the only place");
    Endpoint::at(address, (listener, only))
}

pub(super) fn connect_timeout() -> Vec<Made> {
    let row = Row {
        policy: "  timeout: {tcp: {connectTimeout: 200ms}}\n",
        flags: Some("UF,URX"),
        body: Some(concat!(again!(), "connection timeout")),
        ..before(
            deaf,
            "The endpoint {at} did not accept a connection within BackendTrafficPolicy timeout.tcp.connectTimeout \
         = 200ms. evenkeel made 2 attempts, none of which sent the request: one, then once because the \
         attempt before was proven not to have been processed. No further attempt was made: without a retry \
         of the owner's, there are no more. To prevent this: check the network path and firewalls to the \
         endpoint, or raise BackendTrafficPolicy timeout.tcp.connectTimeout.",
            "",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn connect_failed() -> Vec<Made> {
    let no_socket = || {
        let path = "/nonexistent/evenkeel.sock";
        Endpoint::written(format!("{{unix: {{path: {path}}}}}"), path.to_owned())
    };
    let row = Row {
        flags: Some("UF,URX"),
        body: Some(concat!(again!(), "remote connection failure")),
        ..before(
            no_socket,
            "The endpoint {at} can not be reached: its socket file does not exist. evenkeel made 4 attempts, none \
         of which sent the request: one, then 3 times because the attempt before was proven not to have been \
         processed. No further attempt was made: without a retry of the owner's, there are no more. To \
         prevent this: check the endpoint's address in the Backend.",
            "",
        )
    };
    vec![Made::By(row)]
}

/// Holds clients until the gateway has a descriptor left for one more of them, and none for its request.
fn takes_all_descriptors(scene: &Scene<'_>) -> Option<Message> {
    let left = || DESCRIPTORS as usize - scene.gateway.descriptors(DESCRIPTORS);
    let taken = |before: usize, count: usize| {
        eventually("descriptors to be taken", || {
            (left() + count <= before).then_some(())
        });
    };
    let mut held = Vec::new();
    while left() > 2 {
        let before = left();
        held.push(scene.asks("/setup"));
        taken(before, 2);
    }
    if left() == 2 {
        let mut client = scene.client();
        client.send("GET /setup HTTP/1.1\r\n");
        taken(2, 1);
        held.push(client);
    }
    scene.get("/")
}

const DESCRIPTORS: u32 = 96;

pub(super) fn connect_failed_here() -> Vec<Made> {
    let row = Row {
        endpoint: || Endpoint::scripted(|_, mut peer| drop(peer.rest())),
        alone: Some((&[], Some(DESCRIPTORS))),
        flags: Some("UF,URX"),
        body: Some(concat!(again!(), "local connection failure")),
        ..Row::new(
            takes_all_descriptors,
            "The endpoint {at} was not reached: evenkeel has no file descriptor, port or memory left for a \
         connection. evenkeel made 4 attempts, none of which sent the request: one, then 3 times because the \
         attempt before was proven not to have been processed. No further attempt was made: without a retry \
         of the owner's, there are no more. To prevent this: raise evenkeel's limit on open files (ulimit \
         -n), or lower circuitBreaker.maxConnections.",
        )
    };
    vec![Made::By(row)]
}

/// Reads a request and closes.
fn closes() -> Endpoint {
    Endpoint::scripted(|_, mut peer| drop(peer.request()))
}

/// Reads a request and resets.
fn resets() -> Endpoint {
    Endpoint::scripted(|_, mut peer| {
        peer.request();
        peer.reset();
    })
}

pub(super) fn closed() -> Vec<Made> {
    let post = Row {
        endpoint: closes,
        closed_by: "upstream_fin",
        ..Row::new(
            posts,
            "The endpoint {at} closed a new connection before responding. The request may have been processed \
         ({n} of {n} bytes acknowledged, FIN). evenkeel did not retry it: its method is not idempotent, and \
         it has no Idempotency-Key. To prevent this: send an Idempotency-Key, or set retry on the route, if \
         the endpoint can bear a request twice; and check that the endpoint speaks HTTP/1.1 in plain text, \
         since servers of other protocols (TLS, uwsgi, FastCGI) close new connections like this too.",
        )
    };
    let owners = Row {
        policy: "  retry: {numRetries: 2, retryOn: {triggers: [reset]}}\n",
        flags: Some("UC,URX"),
        body: Some(concat!(again!(), "connection termination")),
        ..before(
            closes,
            "The endpoint {at} closed a new connection before responding. The request may have been processed \
         ({n} of {n} bytes acknowledged, FIN). evenkeel sent the request 3 times: once, then 2 times by the \
         route's retry (BackendTrafficPolicy retry.numRetries = 2). No further attempt was made: \
         BackendTrafficPolicy retry.numRetries = 2 allows no more. To prevent this: see why the endpoint \
         fails; BackendTrafficPolicy retry.numRetries above 2 allows more attempts; and check that the \
         endpoint speaks HTTP/1.1 in plain text, since servers of other protocols (TLS, uwsgi, FastCGI) close \
         new connections like this too.",
            "upstream_fin",
        )
    };
    let budget = Row {
        policy: "  retryConstraint: {budget: {percent: 0}, minRetryRate: {count: 0}}\n",
        flags: Some("UO,UC"),
        ..before(
            closes,
            "The endpoint {at} closed a new connection before responding. The request may have been processed \
         ({n} of {n} bytes acknowledged, FIN). evenkeel did not retry it: the backend's retry budget was \
         spent (BackendTrafficPolicy retryConstraint = 0 % of the requests of {t}, at least 0, and a burst of \
         {n}). To prevent this: see why so many requests fail, or raise the retry budget; and check that the \
         endpoint speaks HTTP/1.1 in plain text, since servers of other protocols (TLS, uwsgi, FastCGI) close \
         new connections like this too.",
            "upstream_fin",
        )
    };
    vec![Made::By(post), Made::By(owners), Made::By(budget)]
}

pub(super) fn reset() -> Vec<Made> {
    let get = Row {
        flags: Some("UC,URX"),
        body: Some(concat!(
            again!(),
            "connection termination, transport failure reason: connection reset by peer"
        )),
        ..before(
            resets,
            "The endpoint {at} reset a new connection before responding. The request may have been processed ({n} \
         of {n} bytes acknowledged, no FIN). evenkeel sent the request 2 times: once, then once by the \
         default retry of idempotent requests. No further attempt was made: without a retry of the owner's, \
         there are no more. To prevent this: see why the endpoint fails; retry on the route allows more \
         attempts.",
            "upstream_reset",
        )
    };
    let post = Row {
        endpoint: resets,
        closed_by: "upstream_reset",
        ..Row::new(
            posts,
            "The endpoint {at} reset a new connection before responding. The request may have been processed ({n} \
         of {n} bytes acknowledged, no FIN). evenkeel did not retry it: its method is not idempotent, and it \
         has no Idempotency-Key. To prevent this: send an Idempotency-Key, or set retry on the route, if the \
         endpoint can bear a request twice.",
        )
    };
    vec![Made::By(get), Made::By(post)]
}

pub(super) fn lost() -> Vec<Made> {
    let row = Row {
        // Its kernel answers none of the probes of an idle connection.
        policy: "  tcpKeepalive: {idleTime: 1s, interval: 1s, probes: 1}\n",
        endpoint: || {
            Endpoint::scripted(|_, mut peer| {
                peer.request();
                peer.forgets();
                std::thread::sleep(Duration::from_secs(10));
            })
        },
        ..Row::new(
            posts,
            "The connection to the endpoint {at} failed before a response. The request may have been processed \
         ({n} of {n} bytes acknowledged, no FIN). evenkeel did not retry it: its method is not idempotent, \
         and it has no Idempotency-Key. To prevent this: send an Idempotency-Key, or set retry on the route, \
         if the endpoint can bear a request twice.",
        )
    };
    vec![Made::By(row)]
}

/// An endpoint whose kernel opens connections and drops every segment with data in it: nothing is acknowledged.
fn forgetful() -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    // Classic BPF over a TCP segment: passes it if it is no longer than its header (byte 12, high half, in words).
    let program = [
        (0x80, 0, 0, 0),
        (0x02, 0, 0, 0),
        (0x30, 0, 0, 12),
        (0x74, 0, 0, 4),
        (0x64, 0, 0, 2),
        (0x07, 0, 0, 0),
        (0x60, 0, 0, 0),
        (0x2d, 0, 1, 0),
        (0x06, 0, 0, 0),
        (0x06, 0, 0, u32::MAX),
    ];
    let program = program.map(|(code, jt, jf, k)| socket2::SockFilter::new(code, jt, jf, k));
    socket2::SockRef::from(&listener)
        .attach_filter(&program)
        .expect("Linux");
    Endpoint::at(address, listener)
}

pub(super) fn silent() -> Vec<Made> {
    let row = Row {
        policy: "  timeout: {tcp: {connectTimeout: 300ms}}\n",
        endpoint: forgetful,
        closed_by: "local",
        ..Row::new(
            posts,
            "The endpoint {at} acknowledged nothing of what it was sent for {t}: the path to it is silent. The \
         request may have been processed (0 of {n} bytes acknowledged, no FIN). evenkeel did not retry it: \
         its method is not idempotent, and it has no Idempotency-Key. To prevent this: check the network path \
         to the endpoint: a firewall or NAT may have forgotten the connection.",
        )
    };
    vec![Made::By(row)]
}

/// Reads a response to its end, however that comes.
fn reads(scene: &Scene<'_>) -> Option<Message> {
    scene.asks("/").try_response_to("GET")
}

pub(super) fn cut() -> Vec<Made> {
    let row = Row {
        closed_by: "upstream_fin",
        endpoint: || says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        ..Row::new(
            reads,
            "The endpoint {at} closed the connection (FIN) after 4 of 100 bytes of its response's body.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn cut_by_reset() -> Vec<Made> {
    let row = Row {
        closed_by: "upstream_reset",
        endpoint: || {
            Endpoint::scripted(|_, mut peer| {
                peer.request();
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
                std::thread::sleep(Duration::from_millis(100));
                peer.reset();
            })
        },
        ..Row::new(
            reads,
            "The endpoint {at} reset the connection (RST) after 4 of 100 bytes of its response's body.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn other_protocol() -> Vec<Made> {
    let tls = before(
        || says("\x15\x03\x01\x00\x02\x02\x0a"),
        "The endpoint {at} speaks TLS, not HTTP/1. Its response began with the bytes 15 03 01 00 02 02 0a. \
         evenkeel did not retry it: its response had begun. To prevent this: check the port in the Backend.",
        "local",
    );
    let ssh = before(
        || says("SSH-2.0-OpenSSH_9.2\r\n"),
        "The endpoint {at} speaks SSH, not HTTP/1. Its response began with 'SSH-2.0-OpenSSH_9.2'. evenkeel \
         did not retry it: its response had begun. To prevent this: check the port in the Backend.",
        "local",
    );
    vec![Made::By(tls), Made::By(ssh)]
}

pub(super) fn bad_response() -> Vec<Made> {
    let words = before(
        || says("hello\r\n"),
        "The response of the endpoint {at} is malformed. The peer does not speak HTTP/1. Its response began \
         with 'hello'. evenkeel did not retry it: its response had begun.",
        "upstream_fin",
    );
    let lengths = before(
        || says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        "The response of the endpoint {at} is malformed. The message has more than one Content-Length. evenkeel did not retry it: its response had begun.",
        "local",
    );
    vec![Made::By(words), Made::By(lengths)]
}

pub(super) fn head_too_large() -> Vec<Made> {
    let large = || {
        Endpoint::of(Upstream::scripted(|_, mut peer| {
            if peer.request().is_some() {
                let value = "x".repeat(100_000);
                peer.try_send(format!(
                    "HTTP/1.1 200 OK\r\nX: {value}\r\nContent-Length: 0\r\n\r\n"
                ));
                peer.end();
            }
        }))
    };
    vec![Made::By(before(
        large,
        "The head of the response of the endpoint {at} is larger than evenkeel's limit. The limit is 60Ki \
         bytes. evenkeel did not retry it: its response had begun.",
        "local",
    ))]
}

pub(super) fn bad_body() -> Vec<Made> {
    let row = Row {
        endpoint: || {
            Endpoint::scripted(|_, mut peer| {
                peer.request();
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
                std::thread::sleep(Duration::from_millis(100));
                peer.send("Z\r\n");
                peer.end();
            })
        },
        closed_by: "local",
        ..Row::new(
            reads,
            "The body of the response of the endpoint {at} is malformed. A chunk does not begin with its size in hexadecimal digits. evenkeel cut it off after 5 bytes.",
        )
    };
    vec![Made::By(row)]
}

/// Endpoints whose certificate does not check out, or that have none.
pub(super) fn tls_failed() -> Vec<Made> {
    let untrusted = || {
        let issued = Authority::new().issue(&["rows.test"]);
        Endpoint::of(Upstream::scripted(move |_, peer| {
            peer.over_tls(issued.server()).try_head();
        }))
    };
    let plain = || {
        Endpoint::of(Upstream::scripted(|_, mut peer| {
            peer.try_send("220 mail.test\r\n");
            peer.end();
        }))
    };
    let row = |endpoint: fn() -> Endpoint, sentence| {
        Made::By(Row {
            upstream_tls: true,
            flags: Some("UF,URX"),
            body: Some(concat!(again!(), "remote connection failure, TLS error")),
            ..before(endpoint, sentence, "")
        })
    };
    vec![
        row(
            untrusted,
            "The endpoint {at} presented a certificate whose issuer the BackendTLSPolicy does not believe. evenkeel made 4 \
             attempts, none of which sent the request: one, then 3 times because the attempt before was proven not to have \
             been processed. No further attempt was made: without a retry of the owner's, there are no more. To prevent \
             this: renew the endpoint's certificate, or correct validation of the BackendTLSPolicy; /clusters shows what was \
             wrong.",
        ),
        row(
            plain,
            "The endpoint {at} speaks no TLS. evenkeel made 4 attempts, none of which sent the request: one, then 3 times \
             because the attempt before was proven not to have been processed. No further attempt was made: without a retry \
             of the owner's, there are no more. To prevent this: remove the BackendTLSPolicy, or name the endpoint's port \
             that speaks TLS.",
        ),
    ]
}
