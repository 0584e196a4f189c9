//! The access log: one line for each request, whatever became of it.

use std::time::Duration;

use crate::harness::{Gateway, Upstream, reply};

const GET: &str =
    "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: test/1\r\nX-Request-Id: id-1\r\n\r\n";

#[track_caller]
fn json_gateway(upstream: &Upstream) -> Gateway {
    Gateway::to(upstream.address, &["--access-log", "json"])
}

#[test]
fn the_text_line_is_envoys() {
    let upstream = Upstream::saying("hello");
    let gateway = Gateway::to(upstream.address, &["--access-log", "text"]);
    gateway.ask(GET);
    let line = gateway.log_lines(1).remove(0);
    let (time, rest) = line.split_once("] ").expect("a time in brackets");
    assert!(
        time.starts_with("[20") && time.ends_with('Z') && time.len() == 25,
        "{line}"
    );
    let expected = format!(
        "\"GET /a?b=c HTTP/1.1\" 200 - 0 5 N N \"127.0.0.1\" \"test/1\" \"id-1\" \"shop.example\" \"{}\"",
        upstream.address
    );
    let words: Vec<&str> = rest.split(' ').collect();
    let masked: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(at, word)| {
            if at == 7 || at == 8 {
                "N".to_owned()
            } else {
                (*word).to_owned()
            }
        })
        .collect();
    assert_eq!(masked.join(" "), expected, "{line}");
    assert!(
        words[7].parse::<u64>().is_ok() && words[8].parse::<u64>().is_ok(),
        "{line}"
    );
}

#[test]
fn the_json_line_has_the_words_that_dashboards_ask_for() {
    let upstream = Upstream::saying("hello");
    let gateway = json_gateway(&upstream);
    gateway.ask("POST /a HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc");
    let line = gateway.only_json_line();
    assert_eq!(line["http_response_status_code"], 200, "{line}");
    assert_eq!(line["envoy_response_flags"], "-", "{line}");
    assert!(line["http_request_duration_ms"].is_u64(), "{line}");
    assert_eq!(line["method"], "POST");
    assert_eq!(line["path"], "/a");
    assert_eq!(line["authority"], "shop.example");
    assert_eq!(
        (&line["bytes_received"], &line["bytes_sent"]),
        (&3.into(), &5.into())
    );
    assert_eq!(line["upstream_host"], upstream.address.to_string());
    assert_eq!(line["envoy_response_code_details"], "via_upstream");
}

#[test]
fn a_malformed_request_has_its_line_too() {
    let upstream = Upstream::saying("ok");
    let gateway = json_gateway(&upstream);
    gateway.ask("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    let line = gateway.only_json_line();
    assert_eq!(line["http_response_status_code"], 400, "{line}");
    assert_eq!(line["envoy_response_flags"], "DPE", "{line}");
    assert!(
        line["envoy_response_code_details"]
            .as_str()
            .is_some_and(|details| details.starts_with("http1.")),
        "{line}"
    );
}

#[test]
fn a_client_that_left_is_logged_as_such() {
    let upstream = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(300));
        reply("ok")
    });
    let gateway = json_gateway(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    client.reset();
    let line = gateway.only_json_line();
    assert_eq!(line["envoy_response_flags"], "DC", "{line}");
    assert_eq!(
        line["http_response_status_code"], 0,
        "nobody was answered: {line}"
    );
}

#[test]
fn a_connection_without_a_request_has_no_line() {
    let upstream = Upstream::saying("ok");
    let gateway = json_gateway(&upstream);
    drop(gateway.connect());
    gateway.ask(GET);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(gateway.log_lines(1).len(), 1);
}

#[test]
fn each_of_many_requests_has_exactly_one_line() {
    let upstream = Upstream::saying("ok");
    let gateway = json_gateway(&upstream);
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.connect();
                for number in 0..50 {
                    client.send(format!("GET /{lane}-{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    assert_eq!(client.response().status(), 200);
                }
            });
        }
    });
    let mut paths: Vec<String> = gateway
        .log_lines(400)
        .iter()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["path"]
                .as_str()
                .expect("a path")
                .to_owned()
        })
        .collect();
    paths.sort();
    paths.dedup();
    assert_eq!(paths.len(), 400);
}

#[test]
fn hostile_values_can_not_forge_a_line() {
    let upstream = Upstream::saying("ok");
    for format in ["json", "text"] {
        let gateway = Gateway::to(upstream.address, &["--access-log", format]);
        let mut client = gateway.connect();
        client.send(b"GET /\"%22 HTTP/1.1\r\nHost: a\r\nUser-Agent: \"x\" \xff\x80 \\\" 200\r\n\r\n");
        let told = client.response();
        std::thread::sleep(Duration::from_millis(50));
        let lines = gateway.log_lines(1);
        assert_eq!(lines.len(), 1, "{lines:#?} {told:?}");
        if format == "json" {
            serde_json::from_str::<serde_json::Value>(&lines[0]).expect("JSON whatever a client sends");
        }
    }
}

#[test]
fn the_log_can_be_switched_off() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::to(upstream.address, &["--access-log", "off"]);
    gateway.ask(GET);
    std::thread::sleep(Duration::from_millis(100));
    assert!(gateway.log_lines(0).is_empty());
}

#[test]
fn a_saved_request_says_what_it_was_saved_from() {
    let upstream = Upstream::scripted(|number, mut peer| {
        while peer.request().is_some() {
            if number == 0 && peer.is_quiet_for(Duration::from_millis(1)) {
                return peer.reset();
            }
            peer.try_send(reply("ok"));
        }
    });
    let gateway = json_gateway(&upstream);
    let told = gateway.ask(GET);
    assert_eq!(told.status(), 200, "{told:?}");
    let line = gateway.only_json_line();
    assert_eq!(line["envoy_response_flags"], "-", "{line}");
    assert_eq!(line["upstream_request_attempt_count"], 2, "{line}");
    assert!(line["evenkeel_saved_by"].is_string(), "{line}");
    assert!(line["evenkeel_sentence"].is_string(), "{line}");
}

#[test]
fn a_log_file_is_appended_to_and_reopened() {
    use nix::sys::signal::Signal;
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("access.log");
    let telemetry = format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {{name: log}}\nspec:\n  accessLog: {{format: Json, sink: file, path: {}}}\n",
        log.display()
    );
    let text = format!(
        "{}{telemetry}",
        crate::harness::yaml::simple(crate::harness::free_port(), upstream.address, "")
    );
    let gateway = Gateway::configured(&text);
    let count = |path: &std::path::Path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count());
    gateway.ask(GET);
    crate::harness::eventually("the first line", || (count(&log) == 1).then_some(()));
    let rotated = folder.path().join("access.log.1");
    std::fs::rename(&log, &rotated).expect("rotated");
    gateway.signal(Signal::SIGUSR1);
    crate::harness::eventually("a new file", || log.exists().then_some(()));
    gateway.ask(GET);
    crate::harness::eventually("the second line", || (count(&log) == 1).then_some(()));
    assert_eq!(count(&rotated), 1);
}

#[test]
fn a_reload_moves_the_log_elsewhere_in_another_format() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let port = crate::harness::free_port();
    let to = |format: &str, name: &str| {
        let path = folder.path().join(name);
        format!(
            "{}apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {{name: log}}\nspec:\n  accessLog: {{format: {format}, sink: file, path: {}}}\n",
            crate::harness::yaml::simple(port, upstream.address, ""),
            path.display()
        )
    };
    let lines = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
    let gateway = Gateway::configured(&to("Json", "one"));
    gateway.ask(GET);
    crate::harness::eventually("the first log", || lines("one").starts_with('{').then_some(()));
    assert!(
        gateway
            .reconfigure(&to("Text", "two"))
            .contains("configuration loaded")
    );
    crate::harness::eventually("the second log", || {
        gateway.ask(GET);
        lines("two").starts_with('[').then_some(())
    });
}
