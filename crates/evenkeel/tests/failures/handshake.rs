//! TLS handshakes that come to nothing.

use std::sync::Mutex;

use super::stage::{Made, Row, Scene};
use crate::harness::tls::Authority;
use crate::harness::{Message, Peer};

/// The beginning of a ClientHello.
const BEGUN: [u8; 6] = [0x16, 3, 1, 0, 200, 1];

/// On a listener that speaks TLS; evenkeel closes the connection.
fn secure(act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Row {
    Row {
        secure: true,
        closed_by: "local",
        ..Row::new(act, sentence)
    }
}

/// A client that begins a handshake and goes no further.
fn stalled(scene: &Scene<'_>) -> Peer {
    let mut client = scene.client();
    client.send(BEGUN);
    client
}

pub(super) fn plain_http() -> Vec<Made> {
    let row = secure(
        |scene| scene.get("/"),
        "The client sent a request in plain HTTP, and this listener speaks HTTPS. To prevent this: use https:// in the \
         client, or a listener of protocol HTTP on another port.",
    );
    vec![Made::By(row)]
}

pub(super) fn failed() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        let http2 =
            Authority::new().client_with("rows.test", |config| config.alpn_protocols = vec![b"h2".to_vec()]);
        let mut client = scene.client().over_tls(http2);
        client.try_send("GET / HTTP/1.1\r\n\r\n");
        client.end();
        None
    };
    let row = secure(
        act,
        "The TLS handshake failed. The client and this listener share no protocol (ALPN): the listener speaks http/1.1. To \
         prevent this: see that the listener's hostname and certificates fit what the client asks for, and that both speak \
         a common version (tls.minVersion of the ClientTrafficPolicy).",
    );
    vec![Made::By(row)]
}

pub(super) fn timeout() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        stalled(scene).end();
        None
    };
    let row = Row {
        tight: true,
        ..secure(
            act,
            "The client did not finish the TLS handshake within ClientTrafficPolicy \
             timeout.http.requestHeadersReceivedTimeout = 300ms. To prevent this: see why the client is slow, or raise \
             ClientTrafficPolicy timeout.http.requestHeadersReceivedTimeout.",
        )
    };
    vec![Made::By(row)]
}

/// Those that hold a place stay until the next run: each that leaves has a line of its own.
static STALLED: Mutex<Vec<Peer>> = Mutex::new(Vec::new());

pub(super) fn shed() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        // A worker has room for 512.
        let mut all: Vec<Peer> = (0..513).map(|_| stalled(scene)).collect();
        all[0].end();
        *STALLED.lock().expect("no panic") = all;
        None
    };
    let row = Row {
        alone: Some((&["--workers", "1"], None)),
        ..secure(
            act,
            "The client had not finished the TLS handshake, and its was the oldest when more were under way than may be. To \
             prevent this: lower ClientTrafficPolicy timeout.http.requestHeadersReceivedTimeout = 10s (the default), so \
             that slow clients leave sooner.",
        )
    };
    vec![Made::By(row)]
}

pub(super) fn left() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        drop(stalled(scene));
        None
    };
    let row = Row {
        closed_by: "downstream_fin",
        ..secure(
            act,
            "The client ended its connection inside the TLS handshake, {t} after it began. To prevent this: see whether \
             the client trusts the certificate and its intermediates.",
        )
    };
    vec![Made::By(row)]
}
