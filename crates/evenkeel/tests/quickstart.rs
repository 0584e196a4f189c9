//! The first thing a stranger starts: it must show races, and no error.

use std::process::{Command, Stdio};

use crate::harness::free_port;

#[test]
fn races_are_met_and_no_client_sees_one_and_the_figures_are_those_of_stats() {
    let listen = format!("127.0.0.1:{}", free_port());
    let admin = format!("127.0.0.1:{}", free_port());
    let child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["quickstart", "--for", "6s", "--format", "json"])
        .args(["--listen", &listen, "--admin", &admin])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let told = last_stats(&admin);
    let output = child.wait_with_output().expect("our own child");
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
    let figure = |pointer: &str| {
        let figure = summary.pointer(pointer).and_then(serde_json::Value::as_u64);
        figure.unwrap_or_else(|| panic!("no {pointer} in {summary:#}"))
    };
    let absorbed = figure("/races_absorbed/checked") + figure("/races_absorbed/replayed");
    // The summary is later than the last look at `/stats`, by some hundred milliseconds.
    for (name, pointer) in [("race_met", "/races_met"), ("race_avoided", "/kept_away/avoided")] {
        let name = format!(".evenkeel.{name}: ");
        let line = told.lines().find_map(|line| line.split_once(&name));
        let stat: u64 = line.and_then(|(_, stat)| stat.parse().ok()).expect("a figure");
        let figure = figure(pointer);
        assert!(
            stat <= figure && figure <= stat + 64,
            "/stats said{name}{stat}, the summary {figure}"
        );
    }
    let kept_away = figure("/kept_away/avoided") + figure("/kept_away/priced");
    assert!(
        absorbed + kept_away > 0,
        "the demonstration shows no race: {summary:#}"
    );
    assert!(summary["learned"].is_object(), "{summary:#}");
}

/// `/stats` as it was told last, before the process ended.
fn last_stats(admin: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut last = String::new();
    let since = std::time::Instant::now();
    loop {
        let asked = std::net::TcpStream::connect(admin).and_then(|mut stream| {
            stream.write_all(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut page = String::new();
            stream.read_to_string(&mut page).map(|_| page)
        });
        match asked {
            Ok(page) if page.contains("race_met") => last = page,
            Ok(_) => {}
            Err(_) if last.is_empty() && since.elapsed().as_secs() < 20 => {}
            Err(_) => return last,
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn the_comparison_tells_what_the_same_client_sees_behind_a_plain_pool() {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args([
            "quickstart",
            "--compare",
            "--for",
            "8s",
            "--format",
            "json",
            "--admin",
            "off",
        ])
        .args(["--listen", &format!("127.0.0.1:{}", free_port())])
        .stdin(Stdio::null())
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.lines()
            .all(|line| line.len() < 80 || line.contains("learned")),
        "{said}"
    );
    assert!(said.contains("plain pool: requests "), "{said}");
    let summary: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|why| panic!("{why}: {said}"));
    let plain = summary["plain_pool"]["client_errors"].as_u64().expect("a figure");
    assert_eq!(summary["client_errors"], 0, "{summary:#}");
    // Whether a write meets a close is a matter of microseconds, so that over seconds there may be none.
    assert!(
        summary["plain_pool"]["requests"].as_u64() > Some(plain + 100),
        "{summary:#}"
    );
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

/// What a terminal of this width shows at the end: the subset of its language that is used, with the
/// wrapping that real ones do.
#[test]
fn a_terminal_of_any_width_keeps_the_addresses_and_scrolls_nothing_away() {
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    for columns in [40, 80, 100, 185] {
        let size = nix::pty::Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let nix::pty::OpenptyResult { master, slave } = nix::pty::openpty(&size, None).expect("a terminal");
        let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
            .args(["quickstart", "--for", "3s", "--admin", "off"])
            .args(["--listen", &format!("127.0.0.1:{}", free_port())])
            .env("TERM", "xterm")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(slave.as_fd().try_clone_to_owned().expect("a descriptor"))
            .spawn()
            .expect("the binary");
        drop(slave);
        let mut shown = Vec::new();
        // The terminal's end is an error to whoever reads it.
        drop(std::fs::File::from(master).read_to_end(&mut shown));
        assert!(child.wait().expect("our own child").success());
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let frames: Vec<&str> = shown.split("\x1b[J").collect();
        assert!(frames.len() > 5, "{columns}: {shown:?}");
        for frame in &frames[1..] {
            // The last one leaves the screen; those before end with the next one's way up.
            let lines: Vec<&str> = frame.split("\r\n").collect();
            assert!(lines[0].starts_with("requests "), "{columns}: {frame:?}");
            let text = |line: &str| {
                line.split(['\r', '\x1b'])
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .count()
            };
            assert!(
                lines.iter().all(|line| text(line) < usize::from(columns)),
                "{columns}: {frame:?}"
            );
        }
        let ups: Vec<&str> = frames[1..frames.len() - 1]
            .iter()
            .filter_map(|frame| frame.rsplit_once("\r\x1b["))
            .map(|(_, up)| up)
            .collect();
        for (frame, up) in frames[1..].iter().zip(ups) {
            let rows = frame.split("\r\n").count() - 1;
            assert_eq!(up, format!("{rows}A"), "{columns}: no row was wrapped: {frame:?}");
        }
    }
}
