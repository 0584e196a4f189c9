//! What clients do.

use std::time::Duration;

use policy::outcome::Told;

use super::stage::{Endpoint, Made, Row, Scene, nobody};
use crate::harness::{Message, Peer, Upstream, eventually};

/// More than sockets and pipes hold.
const LARGE: usize = 64 << 20;

/// One request with these bytes, on a listener with the usual limits.
fn refused(act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Vec<Made> {
    vec![Made::By(usual(act, sentence))]
}

/// A listener with the usual limits; evenkeel closes the connection.
fn usual(act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Row {
    Row {
        closed_by: "local",
        ..Row::new(act, sentence)
    }
}

fn tight(act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Row {
    Row {
        tight: true,
        ..usual(act, sentence)
    }
}

/// Reads what comes and answers nothing.
fn mute() -> Endpoint {
    Endpoint::scripted(|_, mut peer| drop(peer.rest()))
}

pub(super) fn bad_request() -> Vec<Made> {
    refused(
        |scene| Some(scene.sends("GET", "/", "X : a\r\n").response()),
        "White space stands before a field's colon. evenkeel did not forward the request.",
    )
}

pub(super) fn bad_request_body() -> Vec<Made> {
    let before = Row {
        endpoint: mute,
        ..usual(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send("3\r\nabc\r\nZ\r\n");
                Some(client.response())
            },
            "A chunk does not begin with its size in hexadecimal digits. evenkeel ended the request after 3 bytes \
             of its body.",
        )
    };
    let inside = Row {
        endpoint: answers_early,
        ..usual(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send("3\r\nabc\r\n");
                let mut head = client.try_head();
                client.send("Z\r\n");
                if let Some(head) = &mut head {
                    head.complete = client.rest().len() == 10;
                }
                head
            },
            "A chunk does not begin with its size in hexadecimal digits. evenkeel ended the request after 3 bytes \
             of its body.",
        )
    };
    let inside = Row {
        told: Some(Told::Cut),
        ..inside
    };
    vec![Made::By(before), Made::By(inside)]
}

pub(super) fn other_protocol() -> Vec<Made> {
    let tls = usual(
        |scene| {
            let mut client = scene.client();
            client.send(b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03");
            Some(client.response())
        },
        "The client speaks TLS, and this listener speaks HTTP/1 in plain text. To prevent this: have the \
         client use http:// for this port, or a port that speaks TLS.",
    );
    let proxy = usual(
        |scene| {
            let mut client = scene.client();
            client.send("PROXY TCP4 1.2.3.4 5.6.7.8 9 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
            Some(client.response())
        },
        "The client's connection began with a PROXY protocol header, and this listener expects a request. To \
         prevent this: switch the PROXY protocol off in the load balancer before evenkeel.",
    );
    vec![Made::By(tls), Made::By(proxy)]
}

pub(super) fn head_too_large() -> Vec<Made> {
    let head = tight(
        |scene| {
            let more = format!("X: {}\r\n", "y".repeat(3000));
            Some(scene.sends("GET", "/", &more).response())
        },
        "The request's head has more bytes than ClientTrafficPolicy headers.maxBytes = 2Ki allows. To prevent \
         this: have the client send less in its fields (mostly cookies), or raise ClientTrafficPolicy \
         headers.maxBytes.",
    );
    let trailers = Row {
        endpoint: mute,
        ..tight(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send(format!("0\r\nX: {}\r\n\r\n", "y".repeat(9000)));
                Some(client.response())
            },
            "The request's trailer section has more bytes than the 8Ki that evenkeel takes.",
        )
    };
    vec![Made::By(head), Made::By(trailers)]
}

pub(super) fn body_too_large() -> Vec<Made> {
    let announced = Row {
        policy: "  maxRequestBodyBytes: 1Ki\n",
        // It has nothing to read: a connection to it would be refused.
        endpoint: || Endpoint::at(nobody(), ()),
        ..usual(
            |scene| Some(scene.sends("POST", "/", "Content-Length: 1025\r\n").response()),
            "The request's body has more bytes than BackendTrafficPolicy maxRequestBodyBytes = 1Ki allows: its \
             Content-Length is 1025, and evenkeel forwarded nothing of it. To prevent this: have the client send \
             less, or raise BackendTrafficPolicy maxRequestBodyBytes.",
        )
    };
    let counted = Row {
        policy: "  maxRequestBodyBytes: 1Ki\n",
        endpoint: mute,
        ..usual(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send(format!("400\r\n{}\r\n", "x".repeat(1024)));
                std::thread::sleep(Duration::from_millis(50));
                client.send("1\r\ny\r\n0\r\n\r\n");
                Some(client.response())
            },
            "The request's body has more bytes than BackendTrafficPolicy maxRequestBodyBytes = 1Ki allows: 1025 \
             bytes of it had come. To prevent this: have the client send less, or raise BackendTrafficPolicy \
             maxRequestBodyBytes.",
        )
    };
    let answered = Row {
        policy: "  maxRequestBodyBytes: 2\n",
        endpoint: answers_early,
        told: Some(Told::Cut),
        ..usual(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send("2\r\nab\r\n");
                let mut head = client.try_head()?;
                client.send("1\r\nc\r\n");
                head.complete = client.rest().len() == 10;
                Some(head)
            },
            "The request's body has more bytes than BackendTrafficPolicy maxRequestBodyBytes = 2 allows: 3 bytes \
             of it had come. To prevent this: have the client send less, or raise BackendTrafficPolicy \
             maxRequestBodyBytes.",
        )
    };
    vec![Made::By(announced), Made::By(counted), Made::By(answered)]
}

/// Answers half before it has the whole request.
fn answers_early() -> Endpoint {
    Endpoint::scripted(|_, mut peer| {
        peer.try_head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
        peer.rest();
    })
}

pub(super) fn too_many_fields() -> Vec<Made> {
    let head = tight(
        |scene| Some(scene.sends("GET", "/", &"X: y\r\n".repeat(5)).response()),
        "The request's head has more fields than ClientTrafficPolicy headers.maxFields = 5 allows. To prevent \
         this: have the client send fewer fields, or raise ClientTrafficPolicy headers.maxFields.",
    );
    let trailers = Row {
        endpoint: mute,
        ..tight(
            |scene| {
                let mut client = scene.sends("POST", "/", "Transfer-Encoding: chunked\r\n");
                client.send(format!("0\r\n{}\r\n", "X: y\r\n".repeat(6)));
                Some(client.response())
            },
            "The request's trailer section has more fields than ClientTrafficPolicy headers.maxFields = 5 allows. \
             To prevent this: have the client send fewer fields, or raise ClientTrafficPolicy headers.maxFields.",
        )
    };
    vec![Made::By(head), Made::By(trailers)]
}

pub(super) fn line_too_long() -> Vec<Made> {
    let row = tight(
        |scene| Some(scene.asks(&format!("/{}", "x".repeat(300))).response()),
        "The request line has more bytes than ClientTrafficPolicy headers.maxRequestLineBytes = 256 allows. \
         To prevent this: have the client send a shorter path or query, or raise ClientTrafficPolicy \
         headers.maxRequestLineBytes.",
    );
    vec![Made::By(row)]
}

pub(super) fn connect() -> Vec<Made> {
    refused(
        |scene| {
            let mut client = scene.client();
            client.send("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n");
            Some(client.response())
        },
        "CONNECT is not offered. evenkeel did not forward the request.",
    )
}

pub(super) fn expectation() -> Vec<Made> {
    refused(
        |scene| Some(scene.sends("GET", "/", "Expect: a-miracle\r\n").response()),
        "Expect asks for something other than 100-continue. evenkeel did not forward the request.",
    )
}

pub(super) fn not_implemented() -> Vec<Made> {
    let coding = usual(
        |scene| {
            let more = "Transfer-Encoding: gzip, chunked\r\n";
            Some(scene.sends("POST", "/", more).response())
        },
        "Transfer-Encoding names a coding other than chunked. evenkeel did not forward the request.",
    );
    let method = Row {
        details: Some("http1.headers_too_large"),
        ..tight(
            |scene| Some(scene.sends(&"M".repeat(300), "/", "").response()),
            "The request's method alone has more bytes than ClientTrafficPolicy headers.maxRequestLineBytes = 256 \
             allows. To prevent this: have the client send a method that exists.",
        )
    };
    vec![Made::By(coding), Made::By(method)]
}

pub(super) fn version() -> Vec<Made> {
    refused(
        |scene| {
            let mut client = scene.client();
            client.send("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
            Some(client.response())
        },
        "The HTTP version is not 1. evenkeel did not forward the request.",
    )
}

pub(super) fn head_timeout() -> Vec<Made> {
    let row = tight(
        |scene| {
            let mut client = scene.client();
            client.send("GET / HTTP/1.1\r\nHost");
            Some(client.response())
        },
        "The client did not finish its request's head within ClientTrafficPolicy \
         timeout.http.requestHeadersReceivedTimeout = 300ms; 20 bytes of it had come. To prevent this: raise \
         ClientTrafficPolicy timeout.http.requestHeadersReceivedTimeout.",
    );
    vec![Made::By(row)]
}

/// Heads that never end take all the memory that they may, and the first of them makes room.
pub(super) fn head_shed() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        let mut first = scene.client();
        first.send("GET / HTTP/1.1\r\nHost");
        eventually("the first to wait with what it sent", || {
            (scene.gateway.stat("downstream_cx_active") == 1).then_some(())
        });
        let begun = format!("GET /setup HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(30_000));
        // 1 MiB is room for 34 of them.
        let _others: Vec<Peer> = (0..40)
            .map(|_| {
                let mut client = scene.client();
                client.send(&begun);
                client
            })
            .collect();
        Some(first.response())
    };
    let row = Row {
        alone: Some((&["--workers", "1", "--unfinished-heads-max", "1Mi"], None)),
        closed_by: "local",
        ..Row::new(
            act,
            "The client had not finished its request's head (20 bytes of it had come), and it was the oldest when all \
             unfinished heads took more memory than --unfinished-heads-max allows. To prevent this: raise \
             --unfinished-heads-max, or lower ClientTrafficPolicy timeout.http.requestHeadersReceivedTimeout = 10s (the default), so \
             that slow clients leave sooner.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn body_timeout() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        let mut client = scene.sends("POST", "/", "Content-Length: 100\r\n\r\nhalf");
        Some(client.response())
    };
    let clients = Row {
        endpoint: mute,
        ..tight(
            act,
            "The client stopped sending its request's body: no byte came for ClientTrafficPolicy \
         timeout.http.streamIdleTimeout = 300ms, after 4 of 100 bytes. To prevent this: see why the client is \
         slow, or raise ClientTrafficPolicy timeout.http.streamIdleTimeout.",
        )
    };
    let clusters = Row {
        endpoint: mute,
        policy: "  timeout: {http: {streamIdleTimeout: 200ms}}\n",
        ..usual(
            act,
            "The client stopped sending its request's body: no byte came for BackendTrafficPolicy \
         timeout.http.streamIdleTimeout = 200ms, after 4 of 100 bytes. To prevent this: see why the client is \
         slow, or raise BackendTrafficPolicy timeout.http.streamIdleTimeout.",
        )
    };
    vec![Made::By(clients), Made::By(clusters)]
}

pub(super) fn left() -> Vec<Made> {
    let slow = || {
        Endpoint::of(Upstream::answering(|_| {
            std::thread::sleep(Duration::from_millis(600));
            crate::harness::reply("late")
        }))
    };
    let in_head = Row {
        closed_by: "downstream_fin",
        ..usual(
            |scene| {
                let mut client = scene.client();
                client.send("GET / HTTP/1.1\r\nHost");
                std::thread::sleep(Duration::from_millis(30));
                client.half_close();
                client.try_response_to("GET")
            },
            "The client ended its connection before its request's head was complete, {t} after its request began.",
        )
    };
    let waiting = Row {
        endpoint: slow,
        closed_by: "downstream_reset",
        ..usual(
            |scene| {
                let client = scene.asks("/");
                std::thread::sleep(Duration::from_millis(100));
                client.reset();
                None
            },
            "The client ended its connection while evenkeel waited for the endpoint {at} to respond, {t} after \
             its request began.",
        )
    };
    let in_body = Row {
        endpoint: mute,
        closed_by: "downstream_fin",
        ..usual(
            |scene| {
                let mut client = scene.sends("POST", "/", "Content-Length: 100\r\n\r\nhalf");
                std::thread::sleep(Duration::from_millis(50));
                client.half_close();
                client.try_response_to("POST")
            },
            "The client ended its connection inside its request's body, after 4 of 100 bytes, {t} after its \
             request began.",
        )
    };
    vec![Made::By(in_head), Made::By(waiting), Made::By(in_body)]
}

/// Sends a response without an end.
fn endless() -> Endpoint {
    Endpoint::scripted(|_, mut peer| {
        if peer.request().is_some() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            while peer.try_send(vec![b'x'; 1 << 20]) {}
        }
    })
}

/// Has a response's head and reads no more until its line is there.
fn stops_reading(scene: &Scene<'_>) -> Option<Message> {
    let before = scene.gateway.log_lines(0).len();
    let mut client = scene.asks("/");
    let mut head = client.try_head();
    scene.gateway.log_lines(before + 1);
    if let Some(head) = &mut head {
        head.complete = client.rest().len() == LARGE;
    }
    head
}

pub(super) fn stuck() -> Vec<Made> {
    let clients = Row {
        endpoint: endless,
        ..tight(
            stops_reading,
            "The client took no byte of its response for ClientTrafficPolicy timeout.http.streamIdleTimeout = \
         300ms, after {n} of 67108864 bytes of it. To prevent this: see why the client is slow, or raise \
         ClientTrafficPolicy timeout.http.streamIdleTimeout.",
        )
    };
    let clusters = Row {
        endpoint: endless,
        policy: "  timeout: {http: {streamIdleTimeout: 300ms}}\n",
        ..usual(
            stops_reading,
            "The client took no byte of its response for BackendTrafficPolicy timeout.http.streamIdleTimeout = \
         300ms, after {n} of 67108864 bytes of it. To prevent this: see why the client is slow, or raise \
         BackendTrafficPolicy timeout.http.streamIdleTimeout.",
        )
    };
    vec![Made::By(clients), Made::By(clusters)]
}

pub(super) fn slow() -> Vec<Made> {
    let row = Row {
        endpoint: endless,
        rule: "    timeouts: {request: 500ms}\n",
        ..usual(
            |scene| {
                let before = scene.gateway.log_lines(0).len();
                let mut client = scene.asks("/");
                let mut head = client.try_head()?;
                while scene.gateway.log_lines(0).len() == before {
                    client.take(1000);
                    std::thread::sleep(Duration::from_millis(10));
                }
                head.complete = false;
                Some(head)
            },
            "The request took longer than HTTPRoute timeouts.request = 500ms: the client was slow to take its \
             response, of which evenkeel had sent {n} of 67108864 bytes. To prevent this: see why the client is \
             slow, or raise HTTPRoute timeouts.request.",
        )
    };
    vec![Made::By(row)]
}
