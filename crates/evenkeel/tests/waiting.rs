//! Nobody waits for the gateway itself: a request that one of its tasks could serve is served, whatever befell
//! the tasks before it. And where nobody waits for anything, it sleeps.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Peer, Upstream, free_port, yaml};

/// How often the story is told; the variable asks for more: `EVENKEEL_ROUNDS=1000 cargo test -p evenkeel
/// --test blackbox waiting`.
fn rounds() -> usize {
    let asked = std::env::var("EVENKEEL_ROUNDS").ok();
    asked.map_or(10, |text| text.parse().expect("a number of rounds"))
}

/// One worker before an upstream that answers `/stream` without end, `/tunnel` with a tunnel, `/slow` after
/// 200 ms, and all else at once. Requests to `/stream` and `/slow` have 40 ms.
fn gateway() -> (Gateway, Upstream) {
    let upstream = Upstream::scripted(|_, mut peer| {
        while let Some(request) = peer.request() {
            match request.target() {
                "/stream" => {
                    peer.try_send("HTTP/1.1 200 OK\r\n\r\n");
                    while peer.try_send([b'x'; 16 * 1024]) {}
                    return;
                }
                "/tunnel" => {
                    peer.try_send("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
                    peer.end_within(Duration::from_secs(60));
                    return;
                }
                "/slow" => thread::sleep(Duration::from_millis(200)),
                _ => {}
            }
            if !peer.try_send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
                return;
            }
        }
    });
    let limited = |path: &str| {
        format!(
            "  - matches: [{{path: {{value: {path}}}}}]\n    timeouts: {{request: 40ms}}\n    backendRefs: [{}]\n",
            yaml::reference("app")
        )
    };
    let config = format!(
        "{}{}{}",
        yaml::gateway(free_port()),
        yaml::route(
            "all",
            &format!("{}{}{}", limited("/stream"), limited("/slow"), yaml::to("app"))
        ),
        yaml::backend("app", &[upstream.address])
    );
    (Gateway::configured_with(&config, &["--workers", "1"]), upstream)
}

fn ask(client: &mut Peer, path: &str, more: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{more}\r\n"));
}

/// So many requests at once that all run out of time.
fn time_out(gateway: &Gateway, path: &str, count: usize) {
    let mut clients: Vec<_> = (0..count).map(|_| gateway.connect()).collect();
    clients
        .iter_mut()
        .for_each(|client| ask(client, path, "Connection: close\r\n"));
    for client in &mut clients {
        client.try_head();
    }
    if path == "/stream" {
        clients.iter_mut().for_each(|client| drop(client.rest()));
    }
}

#[test]
fn requests_that_ran_out_of_time_leave_nobody_waiting() {
    let (gateway, _upstream) = gateway();
    for round in 0..rounds() {
        let path = ["/stream", "/slow"][round / 31 % 2];
        time_out(&gateway, path, 15 + round % 31);
        let mut tunnel = gateway.connect();
        ask(&mut tunnel, "/tunnel", "Connection: upgrade\r\nUpgrade: echo\r\n");
        assert_eq!(tunnel.response().status(), 101);
        let mut client = gateway.connect();
        let asked = Instant::now();
        ask(&mut client, "/", "");
        let answer = client.try_response_to("GET");
        let took = asked.elapsed();
        let answer = answer.unwrap_or_else(|| panic!("round {round}: no answer in {took:?}"));
        assert_eq!(answer.text(), "ok");
    }
}

#[test]
fn a_process_at_rest_sleeps() {
    const SPAN: Duration = Duration::from_secs(5);
    let upstream = Upstream::saying("ok");
    let config = yaml::simple(free_port(), upstream.address, "");
    let gateway = Gateway::configured(&config);
    // Connections that are idle on both sides, and lines of the log, belong to it.
    let mut clients: Vec<_> = (0..20).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        ask(client, "/", "");
        assert_eq!(client.response().text(), "ok");
    }
    gateway.log_lines(20);
    thread::sleep(Duration::from_secs(2));
    let before = gateway.sleeps();
    thread::sleep(SPAN);
    let woken = gateway.sleeps() - before;
    // Two a second are promised; a look of ours at the files costs some, and a busy machine is late.
    assert!(woken <= 20, "woken {woken} times in {SPAN:?}");
    ask(&mut clients[0], "/", "");
    assert_eq!(clients[0].response().text(), "ok");
}
