//! Requests that were saved: they are no failures, and have a sentence all the same.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::stage::{Endpoint, Row, Scene};
use crate::harness::{Upstream, reply};

fn saved(endpoint: fn() -> Endpoint, closed_by: &'static str, sentence: &'static str) -> Row {
    Row {
        endpoint,
        closed_by,
        ..Row::new(|scene| scene.get("/"), sentence)
    }
}

/// Resets its first connection, and answers on the others.
fn resets_once() -> Endpoint {
    Endpoint::scripted(|number, mut peer| {
        while peer.request().is_some() {
            if number == 0 {
                return peer.reset();
            }
            peer.try_send(reply("ok"));
        }
    })
}

/// Closes its first connection as the second request on it comes, unread.
fn closes_before_the_second() -> Endpoint {
    Endpoint::scripted(|number, mut peer| {
        while peer.request().is_some() {
            peer.try_send(reply("ok"));
            if number == 0 {
                std::thread::sleep(Duration::from_millis(30));
                return;
            }
        }
    })
}

/// Two requests, of which the second meets a connection that was closed in between.
fn after_one(scene: &Scene<'_>) -> Option<crate::harness::Message> {
    scene.get("/setup");
    std::thread::sleep(Duration::from_millis(100));
    scene.get("/")
}

/// Quick, but for the first time that the request comes which is to be hedged.
fn hesitates() -> Endpoint {
    let met = AtomicUsize::new(0);
    Endpoint::of(Upstream::answering(move |request| {
        if request.target() == "/" && met.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_secs(4));
        }
        reply("ok")
    }))
}

pub(super) fn rows() -> Vec<Row> {
    let retried = saved(
        resets_once,
        "upstream_reset",
        "The endpoint {at} reset a new connection before responding. The request may have been processed ({n} of {n} bytes \
         acknowledged, no FIN). evenkeel sent the request 2 times: once, then once by the default retry of idempotent \
         requests.",
    );
    let owners = Row {
        policy: "  retry: {numRetries: 2, retryOn: {triggers: [reset]}}\n",
        ..saved(
            resets_once,
            "upstream_reset",
            "The endpoint {at} reset a new connection before responding. The request may have been processed ({n} of {n} bytes \
         acknowledged, no FIN). evenkeel sent the request 2 times: once, then once by the route's retry \
         (BackendTrafficPolicy retry.numRetries = 2).",
        )
    };
    let unused = Row {
        endpoint: closes_before_the_second,
        ..Row::new(after_one, "")
    };
    let hedged = Row {
        endpoint: hesitates,
        policy: "  hedge: {minDelay: 100ms}\n",
        ..Row::new(
            |scene| {
                for _ in 0..60 {
                    scene.get("/setup");
                }
                // What is usual is looked up ten times a second.
                std::thread::sleep(Duration::from_millis(150));
                scene.get("/")
            },
            "The endpoint {at} had not responded within {t} ({n} of {n} bytes acknowledged) when another attempt was \
             answered. evenkeel sent the request 2 times: once, then once as a hedge beside a slow attempt.",
        )
    };
    vec![retried, owners, unused, hedged]
}
