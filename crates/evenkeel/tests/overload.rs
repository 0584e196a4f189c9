//! Calm under overload: waits that end on time, retries that are counted and bounded, endpoints that
//! are kept or left, hedges, rate limits.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{End, Gateway, Message, Peer, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";

/// A gateway before these endpoints, with this policy for them.
#[track_caller]
fn before(endpoints: &[SocketAddr], spec: &str) -> Gateway {
    let text = yaml::ruled(free_port(), &yaml::to("app"), endpoints) + &yaml::policy("app", spec);
    Gateway::configured_with(&text, &["--access-log", "json"])
}

/// The access log's lines so far, of which there are `count`.
#[track_caller]
fn lines(gateway: &Gateway, count: usize) -> Vec<serde_json::Value> {
    let parse = |line: &String| serde_json::from_str(line).expect("JSON");
    gateway.log_lines(count).iter().map(parse).collect()
}

/// An upstream that answers everything with 503.
fn failing() -> Upstream {
    Upstream::answering(|_: &Message| UNAVAILABLE.to_owned())
}

/// An upstream that handles the first request for `/odd` by `oddly`, and answers all others at once.
fn odd_once(oddly: impl Fn(&mut Peer) -> bool + Send + Sync + 'static) -> Upstream {
    let met = AtomicUsize::new(0);
    Upstream::scripted(move |_, mut peer| {
        while let Some(request) = peer.request() {
            let odd = request.target() == "/odd" && met.fetch_add(1, Ordering::SeqCst) == 0;
            let goes_on = if odd {
                oddly(&mut peer)
            } else {
                peer.try_send(reply("ok"))
            };
            if !goes_on {
                return;
            }
        }
    })
}

/// Asks often enough for the gateway to know how long answers take. What it knows is looked up ten
/// times a second.
#[track_caller]
fn teach(gateway: &Gateway) {
    let mut client = gateway.connect();
    for _ in 0..60 {
        client.send(GET);
        assert_eq!(client.response().status(), 200);
    }
    std::thread::sleep(Duration::from_millis(150));
}

/// The access log's line for this path, of which there is one among `count`.
#[track_caller]
fn line_of(gateway: &Gateway, path: &str, count: usize) -> serde_json::Value {
    let mut lines = lines(gateway, count);
    lines.retain(|line| line["path"] == path);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

#[test]
fn a_request_that_waits_too_long_is_refused_on_time_though_nothing_else_happens() {
    let upstream = Upstream::scripted(|_, mut peer| drop(peer.rest()));
    let spec = "  circuitBreaker: {maxConnections: 1}\n  queue: {maxWait: 200ms}\n";
    let gateway = before(&[upstream.address], spec);
    let mut first = gateway.connect();
    first.send(GET);
    eventually("the only connection", || {
        (upstream.connections() == 1).then_some(())
    });
    let since = Instant::now();
    let told = gateway.ask(GET);
    let took = since.elapsed();
    assert_eq!(told.status(), 503, "{told:?}");
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_millis(400),
        "{took:?}"
    );
    assert_eq!(told.field("x-envoy-overloaded"), Some("true"), "{told:?}");
    assert_eq!(told.field("retry-after"), Some("1"), "{told:?}");
    assert!(told.text().ends_with("reset reason: overflow"), "{told:?}");
    let line = lines(&gateway, 1).remove(0);
    assert_eq!(line["envoy_response_flags"], "UO", "{line}");
    assert_eq!(
        line["envoy_response_code_details"],
        "upstream_reset_before_response_started{overflow}"
    );
}

/// An endpoint that neither takes connections nor refuses them: its backlog is full.
fn deaf() -> (socket2::Socket, std::net::TcpStream, SocketAddr) {
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).expect("a free port");
    listener.listen(0).expect("listening");
    let address = listener.local_addr().expect("bound").as_socket().expect("IP");
    let only = std::net::TcpStream::connect(address).expect("the only place");
    (listener, only, address)
}

#[test]
fn a_client_that_leaves_while_its_connection_is_opened_frees_its_place_at_once() {
    let (_listener, _only, address) = deaf();
    let spec = "  circuitBreaker: {maxConnections: 1}\n  timeout: {tcp: {connectTimeout: 60s}}\n";
    let gateway = before(&[address], spec);
    let leaves: [fn(Peer); 2] = [Peer::reset, drop];
    for (count, leave) in leaves.into_iter().enumerate() {
        let mut client = gateway.connect();
        client.send(GET);
        eventually("a connection that is being opened", || {
            (gateway.stat("upstream_cx_active") == 1).then_some(())
        });
        leave(client);
        eventually("its place is free", || {
            (gateway.stat("upstream_cx_active") == 0).then_some(())
        });
        let line = lines(&gateway, count + 1).remove(count);
        assert_eq!(line["envoy_response_flags"], "DC", "{line}");
    }
}

#[test]
fn an_attempt_whose_time_is_up_frees_its_connection_at_once() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ends);
    let upstream = Upstream::scripted(move |number, mut peer| {
        while peer.request().is_some() {
            if number == 0 {
                noted.lock().expect("no panic").push(peer.end());
                return;
            }
            peer.send(reply("ok"));
        }
    });
    let spec = "  circuitBreaker: {maxConnections: 1}\n  timeout: {http: {requestTimeout: 300ms}}\n";
    let gateway = before(&[upstream.address], spec);
    assert_eq!(gateway.get("a", "/late").status(), 504);
    let since = Instant::now();
    assert_eq!(gateway.ask(GET).text(), "ok", "the only connection was not free");
    assert!(
        since.elapsed() < Duration::from_millis(200),
        "{:?}",
        since.elapsed()
    );
    eventually("the endpoint to see it", || {
        ends.lock().expect("no panic").first().copied()
    });
    let line = line_of(&gateway, "/late", 2);
    assert_eq!(line["envoy_response_flags"], "UT", "{line}");
    assert_eq!(line["envoy_response_code_details"], "response_timeout", "{line}");
}

#[test]
fn each_attempt_says_which_one_it_is_whatever_the_client_claims() {
    let answers = AtomicUsize::new(0);
    let upstream = Upstream::answering(move |_: &Message| match answers.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => UNAVAILABLE.to_owned(),
        _ => reply("ok"),
    });
    let spec = "  retry: {numRetries: 2, retryOn: {triggers: [gateway-error]}}\n";
    let gateway = before(&[upstream.address], spec);
    let told = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\nX-Envoy-Attempt-Count: 9\r\n\r\n");
    assert_eq!(told.text(), "ok");
    assert_eq!(
        told.field("x-envoy-attempt-count"),
        None,
        "it is for the endpoint"
    );
    let requests = upstream.requests();
    let counts: Vec<_> = requests
        .iter()
        .map(|request| request.all("x-envoy-attempt-count").collect::<Vec<_>>())
        .collect();
    assert_eq!(counts, [["1"], ["2"], ["3"]]);
    let line = lines(&gateway, 1).remove(0);
    assert_eq!(line["upstream_request_attempt_count"], 3, "{line}");
    assert_eq!(line["envoy_response_flags"], "-", "{line}");
}

#[test]
fn an_answer_after_all_retries_is_flagged() {
    let upstream = failing();
    let spec = "  retry: {numRetries: 1, retryOn: {triggers: [5xx]}}\n";
    let gateway = before(&[upstream.address], spec);
    assert_eq!(gateway.ask(GET).text(), "busy", "the endpoint's own words");
    assert_eq!(upstream.requests().len(), 2);
    let line = lines(&gateway, 1).remove(0);
    assert_eq!(line["envoy_response_flags"], "URX", "{line}");
    assert_eq!(gateway.stat("upstream_rq_retry_limit_exceeded"), 1);
}

#[test]
fn a_total_outage_is_not_made_worse_by_retries() {
    let upstreams: Vec<_> = (0..2).map(|_| failing()).collect();
    let endpoints: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    let spec = "  retry: {numRetries: 2, retryOn: {triggers: [5xx]}}\n";
    let gateway = before(&endpoints, spec);
    let mut client = gateway.connect();
    let since = Instant::now();
    for _ in 0..600 {
        client.send(GET);
        assert_eq!(client.response().status(), 503);
    }
    let seconds = since.elapsed().as_secs() as usize + 1;
    let attempts: usize = upstreams.iter().map(|upstream| upstream.requests().len()).sum();
    // A fifth; or, where fewer come in a second than this machine should manage, the floor and the burst.
    assert!(
        attempts > 600 && (attempts <= 720 || attempts <= 650 + 10 * seconds),
        "{attempts} attempts in {seconds} s"
    );
    assert!(gateway.stat("upstream_rq_retry_overflow") > 0);
    let lines = lines(&gateway, 600);
    assert!(lines.iter().any(|line| line["envoy_response_flags"] == "UO"));
}

#[test]
fn a_retry_that_the_owner_configured_is_made_for_a_few_clients_side_by_side() {
    let attempts = Mutex::new(std::collections::BTreeMap::<String, u32>::new());
    // Each request fails three times and is then served, as its owner expects.
    let upstream = Upstream::answering(move |request| {
        let mut attempts = attempts.lock().expect("no panic");
        let made = attempts.entry(request.target().to_owned()).or_default();
        *made += 1;
        if *made <= 3 {
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned()
        } else {
            reply("ok")
        }
    });
    let spec = "  retry: {numRetries: 3, retryOn: {httpStatusCodes: [500]}}\n";
    let gateway = before(&[upstream.address], spec);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                for nth in 0..4 {
                    let told = gateway.get("a", &format!("/{client}/{nth}"));
                    assert_eq!((told.status(), told.text().as_str()), (200, "ok"), "{told:?}");
                }
            });
        }
    });
    assert_eq!(gateway.stat("upstream_rq_retry_overflow"), 0);
    assert_eq!(gateway.stat("upstream_rq_retry"), 48);
}

#[test]
fn an_endpoint_that_only_fails_is_left_out() {
    let (good, bad) = (Upstream::saying("ok"), failing());
    let gateway = before(
        &[good.address, bad.address],
        "  loadBalancer: {type: RoundRobin}\n",
    );
    let mut client = gateway.connect();
    for _ in 0..40 {
        client.send(GET);
        client.response();
    }
    assert_eq!(bad.requests().len(), 5, "five gateway errors in a row are enough");
}

#[test]
fn the_same_value_leads_to_the_same_endpoint() {
    let upstreams: Vec<_> = (0..3).map(|_| Upstream::saying("ok")).collect();
    let endpoints: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    let spec =
        "  loadBalancer: {type: ConsistentHash, consistentHash: {type: Header, header: {name: X-User}}}\n";
    let gateway = before(&endpoints, spec);
    for user in 0..20 {
        for _ in 0..3 {
            gateway.ask(format!(
                "GET /{user} HTTP/1.1\r\nHost: a\r\nX-User: u{user}\r\n\r\n"
            ));
        }
    }
    for upstream in &upstreams {
        let requests = upstream.requests();
        assert!(!requests.is_empty(), "twenty users all went elsewhere");
        for request in &requests {
            let target = request.target();
            let same = requests.iter().filter(|other| other.target() == target);
            assert_eq!(same.count(), 3, "{target} went to several endpoints");
        }
    }
}

#[test]
fn a_client_without_the_cookie_is_given_one_and_stays_where_it_leads() {
    let upstreams: Vec<_> = ["a", "b", "c"].map(Upstream::saying).into();
    let endpoints: Vec<_> = upstreams.iter().map(|upstream| upstream.address).collect();
    let spec = "  loadBalancer: {type: ConsistentHash, consistentHash: {type: Cookie, cookie: {name: lane, ttl: 1h}}}\n";
    let gateway = before(&endpoints, spec);
    let mut values = Vec::new();
    for _ in 0..6 {
        let first = gateway.ask(GET);
        let made = first.field("set-cookie").expect("a cookie");
        let (pair, attributes) = made.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Max-Age=3600; Path=/; HttpOnly");
        let value = pair.strip_prefix("lane=").expect("its name").to_owned();
        assert!(value.len() >= 32, "{value}");
        for _ in 0..3 {
            let later = gateway.ask(format!(
                "GET / HTTP/1.1\r\nHost: a\r\nCookie: theme=dark; lane={value}\r\n\r\n"
            ));
            assert_eq!(later.text(), first.text(), "it was led elsewhere");
            assert_eq!(later.field("set-cookie"), None);
        }
        values.push(value);
    }
    values.dedup();
    assert_eq!(values.len(), 6, "two clients were given the same");
}

/// A rate limit of the only route.
fn limited(port: u16, upstream: &Upstream, rules: &str, more: &str) -> String {
    format!(
        "{}apiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{name: limit}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: all}}]\n  \
         rateLimit: {{type: Local, local: {{rules: [{rules}]}}}}\n{more}---\n",
        yaml::simple(port, upstream.address, "")
    )
}

#[test]
fn requests_beyond_the_rate_are_refused_before_they_cost_an_endpoint_anything() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let rule = "{limit: {requests: 3, unit: Hour}}";
    let gateway = Gateway::configured_with(&limited(port, &upstream, rule, ""), &["--access-log", "json"]);
    for left in [2, 1, 0] {
        let told = gateway.ask(GET);
        assert_eq!(told.text(), "ok");
        assert_eq!(told.field("ratelimit-policy"), Some("\"rule-0\";q=3;w=3600"));
        let state = told.field("ratelimit").expect("the state");
        assert!(state.starts_with(&format!("\"rule-0\";r={left};t=")), "{state}");
    }
    let told = gateway.get("a", "/last");
    assert_eq!((told.status(), told.text().as_str()), (429, "local_rate_limited"));
    assert!(
        told.field("ratelimit")
            .is_some_and(|state| state.starts_with("\"rule-0\";r=0;"))
    );
    assert_eq!(told.field("ratelimit-policy"), Some("\"rule-0\";q=3;w=3600"));
    let after: u64 = told.field("retry-after").expect("when").parse().expect("seconds");
    assert!((1190..=1200).contains(&after), "{after}");
    assert_eq!(upstream.requests().len(), 3);
    let line = line_of(&gateway, "/last", 4);
    assert_eq!(line["envoy_response_flags"], "RL", "{line}");
    assert_eq!(
        line["envoy_response_code_details"], "local_rate_limited",
        "{line}"
    );
    assert_eq!(gateway.stat("downstream_rq_rate_limited"), 1);

    // A change of the configuration is no free round.
    let said = gateway.reconfigure(&limited(port, &upstream, rule, "  queue: {maxWait: 2s}\n"));
    assert!(said.contains("configuration loaded"), "{said}");
    assert_eq!(gateway.ask(GET).status(), 429);
}

#[test]
fn each_value_of_a_field_has_a_rate_of_its_own() {
    let upstream = Upstream::saying("ok");
    let rule =
        "{clientSelectors: [{headers: [{type: Distinct, name: X-Key}]}], limit: {requests: 1, unit: Hour}}";
    let gateway = Gateway::configured(&limited(free_port(), &upstream, rule, ""));
    let ask = |key: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Key: {key}\r\n\r\n");
        gateway.ask(request).status()
    };
    assert_eq!(["one", "two", "one", "two"].map(ask), [200, 200, 429, 429]);
}

#[test]
fn a_slow_attempt_is_hedged_and_given_up_for_the_faster_one() {
    let ends = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&ends);
    let slow = move |peer: &mut Peer| {
        noted.lock().expect("no panic").push(peer.end());
        false
    };
    let upstream = odd_once(slow);
    let gateway = before(&[upstream.address], "  hedge: {quantile: 0.95, minDelay: 20ms}\n");
    teach(&gateway);
    let since = Instant::now();
    let told = gateway.get("a", "/odd");
    assert_eq!(told.text(), "ok", "{told:?}");
    assert!(
        since.elapsed() < Duration::from_millis(500),
        "{:?}",
        since.elapsed()
    );
    let end = eventually("the slow attempt to be given up", || {
        ends.lock().expect("no panic").first().copied()
    });
    assert_ne!(end, End::Open);
    let line = line_of(&gateway, "/odd", 61);
    assert_eq!(line["upstream_request_attempt_count"], 2, "{line}");
    assert_eq!(line["evenkeel_saved_by"], "hedge", "{line}");
    assert_eq!(line["envoy_response_flags"], "-", "{line}");
    assert_eq!(
        (
            gateway.stat("upstream_rq_hedge"),
            gateway.stat("upstream_rq_hedge_won")
        ),
        (1, 1)
    );
    assert_eq!(gateway.stat("upstream_rq_active"), 0, "a permit is still held");
}

#[test]
fn a_body_that_came_with_its_head_goes_along_with_the_hedge() {
    let met = AtomicUsize::new(0);
    let upstream = Upstream::scripted(move |_, mut peer| {
        while let Some(request) = peer.request() {
            if request.method() == "PUT" && met.fetch_add(1, Ordering::SeqCst) == 0 {
                peer.end();
                return;
            }
            let count = request.field("x-envoy-attempt-count").unwrap_or_default();
            peer.send(reply(&format!("{count}: {}", request.text())));
        }
    });
    let gateway = before(&[upstream.address], "  hedge: {minDelay: 20ms}\n");
    teach(&gateway);
    let told = gateway.ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nwhole");
    assert_eq!(told.text(), "2: whole");
}

#[test]
fn a_hedge_takes_the_place_of_an_attempt_that_dies() {
    let dies = |peer: &mut Peer| {
        peer.is_quiet_for(Duration::from_millis(200));
        false
    };
    let upstream = Upstream::scripted({
        let met = AtomicUsize::new(0);
        move |_, mut peer| {
            while let Some(request) = peer.request() {
                if request.target() == "/odd" {
                    if met.fetch_add(1, Ordering::SeqCst) == 0 {
                        dies(&mut peer);
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(400));
                }
                peer.try_send(reply("ok"));
            }
        }
    });
    let gateway = before(&[upstream.address], "  hedge: {minDelay: 20ms}\n");
    teach(&gateway);
    assert_eq!(gateway.get("a", "/odd").text(), "ok");
    let line = line_of(&gateway, "/odd", 61);
    assert_eq!(line["upstream_request_attempt_count"], 2, "{line}");
    assert_eq!(line["evenkeel_saved_by"], "hedge", "{line}");
}

/// Requests that one of four endpoints is given in three seconds in which it answers nothing, while six
/// clients ask without a break. Nothing but hedges saves them.
#[track_caller]
fn given_to_one_that_stalls(spec: &str) -> usize {
    let stalls = Arc::new(AtomicBool::new(false));
    let given = Arc::new(AtomicUsize::new(0));
    let odd = Upstream::scripted({
        let (stalls, given) = (Arc::clone(&stalls), Arc::clone(&given));
        move |_, mut peer| {
            while peer.request().is_some() {
                if stalls.load(Ordering::SeqCst) {
                    given.fetch_add(1, Ordering::SeqCst);
                    peer.end();
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
                peer.try_send(reply("ok"));
            }
        }
    });
    let even = || {
        Upstream::answering(|_| {
            std::thread::sleep(Duration::from_millis(5));
            reply("ok")
        })
    };
    let others = [even(), even(), even()];
    let endpoints = [
        others[0].address,
        odd.address,
        others[1].address,
        others[2].address,
    ];
    let gateway = before(&endpoints, spec);
    teach(&gateway);
    stalls.store(true, Ordering::SeqCst);
    let until = Instant::now() + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = gateway.connect();
                while Instant::now() < until {
                    client.send(GET);
                    assert_eq!(client.response().status(), 200);
                }
            });
        }
    });
    assert!(gateway.stat("upstream_rq_hedge_won") > 0);
    given.load(Ordering::SeqCst)
}

#[test]
fn an_endpoint_that_stalls_is_avoided_though_its_requests_are_hedged() {
    let given = given_to_one_that_stalls("  hedge: {minDelay: 20ms}\n");
    assert!((1..30).contains(&given), "{given}");
}

#[test]
fn an_endpoint_that_stalls_is_avoided_behind_an_adaptive_limit_too() {
    let given = given_to_one_that_stalls("  hedge: {minDelay: 20ms}\n  adaptiveConcurrency: {}\n");
    assert!((1..30).contains(&given), "{given}");
}

#[test]
fn an_endpoint_that_stalls_in_its_turn_is_avoided_and_ejected_though_its_requests_are_hedged() {
    let given = given_to_one_that_stalls("  hedge: {minDelay: 20ms}\n  loadBalancer: {type: RoundRobin}\n");
    assert!((1..30).contains(&given), "{given}");
}

#[test]
fn a_request_that_must_not_be_applied_twice_is_not_hedged() {
    let slow = |peer: &mut Peer| {
        std::thread::sleep(Duration::from_millis(300));
        peer.try_send(reply("late"))
    };
    let upstream = odd_once(slow);
    let gateway = before(&[upstream.address], "  hedge: {minDelay: 5ms}\n");
    teach(&gateway);
    let told = gateway.ask("POST /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(told.text(), "late");
    assert_eq!(gateway.stat("upstream_rq_hedge"), 0);
}

#[test]
fn a_timeout_that_follows_what_is_usual_ends_a_request_that_takes_far_longer() {
    let stalls = |peer: &mut Peer| {
        peer.end();
        false
    };
    let upstream = odd_once(stalls);
    let spec = "  timeout: {http: {autoTimeout: {factor: 5, least: 200ms, most: 60s}}}\n";
    let gateway = before(&[upstream.address], spec);
    teach(&gateway);
    let since = Instant::now();
    let told = gateway.get("a", "/odd");
    let took = since.elapsed();
    assert_eq!(told.status(), 504, "{told:?}");
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_millis(900),
        "{took:?}"
    );
    let line = line_of(&gateway, "/odd", 61);
    assert_eq!(line["envoy_response_flags"], "UT", "{line}");
}
