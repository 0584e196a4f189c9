//! The operational log: its levels, at the start and while it runs, and its JSON form.

use std::process::Command;

use crate::harness::{Gateway, Message, Peer, Upstream, eventually, free_port, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(gateway: &Gateway, path: &str) -> Message {
    let mut admin = Peer::connect(gateway.admin);
    admin.send(format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
    ));
    admin.response()
}

#[test]
fn a_level_that_is_none_is_refused_with_what_would_be_right() {
    for (level, words) in [
        ("inof", "`inof` is no level; did you mean `info`?"),
        ("info,evenkel_proxy=debug", "did you mean `evenkeel_proxy`?"),
        ("evenkeel_proxy=loud", "`loud` is no level"),
        ("", "a level is missing"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["run", "--to", ":1", "--log-level", level])
            .output()
            .expect("the binary");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{level}: {said}");
        assert!(
            said.contains(words) && said.contains("use off, error, warn, info, debug or trace"),
            "{said}"
        );
    }
}

#[test]
fn the_filter_that_the_manual_names_shows_how_a_request_gets_its_connection() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::to(upstream.address, &["--log-level", "info,evenkeel_proxy=debug"]);
    gateway.ask(GET);
    let said = eventually("debug lines", || {
        Some(gateway.said()).filter(|said| said.contains("connected to "))
    });
    assert!(said.contains("checkout gave a new connection to "), "{said}");
}

#[test]
fn the_level_is_changed_while_it_runs() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    gateway.ask(GET);
    assert!(!gateway.said().contains("checkout gave"), "{}", gateway.said());
    assert_eq!(gateway.admin_get("/logging").text(), "log level: info\n");
    let told = post(&gateway, "/logging?level=debug");
    assert_eq!((told.status(), told.text().as_str()), (200, "log level: debug\n"));
    gateway.ask(GET);
    eventually("debug lines", || {
        gateway.said().contains("checkout gave").then_some(())
    });
    let told = post(&gateway, "/logging?paths=discovery:trace,upstream:error");
    assert_eq!(told.text(), "log level: info,discovery=trace,upstream=error\n");
    let told = post(&gateway, "/logging?level=inof");
    assert_eq!(told.status(), 400);
    assert!(told.text().contains("did you mean `info`?"), "{}", told.text());
    assert_eq!(
        gateway.admin_get("/logging").text(),
        "log level: info,discovery=trace,upstream=error\n"
    );
}

#[test]
fn every_line_is_json_where_that_is_asked_for() {
    let upstream = Upstream::saying("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, yaml::simple(free_port(), upstream.address, "")).expect("a file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["run", "--admin", "127.0.0.1:0", "--log-format", "json", "-c"])
        .arg(&file)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the binary");
    let stderr = child.stderr.take().expect("piped");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stderr)).map_while(Result::ok);
    let mut told = |words: &str| {
        let line = lines.find(|line| {
            let json: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            assert!(
                json["timestamp"].is_string() && json["level"].is_string(),
                "{line}"
            );
            json["message"]
                .as_str()
                .is_some_and(|message| message.contains(words))
        });
        line.unwrap_or_else(|| panic!("no line with {words}"))
    };
    let line = told("is running; listening on http://127.0.0.1:");
    assert!(line.contains("admin http://127.0.0.1:"), "{line}");
    std::fs::write(&file, "nonsense: true\n").expect("the file");
    let line = told("configuration rejected");
    assert!(
        line.contains("gateway.yaml:1:1") && line.contains("\"level\":\"ERROR\""),
        "{line}"
    );
    child.kill().expect("our own child");
    child.wait().expect("our own child");
}
