//! The keep-alive race, staged on the loopback: upstreams that close just as a request comes, and
//! adversaries that process it first. (The race lab adds a wire with a delay.)

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::{End, Gateway, Message, Peer, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /pay HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\npaid";

/// How often each request was processed, by method.
type Ledger = Arc<Mutex<HashMap<String, usize>>>;

fn note(ledger: &Ledger, request: &Message) {
    *ledger
        .lock()
        .expect("no panic")
        .entry(request.method().to_owned())
        .or_default() += 1;
}

fn noted(ledger: &Ledger, method: &str) -> usize {
    ledger
        .lock()
        .expect("no panic")
        .get(method)
        .copied()
        .unwrap_or_default()
}

/// An upstream whose connections serve one request well; the second is processed, and then the
/// connection dies without a word.
fn adversary(ledger: &Ledger, die: impl Fn(Peer) + Send + Sync + 'static) -> Upstream {
    let ledger = Arc::clone(ledger);
    Upstream::scripted(move |_, mut peer| {
        let Some(request) = peer.request() else { return };
        note(&ledger, &request);
        peer.send(reply("ok"));
        if let Some(request) = peer.request() {
            note(&ledger, &request);
            die(peer);
        }
    })
}

/// A gateway that learns nothing, so that the layers behind learning are on their own.
#[track_caller]
fn unlearned(upstream: &Upstream) -> Gateway {
    let text = yaml::simple(free_port(), upstream.address, "  keepAlive: {learn: false}\n");
    Gateway::configured_with(&text, &["--access-log", "json"])
}

#[test]
fn a_post_that_was_processed_and_then_cut_off_with_a_fin_is_not_sent_again() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, drop);
    let gateway = unlearned(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    client.send(POST);
    let told = client.response();
    assert_eq!(told.status(), 503, "{told:?}");
    assert!(
        told.text().ends_with("reset reason: connection termination"),
        "{told:?}"
    );
    assert_eq!(noted(&ledger, "POST"), 1, "the POST was applied twice");
    let lines = gateway.log_lines(2);
    let line: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert_eq!(line["envoy_response_flags"], "UC", "{line}");
    assert_eq!(
        line["envoy_response_code_details"],
        "upstream_reset_before_response_started{connection_termination}"
    );
    assert_eq!(line["evenkeel_grade"], "unknown", "{line}");
    assert!(
        line["evenkeel_bytes_acknowledged"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{line}"
    );
    assert!(
        line["evenkeel_sentence"]
            .as_str()
            .is_some_and(|sentence| sentence.len() > 20),
        "{line}"
    );
}

#[test]
fn a_post_that_was_processed_and_then_reset_is_not_sent_again() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, Peer::reset);
    let gateway = unlearned(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    client.send(POST);
    let told = client.response();
    assert_eq!(told.status(), 503, "{told:?}");
    assert_eq!(noted(&ledger, "POST"), 1, "the POST was applied twice");
}

#[test]
fn a_large_post_that_is_reset_while_it_is_being_sent_is_not_sent_again() {
    let posts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&posts);
    let upstream = Upstream::scripted(move |_, mut peer| {
        while let Some(head) = peer.try_head() {
            if head.method() == "POST" {
                *counted.lock().expect("no panic") += 1;
                peer.take(100);
                return peer.reset();
            }
            peer.send(reply("ok"));
        }
    });
    let gateway = unlearned(&upstream);
    for _ in 0..20 {
        let mut client = gateway.connect();
        client.send(GET);
        assert_eq!(client.response().status(), 200);
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n{}",
            "x".repeat(40_000)
        ));
        assert_eq!(client.response().status(), 503);
    }
    assert_eq!(
        *posts.lock().expect("no panic"),
        20,
        "more POSTs began upstream than were asked for"
    );
}

#[test]
fn a_get_that_is_cut_off_is_sent_once_more() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, Peer::reset);
    let gateway = unlearned(&upstream);
    let mut client = gateway.connect();
    for _ in 0..2 {
        client.send(GET);
        assert_eq!(client.response().text(), "ok");
    }
    assert_eq!(noted(&ledger, "GET"), 3, "the cut one and its one repetition");
}

#[test]
fn a_get_whose_every_attempt_dies_is_given_up() {
    let attempts = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&attempts);
    let upstream = Upstream::scripted(move |_, mut peer| {
        if peer.request().is_some() {
            *counted.lock().expect("no panic") += 1;
        }
    });
    let gateway = Gateway::before(&upstream);
    let told = gateway.ask(GET);
    assert_eq!(told.status(), 503);
    assert!(
        told.text().contains("retried and the latest reset reason: "),
        "{told:?}"
    );
    assert_eq!(*attempts.lock().expect("no panic"), 2);
}

#[test]
fn a_keyed_post_may_be_sent_again() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, drop);
    let gateway = unlearned(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    client.send("POST /pay HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k1\r\nContent-Length: 4\r\n\r\npaid");
    assert_eq!(client.response().text(), "ok");
    assert_eq!(noted(&ledger, "POST"), 2);
}

#[test]
fn a_request_that_is_sent_again_is_whole_however_large_its_body() {
    let upstream = Upstream::scripted(|_, mut peer| {
        while let Some(request) = peer.request() {
            let count = request.field("x-envoy-attempt-count").unwrap_or_default();
            if request.method() == "PUT" && count == "1" {
                return;
            }
            peer.send(reply(&format!("{count}: {}", request.text())));
        }
    });
    for size in [5, 2500, 30_000] {
        let gateway = unlearned(&upstream);
        let body: String = ('a'..='z').cycle().take(size).collect();
        let put = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}");
        assert_eq!(gateway.ask(&put).text(), format!("2: {body}"));
        // The next request comes right behind the body.
        let mut client = gateway.connect();
        client.send(format!("{put}{GET}"));
        assert_eq!(client.response().text(), format!("2: {body}"));
        assert_eq!(client.response().text(), "1: ");
    }
}

#[test]
fn a_post_whose_answer_has_begun_is_never_sent_again() {
    let ledger = Ledger::default();
    let upstream = {
        let ledger = Arc::clone(&ledger);
        Upstream::scripted(move |_, mut peer| {
            if let Some(request) = peer.request() {
                note(&ledger, &request);
                peer.send("HTTP/1.1 20");
            }
        })
    };
    let gateway = Gateway::before(&upstream);
    for request in [POST, GET] {
        assert!(matches!(gateway.ask(request).status(), 502 | 503));
    }
    assert_eq!((noted(&ledger, "POST"), noted(&ledger, "GET")), (1, 1));
}

/// How an upstream ends idle connections.
#[derive(Clone, Copy, Debug)]
enum Close {
    Fully,
    HalfAndDrain,
}

/// An upstream that ends each connection `idle` after its last answer and counts the POSTs that it
/// processed before. What comes after a half-close is read and thrown away (RFC 9112 section 9.6).
fn closing(ledger: &Ledger, idle: Duration, how: Close) -> Upstream {
    let ledger = Arc::clone(ledger);
    Upstream::scripted(move |_, mut peer| {
        loop {
            if peer.end_within(idle) != End::Open {
                return;
            }
            if peer.is_quiet_for(Duration::from_nanos(1)) {
                match how {
                    Close::Fully => return,
                    Close::HalfAndDrain => {
                        peer.half_close();
                        return drop(peer.rest());
                    }
                }
            }
            let Some(request) = peer.request() else { return };
            note(&ledger, &request);
            if !peer.try_send(reply("ok")) {
                return;
            }
        }
    })
}

/// Aims requests at the moment of the close and counts the answers that are not 200.
fn aim(gateway: &Gateway, request: &str, idle: Duration, rounds: u32) -> (usize, usize) {
    let lanes = 8;
    let failed = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes)
            .map(|lane| {
                scope.spawn(move || {
                    let mut client = gateway.connect();
                    let mut failed = 0;
                    for round in 0..rounds {
                        client.send(request);
                        let told = client.response();
                        failed += usize::from(told.status() != 200);
                        let spread = Duration::from_micros(u64::from((round * 37 + lane * 113) % 1000));
                        let until = Instant::now() + idle - Duration::from_micros(500) + spread;
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }
                    failed
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().expect("answers")).sum()
    });
    (lanes as usize * rounds as usize, failed)
}

/// [`aim`], again and again until a request has met a close: without one, no failure would prove nothing.
fn aim_until_met(gateway: &Gateway, request: &str, idle: Duration) -> (usize, usize) {
    let (mut asked, mut failed) = (0, 0);
    for _ in 0..60 {
        let more = aim(gateway, request, idle, 30);
        (asked, failed) = (asked + more.0, failed + more.1);
        // Found closed before the first write, or only then.
        if gateway.stat("race_met") + gateway.stat("race_checked") > 0 {
            return (asked, failed);
        }
    }
    panic!("none of {asked} requests met a close");
}

#[test]
fn no_client_sees_the_close_of_an_idle_connection() {
    let idle = Duration::from_millis(60);
    std::thread::scope(|scope| {
        for how in [Close::Fully, Close::HalfAndDrain] {
            for request in [GET, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na"] {
                scope.spawn(move || {
                    let ledger = Ledger::default();
                    let upstream = closing(&ledger, idle, how);
                    let gateway = unlearned(&upstream);
                    let (asked, failed) = aim_until_met(&gateway, request, idle);
                    assert_eq!(failed, 0, "of {asked} {how:?} {request:?}");
                });
            }
        }
    });
}

#[test]
fn a_post_met_by_a_half_close_is_saved_and_applied_once() {
    let idle = Duration::from_millis(60);
    let ledger = Ledger::default();
    let upstream = closing(&ledger, idle, Close::HalfAndDrain);
    let gateway = unlearned(&upstream);
    let (asked, failed) = aim_until_met(&gateway, POST, idle);
    assert_eq!(failed, 0);
    assert_eq!(noted(&ledger, "POST"), asked, "each applied once");
}

#[test]
fn a_connection_that_died_while_idle_is_replaced_before_anybody_notices() {
    for die in [|peer: Peer| drop(peer), Peer::reset] {
        let upstream = Upstream::scripted(move |number, mut peer| {
            while peer.request().is_some() {
                peer.try_send(reply("ok"));
                if number == 0 {
                    return die(peer);
                }
            }
        });
        let gateway = Gateway::before(&upstream);
        let mut client = gateway.connect();
        client.send(POST);
        assert_eq!(client.response().status(), 200);
        std::thread::sleep(Duration::from_millis(50));
        client.send(POST);
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.connections(), 2);
    }
}

#[test]
fn an_unasked_408_counts_as_a_close_and_answers_nobody() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while peer.request().is_some() {
            peer.try_send(reply("ok"));
            if number == 0 {
                std::thread::sleep(Duration::from_millis(20));
                peer.try_send(
                    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                );
                return;
            }
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(POST);
    assert_eq!(client.response().status(), 200);
    std::thread::sleep(Duration::from_millis(60));
    client.send(POST);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn what_an_upstream_announces_is_taken_as_a_limit() {
    let upstream = Upstream::scripted(|_, mut peer| {
        while peer.request().is_some() {
            peer.try_send("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    std::thread::sleep(Duration::from_millis(1050));
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    assert_eq!(
        upstream.connections(),
        2,
        "a connection past the announced limit was used"
    );
}

#[test]
fn a_wall_is_learned_shown_and_kept_away_from() {
    let idle = Duration::from_millis(400);
    let ledger = Ledger::default();
    let upstream = closing(&ledger, idle, Close::Fully);
    let gateway = Gateway::before(&upstream);
    let mut clients: Vec<Peer> = (0..8).map(|_| gateway.connect()).collect();
    for _ in 0..10 {
        clients.iter_mut().for_each(|client| client.send(GET));
        clients
            .iter_mut()
            .for_each(|client| assert_eq!(client.response().status(), 200));
        std::thread::sleep(idle + Duration::from_millis(30));
    }
    let learned = |name: &str| -> Option<u64> {
        let shown = gateway.admin_get("/clusters").text();
        let prefix = format!("default/backend::{}::{name}::", upstream.address);
        let line = shown.lines().find_map(|line| line.strip_prefix(&prefix))?;
        line.parse().ok()
    };
    let wall = eventually("a wall to be learned", || learned("evenkeel_closes_after_ms"));
    assert!((380..=600).contains(&wall), "closes after {wall} ms, not 400");
    let limit = learned("evenkeel_reuse_limit_ms").expect("a limit");
    assert!(limit < wall, "connections are used up to {limit} ms");

    // Just before the wall nobody is sent to a connection that waits there: one of that age stays as it is,
    // and another one is opened.
    let mut client = gateway.connect();
    for _ in 0..5 {
        client.send(GET);
        assert_eq!(client.response().status(), 200);
        let opened = upstream.connections();
        let limit = learned("evenkeel_reuse_limit_ms").expect("a limit");
        std::thread::sleep(Duration::from_millis(limit + 2));
        client.send(GET);
        assert_eq!(client.response().status(), 200);
        let now = learned("evenkeel_reuse_limit_ms").expect("a limit");
        assert!(
            upstream.connections() > opened,
            "used past the limit of {limit} ms (now {now})"
        );
    }
}

#[test]
fn steady_traffic_reuses_its_connections() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..300 {
        client.send(POST);
        assert_eq!(client.response().status(), 200);
    }
    assert!(
        upstream.connections() <= 3,
        "{} connections for 300 requests",
        upstream.connections()
    );
}

#[test]
fn an_owners_retry_of_0_attempts_is_none_at_all() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, drop);
    let rules = format!(
        "  - retry: {{attempts: 0}}\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
    let gateway = Gateway::configured(&text);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    client.send(GET);
    assert_eq!(client.response().status(), 503);
}

#[test]
fn an_owners_retry_repeats_every_method_and_pauses() {
    let ledger = Ledger::default();
    let upstream = adversary(&ledger, drop);
    let rules = format!(
        "  - retry: {{attempts: 2, backoff: 100ms}}\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
    let gateway = Gateway::configured(&text);
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    let begin = Instant::now();
    client.send(POST);
    assert_eq!(client.response().text(), "ok");
    assert!(
        begin.elapsed() >= Duration::from_millis(100),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(noted(&ledger, "POST"), 2);
}

#[test]
fn statuses_the_owner_names_are_retried() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while peer.request().is_some() {
            let answer = if number == 0 {
                "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
            } else {
                reply("ok")
            };
            peer.try_send(answer);
        }
    });
    let rules = format!(
        "  - retry: {{attempts: 2, codes: [503]}}\n    backendRefs: [{}]\n",
        yaml::reference("app")
    );
    let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
    assert_eq!(Gateway::configured(&text).ask(POST).text(), "ok");
}

/// An answer that nobody gets is read to its end where it is here: its connection carries what follows.
#[test]
fn an_answer_that_is_retried_leaves_its_connection_to_be_used_again() {
    for body in [
        "Content-Length: 4\r\n\r\nbusy",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n",
        "Content-Length: 0\r\n\r\n",
    ] {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let upstream =
            Upstream::answering(
                move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 2 {
                    0 => format!("HTTP/1.1 503 Busy\r\n{body}"),
                    _ => reply("ok"),
                },
            );
        let rules = format!(
            "  - retry: {{attempts: 2, codes: [503]}}\n    backendRefs: [{}]\n",
            yaml::reference("app")
        );
        let text = yaml::ruled(free_port(), &rules, &[upstream.address]);
        let gateway = Gateway::configured(&text);
        (0..5).for_each(|_| assert_eq!(gateway.ask(POST).text(), "ok"));
        assert_eq!(upstream.connections(), 1, "{body:?}");
        assert_eq!(upstream.requests().len(), 10, "{body:?}");
    }
}

#[test]
fn a_second_endpoint_serves_when_the_first_refuses() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = dead.local_addr().expect("bound");
    drop(dead);
    let alive = Upstream::saying("ok");
    let text = yaml::ruled(free_port(), &yaml::to("app"), &[address, alive.address]);
    let gateway = Gateway::configured(&text);
    for _ in 0..20 {
        assert_eq!(
            gateway.ask(POST).text(),
            "ok",
            "nothing was sent to the dead one, so any method may go elsewhere"
        );
    }
}

#[test]
fn a_farewell_is_nobodys_answer_and_the_line_describes_the_connection_that_died() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while let Some(request) = peer.request() {
            if number == 0 && request.field("x-late").is_some() {
                peer.try_send(
                    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                );
                return;
            }
            peer.try_send(reply("ok"));
        }
    });
    let gateway = Gateway::configured_with(
        &yaml::simple(free_port(), upstream.address, ""),
        &["--access-log", "json"],
    );
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    std::thread::sleep(Duration::from_millis(30));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Late: 1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.connections(), 2);
    let lines = gateway.log_lines(2);
    let line: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
    assert!(
        line["evenkeel_sentence"]
            .as_str()
            .is_some_and(|sentence| sentence.contains("farewell")),
        "{line}"
    );
    assert!(
        line["evenkeel_idle_age_ms"]
            .as_f64()
            .is_some_and(|age| age >= 30.0),
        "{line}"
    );
}

#[test]
fn of_two_answers_to_one_request_the_first_is_not_passed_on() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while let Some(request) = peer.request() {
            if number == 0 && request.field("x-late").is_some() {
                // The first had been on its way when the request came.
                let both = [reply("somebody else's"), reply("late")].concat();
                peer.try_send(both);
                continue;
            }
            peer.try_send(reply("ok"));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    std::thread::sleep(Duration::from_millis(60));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Late: 1\r\n\r\n");
    let response = client.response();
    assert_eq!((response.status(), response.text()), (200, "ok".into()));
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn after_an_answer_before_the_request_had_arrived_the_next_request_goes_elsewhere() {
    // The first connection answers early, as with another's answer; the request's own comes behind that.
    let upstream = Upstream::scripted(|number, mut peer| {
        while let Some(head) = peer.try_head() {
            let early = number == 0 && head.field("x-late").is_some();
            if early {
                peer.try_send(reply("early"));
            }
            let length = head
                .field("content-length")
                .map_or(0, |text| text.parse().expect("a number"));
            peer.take(length);
            peer.try_send(reply(head.method()));
        }
    });
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "GET");
    std::thread::sleep(Duration::from_millis(60));
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nX-Late: 1\r\nContent-Length: 8\r\n\r\nhalf");
    assert_eq!(client.response().text(), "early");
    assert_eq!(gateway.ask(GET).text(), "GET");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn once_an_endpoint_has_said_what_answers_nothing_each_request_is_written_so_that_it_can_tell() {
    let upstream = Upstream::scripted(|number, mut peer| {
        if peer.request().is_none() {
            return;
        }
        peer.try_send(reply("ok"));
        if number == 0 {
            std::thread::sleep(Duration::from_millis(150));
            peer.try_send(reply("somebody else's"));
        }
        while peer.request().is_some() {
            peer.try_send(reply("ok"));
        }
    });
    let gateway = unlearned(&upstream);
    gateway.ask(GET);
    eventually("a retired connection", || {
        (gateway.stat("upstream_cx_destroy_remote") == 1).then_some(())
    });
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    std::thread::sleep(Duration::from_millis(150));
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
    assert_eq!(gateway.stat("race_priced"), 1, "a GET is written in two steps");
}
