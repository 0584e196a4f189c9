//! How tunnels end.

use std::time::Duration;

use super::stage::{Endpoint, Made, Row, Scene};
use crate::harness::{End, Message, Peer};

/// Upgrades, takes seven bytes, sends ten, and then does as it is told.
fn upgrades(then: fn(Peer)) -> impl Fn(usize, Peer) {
    move |_, mut peer| {
        if peer.try_head().is_some() {
            peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
            peer.take(7);
            peer.send("0123456789");
            then(peer);
        }
    }
}

fn stays() -> Endpoint {
    Endpoint::scripted(|number, peer| upgrades(|mut peer| assert_ne!(peer.end(), End::Open))(number, peer))
}

/// A client in a tunnel that has had ten bytes and sent seven.
fn tunnel(scene: &Scene<'_>) -> (Message, Peer) {
    let mut client = scene.sends("GET", "/", "Connection: upgrade\r\nUpgrade: x\r\n");
    let head = client.try_head().expect("a head");
    client.send("1234567");
    assert_eq!(client.take(10).len(), 10);
    (head, client)
}

fn row(
    endpoint: fn() -> Endpoint,
    act: fn(&Scene<'_>) -> Option<Message>,
    closed_by: &'static str,
    sentence: &'static str,
) -> Row {
    Row {
        endpoint,
        status: 101,
        closed_by,
        ..Row::new(act, sentence)
    }
}

/// Stays in the tunnel until it ends.
fn waits(scene: &Scene<'_>) -> Option<Message> {
    let (head, mut client) = tunnel(scene);
    client.end();
    Some(head)
}

pub(super) fn client_closes() -> Vec<Made> {
    let act = |scene: &Scene<'_>| Some(tunnel(scene).0);
    vec![Made::By(row(
        stays,
        act,
        "downstream_fin",
        "The client closed the tunnel (FIN) after {t}, 7 bytes from the client and 10 bytes to it.",
    ))]
}

pub(super) fn client_resets() -> Vec<Made> {
    let act = |scene: &Scene<'_>| {
        let (head, client) = tunnel(scene);
        client.reset();
        Some(head)
    };
    vec![Made::By(row(
        stays,
        act,
        "downstream_reset",
        "The client reset the tunnel (RST) after {t}, 7 bytes from the client and 10 bytes to it.",
    ))]
}

pub(super) fn endpoint_closes() -> Vec<Made> {
    let closes = || Endpoint::scripted(|number, peer| upgrades(drop)(number, peer));
    vec![Made::By(row(
        closes,
        waits,
        "upstream_fin",
        "The endpoint {at} closed the tunnel (FIN) after {t}, 7 bytes from the client and 10 bytes to it.",
    ))]
}

pub(super) fn endpoint_resets() -> Vec<Made> {
    let resets = || {
        Endpoint::scripted(|number, peer| {
            upgrades(|peer| {
                std::thread::sleep(Duration::from_millis(50));
                peer.reset();
            })(number, peer);
        })
    };
    vec![Made::By(row(
        resets,
        waits,
        "upstream_reset",
        "The endpoint {at} reset the tunnel (RST) after {t}, 7 bytes from the client and 10 bytes to it.",
    ))]
}

pub(super) fn idle() -> Vec<Made> {
    let row = Row {
        policy: "  timeout: {http: {streamIdleTimeout: 200ms}}\n",
        ..row(
            stays,
            waits,
            "local",
            "evenkeel ended the tunnel, because no byte had moved for BackendTrafficPolicy timeout.http.streamIdleTimeout \
             = 200ms, after {t}, 7 bytes from the client and 10 bytes to it. To prevent this: have client or endpoint send pings more often, or raise BackendTrafficPolicy \
             timeout.http.streamIdleTimeout.",
        )
    };
    vec![Made::By(row)]
}
