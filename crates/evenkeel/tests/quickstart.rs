//! The first thing a stranger starts: it must show races, and no error.

use std::process::{Command, Stdio};

use crate::harness::free_port;

#[test]
fn races_are_met_and_no_client_sees_one() {
    let listen = format!("127.0.0.1:{}", free_port());
    let admin = format!("127.0.0.1:{}", free_port());
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args([
            "quickstart",
            "--for",
            "6s",
            "--format",
            "json",
            "--listen",
            &listen,
            "--admin",
            &admin,
        ])
        .stdin(Stdio::null())
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(&listen) && said.contains(&admin),
        "the addresses must be told: {said}"
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary: serde_json::Value = serde_json::from_str(&text).expect("one JSON object and nothing else");
    assert_eq!(summary["client_errors"], 0, "{summary:#}");
    assert_eq!(summary["duplicates"], 0, "{summary:#}");
    assert!(
        summary["requests"].as_u64().is_some_and(|count| count > 100),
        "{summary:#}"
    );
    assert!(
        summary["races_met"].as_u64().is_some_and(|count| count > 0),
        "{summary:#}"
    );
    for layer in ["avoided", "checked", "priced", "replayed"] {
        assert!(summary["races_absorbed"][layer].is_u64(), "{summary:#}");
    }
    assert!(summary["learned"].is_object(), "{summary:#}");
}

#[test]
fn a_taken_port_gives_way_to_the_next_and_that_is_said() {
    // An address of its own, so that the next port is not another test's.
    let taken = std::net::TcpListener::bind("127.0.0.2:0").expect("a port");
    let listen = taken.local_addr().expect("bound").to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["quickstart", "--for", "1s", "--listen", &listen, "--admin", "off"])
        .stdin(Stdio::null())
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("is taken, so the gateway listens on"), "{said}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("errors the client saw"),
        "{said}"
    );
}
