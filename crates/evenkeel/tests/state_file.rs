//! The state file: what was learned of endpoints outlives the process.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::harness::{Gateway, Peer, Upstream, reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// After so long upstreams of these tests close an idle connection.
const IDLE: Duration = Duration::from_secs(1);

fn closing() -> Upstream {
    Upstream::scripted(|_, mut peer| {
        while peer.hears_within(IDLE) && peer.request().is_some() {
            if !peer.try_send(reply("ok")) {
                return;
            }
        }
    })
}

#[track_caller]
fn before(upstream: &Upstream, file: &Path) -> Gateway {
    Gateway::to(upstream.address, &["--state-file", file.to_str().expect("UTF-8")])
}

#[track_caller]
fn get(client: &mut Peer) {
    client.send(GET);
    assert_eq!(client.response().status(), 200);
}

/// A line of `/clusters` on the upstream, as a number.
fn told(gateway: &Gateway, upstream: &Upstream, name: &str) -> Option<u64> {
    let shown = gateway.admin_get("/clusters").text();
    let prefix = format!("default/backend::{}::{name}::", upstream.address);
    let line = shown.lines().find_map(|line| line.strip_prefix(&prefix))?;
    line.parse().ok()
}

/// Asks now and then until the upstream's closes have been understood, and ends the gateway well.
#[track_caller]
fn learn(mut gateway: Gateway, upstream: &Upstream) {
    let mut client = gateway.connect();
    let began = Instant::now();
    while told(&gateway, upstream, "evenkeel_closes_after_ms").is_none() {
        assert!(began.elapsed() < Duration::from_secs(40), "no wall was learned");
        get(&mut client);
        std::thread::sleep(IDLE + Duration::from_millis(50));
    }
    drop(client);
    gateway.signal(Signal::SIGTERM);
    assert!(gateway.exit().success());
}

#[test]
fn what_was_learned_outlives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("learned");
    let upstream = closing();
    learn(before(&upstream, &file), &upstream);

    let gateway = before(&upstream, &file);
    let wall = told(&gateway, &upstream, "evenkeel_closes_after_ms").expect("known before the first request");
    assert!((950..=1500).contains(&wall), "closes after {wall} ms");
    let mut client = gateway.connect();
    get(&mut client);
    let limit = told(&gateway, &upstream, "evenkeel_reuse_limit_ms").expect("a limit");
    assert!(limit < wall, "connections are used up to {limit} ms");
    let opened = upstream.connections();
    std::thread::sleep(Duration::from_millis(limit + 5));
    get(&mut client);
    assert!(
        upstream.connections() > opened,
        "used past the limit of {limit} ms"
    );
    assert!(!gateway.said().contains("state file"), "{}", gateway.said());
}

#[test]
fn a_file_that_is_damaged_is_ignored_with_one_warning_and_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("learned");
    let upstream = closing();
    learn(before(&upstream, &file), &upstream);
    let whole = std::fs::read_to_string(&file).expect("written at the end");
    let damaged = whole.replace("wall=", "wall=9");
    std::fs::write(&file, &damaged).expect("a file");

    let gateway = before(&upstream, &file);
    assert_eq!(told(&gateway, &upstream, "evenkeel_closes_after_ms"), None);
    let said = gateway.said();
    assert_eq!(said.matches("the state file").count(), 1, "{said}");
    assert!(said.contains("is ignored: its sum"), "{said}");
    learn(gateway, &upstream);
    let replaced = std::fs::read_to_string(&file).expect("written at the end");
    assert!(replaced.starts_with("evenkeel-state 1 "), "{replaced}");
    assert_ne!(replaced, damaged);
}

#[test]
fn a_file_of_somebody_else_is_neither_read_nor_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("notes.txt");
    std::fs::write(&file, "remember the milk\n").expect("a file");
    let upstream = closing();
    let gateway = before(&upstream, &file);
    assert!(
        gateway.said().contains("is no state file of evenkeel"),
        "{}",
        gateway.said()
    );
    learn(gateway, &upstream);
    let kept = std::fs::read_to_string(&file).expect("still there");
    assert_eq!(kept, "remember the milk\n");
}
