//! Limits that are met: of time, of load, of retries.

use std::time::Duration;

use nix::sys::signal::Signal;
use policy::outcome::Told;

use super::stage::{Endpoint, Made, Row, Scene};
use crate::harness::{Message, Peer, Upstream, eventually, reply};

/// Switches to another protocol where it is asked to, and else answers.
fn busy() -> Endpoint {
    Endpoint::scripted(|_, mut peer| {
        while let Some(request) = peer.request() {
            if request.field("upgrade").is_some() {
                peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                peer.end();
                return;
            }
            peer.try_send(reply("ok"));
        }
    })
}

/// Answers nothing.
fn mute() -> Endpoint {
    Endpoint::scripted(|_, mut peer| drop(peer.rest()))
}

/// Answers 503.
fn failing() -> Endpoint {
    Endpoint::of(Upstream::answering(|_| {
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy".to_owned()
    }))
}

fn limited(policy: &'static str, act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Row {
    Row {
        policy,
        endpoint: busy,
        ..Row::new(act, sentence)
    }
}

/// A client that holds a connection to the endpoint.
fn tunnels(scene: &Scene<'_>) -> Peer {
    let mut client = scene.sends("GET", "/setup", "Connection: upgrade\r\nUpgrade: x\r\n");
    assert_eq!(client.try_head().expect("a head").status(), 101);
    client
}

/// Clients whose requests wait for a connection.
fn wait(scene: &Scene<'_>, count: usize) -> Vec<Peer> {
    let name = format!("{}.", scene.host.trim_end_matches(".test"));
    let clients = (0..count).map(|_| scene.asks("/setup")).collect();
    eventually("requests that wait", || {
        let stats = scene.gateway.admin_get("/stats").text();
        let is = |line: &str| {
            line.contains(&name) && line.ends_with(&format!("upstream_rq_pending_active: {count}"))
        };
        stats.lines().any(is).then_some(())
    });
    clients
}

/// Asks while the only connection is in use.
fn beside_one(scene: &Scene<'_>) -> Option<Message> {
    let _first = tunnels(scene);
    scene.get("/")
}

/// Asks while the only connection is in use and another request waits for it.
fn behind_one(scene: &Scene<'_>) -> Option<Message> {
    let _first = tunnels(scene);
    let _second = wait(scene, 1);
    scene.get("/")
}

/// Asks while the only connection is in use and as many wait for it as always may, after a while.
fn behind_two(scene: &Scene<'_>) -> Option<Message> {
    let _first = tunnels(scene);
    let _others = wait(scene, 2);
    std::thread::sleep(Duration::from_millis(150));
    scene.get("/")
}

/// The same, and the others come after a while.
fn behind_two_that_came_late(scene: &Scene<'_>) -> Option<Message> {
    let _first = tunnels(scene);
    std::thread::sleep(Duration::from_millis(2100));
    let _others = wait(scene, 2);
    scene.get("/")
}

pub(super) fn requests() -> Vec<Made> {
    vec![Made::By(limited(
        "  circuitBreaker: {maxParallelRequests: 1}\n",
        beside_one,
        "As many requests to the backend were in flight as BackendTrafficPolicy circuitBreaker.maxParallelRequests = 1 \
         allows. To prevent this: see why the backend is slow, add endpoints, or raise \
         circuitBreaker.maxParallelRequests.",
    ))]
}

pub(super) fn pending() -> Vec<Made> {
    vec![Made::By(limited(
        "  circuitBreaker: {maxConnections: 1, maxPendingRequests: 1}\n  queue: {maxWait: 10s}\n",
        behind_one,
        "Every connection to the backend was in use: BackendTrafficPolicy circuitBreaker.maxConnections = 1 allows no \
         more. As many requests waited for one as BackendTrafficPolicy circuitBreaker.maxPendingRequests = 1 allows. \
         To prevent this: see why the backend is slow, add endpoints, or raise the limit on connections or \
         circuitBreaker.maxPendingRequests.",
    ))]
}

pub(super) fn queue_overload() -> Vec<Made> {
    let overloaded = limited(
        "  circuitBreaker: {maxConnections: 1}\n  queue: {interval: 50ms, maxWait: 10s}\n",
        behind_two,
        "Every connection to the backend was in use: BackendTrafficPolicy circuitBreaker.maxConnections = 1 allows no \
         more. The queue for them had not been empty for BackendTrafficPolicy queue.interval = 50ms, so the request \
         would have waited in vain. To prevent this: see why the backend is slow, add endpoints, or raise the limit \
         on connections.",
    );
    let stalled = limited(
        "  circuitBreaker: {maxConnections: 1}\n  queue: {interval: 10s, maxWait: 4s}\n",
        behind_two_that_came_late,
        "Every connection to the backend was in use: BackendTrafficPolicy circuitBreaker.maxConnections = 1 allows no \
         more. No request to the backend had ended for half of BackendTrafficPolicy queue.maxWait = 4s, so the request \
         would have waited in vain. To prevent this: see why the backend is slow, add endpoints, or raise the limit \
         on connections.",
    );
    vec![Made::By(overloaded), Made::By(stalled)]
}

pub(super) fn queue_timeout() -> Vec<Made> {
    let cluster = limited(
        "  circuitBreaker: {maxConnections: 1}\n  queue: {interval: 10s, maxWait: 150ms}\n",
        beside_one,
        "Every connection to the backend was in use: BackendTrafficPolicy circuitBreaker.maxConnections = 1 allows no \
         more. The request waited for one as long as BackendTrafficPolicy queue.maxWait = 150ms allows. To prevent \
         this: see why the backend is slow, add endpoints, raise the limit on connections, or raise queue.maxWait.",
    );
    let endpoint = limited(
        "  circuitBreaker: {perEndpoint: {maxConnections: 1}}\n  queue: {interval: 10s, maxWait: 150ms}\n",
        beside_one,
        "Every connection to the backend was in use: BackendTrafficPolicy circuitBreaker.perEndpoint.maxConnections = \
         1 allows no more. The request waited for one as long as BackendTrafficPolicy queue.maxWait = 150ms allows. To \
         prevent this: see why the backend is slow, add endpoints, raise the limit on connections, or raise \
         queue.maxWait.",
    );
    vec![Made::By(cluster), Made::By(endpoint)]
}

fn answered(policy: &'static str, sentence: &'static str) -> Row {
    Row {
        policy,
        endpoint: failing,
        status: 503,
        ..Row::new(|scene| scene.get("/"), sentence)
    }
}

pub(super) fn retry_budget() -> Vec<Made> {
    vec![Made::By(answered(
        "  retry: {numRetries: 2, retryOn: {httpStatusCodes: [503]}}\n  \
         retryConstraint: {budget: {percent: 0}, minRetryRate: {count: 0}}\n",
        "The endpoint {at} answered 503. evenkeel did not retry it: the backend's retry budget was spent \
         (BackendTrafficPolicy retryConstraint = 0 % of the requests of {t}, at least 0, and a burst of {n}). To prevent \
         this: see why so many requests fail, or raise the retry budget.",
    ))]
}

pub(super) fn retries() -> Vec<Made> {
    vec![Made::By(answered(
        "  retry: {numRetries: 2, retryOn: {httpStatusCodes: [503]}}\n  circuitBreaker: {maxParallelRetries: 0}\n",
        "The endpoint {at} answered 503. evenkeel did not retry it: as many retries as BackendTrafficPolicy \
         circuitBreaker.maxParallelRetries = 0 were in flight. To prevent this: see why so many requests fail, or \
         raise circuitBreaker.maxParallelRetries.",
    ))]
}

pub(super) fn attempts() -> Vec<Made> {
    let policys = answered(
        "  retry: {numRetries: 2, retryOn: {httpStatusCodes: [503]}}\n",
        "The endpoint {at} answered 503. evenkeel sent the request 3 times: once, then 2 times by the route's retry \
         (BackendTrafficPolicy retry.numRetries = 2). No further attempt was made: BackendTrafficPolicy \
         retry.numRetries = 2 allows no more. To prevent this: see why the endpoint fails; BackendTrafficPolicy \
         retry.numRetries above 2 allows more attempts.",
    );
    let routes = Row {
        rule: "    retry: {codes: [503], attempts: 1}\n",
        ..answered(
            "",
            "The endpoint {at} answered 503. evenkeel sent the request 2 times: once, then once by the route's retry \
             (HTTPRoute retry.attempts = 1). No further attempt was made: HTTPRoute retry.attempts = 1 allows no more. \
             To prevent this: see why the endpoint fails; HTTPRoute retry.attempts above 1 allows more attempts.",
        )
    };
    vec![Made::By(policys), Made::By(routes)]
}

fn late(rule: &'static str, policy: &'static str, sentence: &'static str) -> Row {
    Row {
        rule,
        policy,
        endpoint: mute,
        closed_by: "local",
        ..Row::new(|scene| scene.get("/"), sentence)
    }
}

pub(super) fn per_try_timeout() -> Vec<Made> {
    let routes = late(
        "    timeouts: {backendRequest: 200ms}\n",
        "",
        "The attempt took longer than HTTPRoute timeouts.backendRequest = 200ms: the endpoint {at} had not responded \
         within {t} ({n} of {n} bytes acknowledged). evenkeel did not retry it: without a retry of the owner's, \
         evenkeel repeats no attempt that ended so. To prevent this: see why the endpoint is slow, or raise HTTPRoute \
         timeouts.backendRequest.",
    );
    let policys = late(
        "",
        "  timeout: {http: {perTryTimeout: 200ms}}\n",
        "The attempt took longer than BackendTrafficPolicy timeout.http.perTryTimeout = 200ms: the endpoint {at} had not \
         responded within {t} ({n} of {n} bytes acknowledged). evenkeel did not retry it: without a retry of the \
         owner's, evenkeel repeats no attempt that ended so. To prevent this: see why the endpoint is slow, or raise \
         BackendTrafficPolicy timeout.http.perTryTimeout.",
    );
    vec![Made::By(routes), Made::By(policys)]
}

pub(super) fn request_timeout() -> Vec<Made> {
    let routes = late(
        "    timeouts: {request: 200ms}\n",
        "",
        "The request took longer than HTTPRoute timeouts.request = 200ms: the endpoint {at} had not responded within {t} \
         ({n} of {n} bytes acknowledged). To prevent this: see why the endpoint is slow, or raise HTTPRoute \
         timeouts.request.",
    );
    let policys = late(
        "",
        "  timeout: {http: {requestTimeout: 200ms}}\n",
        "The request took longer than BackendTrafficPolicy timeout.http.requestTimeout = 200ms: the endpoint {at} had \
         not responded within {t} ({n} of {n} bytes acknowledged). To prevent this: see why the endpoint is slow, or \
         raise BackendTrafficPolicy timeout.http.requestTimeout.",
    );
    let auto = late(
        "",
        "  timeout: {http: {autoTimeout: {least: 100ms, most: 200ms}}}\n",
        "The request took longer than BackendTrafficPolicy timeout.http.autoTimeout, now = 200ms: the endpoint {at} had \
         not responded within {t} ({n} of {n} bytes acknowledged). To prevent this: see why the endpoint is slow, or \
         raise BackendTrafficPolicy timeout.http.autoTimeout, now.",
    );
    let waiting = limited(
        "  circuitBreaker: {maxConnections: 1}\n  queue: {maxWait: 10s}\n  timeout: {http: {requestTimeout: 200ms}}\n",
        beside_one,
        "The request took longer than BackendTrafficPolicy timeout.http.requestTimeout = 200ms: it was waiting for a \
         connection to the backend. To prevent this: see why the endpoint is slow, or raise BackendTrafficPolicy \
         timeout.http.requestTimeout.",
    );
    vec![
        Made::By(routes),
        Made::By(policys),
        Made::By(auto),
        Made::By(waiting),
    ]
}

/// Answers a part, and then nothing.
fn halting() -> Endpoint {
    Endpoint::scripted(|_, mut peer| {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
        peer.end();
    })
}

fn late_inside(rule: &'static str, policy: &'static str, sentence: &'static str) -> Row {
    Row {
        rule,
        policy,
        endpoint: halting,
        closed_by: "local",
        ..Row::new(|scene| scene.asks("/").try_response_to("GET"), sentence)
    }
}

pub(super) fn request_timeout_in_response() -> Vec<Made> {
    let routes = late_inside(
        "    timeouts: {request: 200ms}\n",
        "",
        "The request took longer than HTTPRoute timeouts.request = 200ms: 4 of 100 bytes of the response's body had come \
         from the endpoint {at}. To prevent this: see why the endpoint is slow, or raise HTTPRoute timeouts.request.",
    );
    let policys = late_inside(
        "",
        "  timeout: {http: {requestTimeout: 200ms}}\n",
        "The request took longer than BackendTrafficPolicy timeout.http.requestTimeout = 200ms: 4 of 100 bytes of the \
         response's body had come from the endpoint {at}. To prevent this: see why the endpoint is slow, or raise \
         BackendTrafficPolicy timeout.http.requestTimeout.",
    );
    vec![Made::By(routes), Made::By(policys)]
}

pub(super) fn stream_idle() -> Vec<Made> {
    vec![Made::By(late(
        "",
        "  timeout: {http: {streamIdleTimeout: 200ms}}\n",
        "No byte came from the endpoint {at} for BackendTrafficPolicy timeout.http.streamIdleTimeout = 200ms, and it \
         had not responded. To prevent this: see why the endpoint is slow, or raise BackendTrafficPolicy \
         timeout.http.streamIdleTimeout.",
    ))]
}

pub(super) fn stream_idle_in_response() -> Vec<Made> {
    vec![Made::By(late_inside(
        "",
        "  timeout: {http: {streamIdleTimeout: 200ms}}\n",
        "No byte of the response came from the endpoint {at} for BackendTrafficPolicy timeout.http.streamIdleTimeout = \
         200ms, after 4 of 100 bytes of its body. To prevent this: see why the endpoint is slow, or raise \
         BackendTrafficPolicy timeout.http.streamIdleTimeout.",
    ))]
}

const DRAINED: &str = "evenkeel was told to end, and this exchange was not over when the drain's time was up. To prevent \
                       this: start evenkeel with a longer --drain-timeout.";

pub(super) fn drained() -> Vec<Made> {
    let row = Row {
        endpoint: halting,
        alone: Some((&["--drain-timeout", "300ms"], None)),
        closed_by: "local",
        ..Row::new(
            |scene| {
                let mut client = scene.asks("/");
                let mut head = client.try_head()?;
                scene.gateway.signal(Signal::SIGTERM);
                head.complete = client.rest().len() == 100;
                Some(head)
            },
            DRAINED,
        )
    };
    let tunnel = Row {
        endpoint: || {
            Endpoint::scripted(|_, mut peer| {
                peer.try_head();
                peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
                peer.end();
            })
        },
        alone: Some((&["--drain-timeout", "300ms"], None)),
        told: Some(Told::Response),
        status: 101,
        closed_by: "local",
        ..Row::new(
            |scene| {
                let mut client = scene.sends("GET", "/", "Connection: upgrade\r\nUpgrade: x\r\n");
                let head = client.try_head()?;
                scene.gateway.signal(Signal::SIGTERM);
                client.end();
                Some(head)
            },
            DRAINED,
        )
    };
    vec![Made::By(row), Made::By(tunnel)]
}

pub(super) fn internal_error() -> Vec<Made> {
    vec![Made::Never(
        "a bug that ends an exchange and that somebody outside can reach is mended, not tested",
    )]
}
