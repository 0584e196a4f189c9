//! The command line: what it says when all is well, and what when it is not.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use crate::harness::{Upstream, free_port, yaml};

fn evenkeel(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary")
}

fn check(text: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["check", "-c", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(text.as_bytes())
        .expect("it reads");
    child.wait_with_output().expect("it ends")
}

/// All that `check` says of a text.
pub(crate) fn check_text(text: &str) -> String {
    let output = check(text, &[]);
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_teaches_by_example() {
    let help = evenkeel(&["--help"]);
    assert!(help.status.success());
    for line in [
        "evenkeel run --to http://127.0.0.1:3000",
        "evenkeel check gateway.yaml",
        "evenkeel explain EK0010",
        "evenkeel quickstart",
        "kill -HUP",
    ] {
        assert!(
            stdout(&help).contains(line),
            "{line} is not in:\n{}",
            stdout(&help)
        );
    }
    assert!(stdout(&evenkeel(&["run", "--help"])).contains("--drain-timeout"));
}

#[test]
fn the_version_is_told() {
    for arguments in [&["version"][..], &["--version"][..]] {
        assert_eq!(
            stdout(&evenkeel(arguments)).trim(),
            format!("evenkeel {}", env!("CARGO_PKG_VERSION"))
        );
    }
}

#[test]
fn the_schema_is_a_json_schema_of_our_kinds() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&evenkeel(&["schema"]))).expect("JSON");
    assert!(schema["$schema"].is_string(), "{schema:#}");
    let text = schema.to_string();
    assert!(
        text.contains("BackendTrafficPolicy") && text.contains("replayBuffer"),
        "{text}"
    );
}

#[test]
fn a_good_configuration_is_described() {
    let text = yaml::simple(8080, ([10, 0, 0, 1], 3000).into(), "");
    let output = check(&text, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    for part in [
        "listeners (1)",
        "127.0.0.1:8080",
        "routes (1)",
        "default/all",
        "clusters (1)",
        "10.0.0.1:3000",
    ] {
        assert!(
            stdout(&output).contains(part),
            "{part} is not in:\n{}",
            stdout(&output)
        );
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&check(&text, &["--format", "json"]))).expect("JSON");
    assert_eq!(json["ok"], true);
    assert_eq!(json["listeners"][0]["address"], "127.0.0.1:8080");
    assert_eq!(json["clusters"][0]["endpoints"][0], "10.0.0.1:3000");
}

#[test]
fn all_mistakes_are_reported_at_once_with_their_places() {
    let text = yaml::simple(8080, ([10, 0, 0, 1], 3000).into(), "")
        .replace("backendRefs", "backendRef")
        .replace("port: 3000", "port: 99999")
        .replace("protocol: HTTP,", "protocol: HTP,");
    let output = check(&text, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    for part in ["backendRef", "99999", "HTP", "<stdin>:"] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&stdout(&check(&text, &["--format", "json"]))).expect("JSON");
    assert_eq!(json["ok"], false);
    let mistakes = json["mistakes"].as_array().expect("a list");
    assert!(mistakes.len() >= 3, "{json:#}");
    assert!(
        mistakes
            .iter()
            .all(|mistake| mistake["line"].is_u64() && mistake["column"].is_u64()),
        "{json:#}"
    );
}

#[test]
fn a_folder_is_read_in_order_of_name_and_other_files_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = yaml::simple(8080, ([10, 0, 0, 1], 3000).into(), "");
    let mut parts = text.split("---\n");
    std::fs::write(folder.path().join("b.yml"), parts.next().expect("a Gateway")).expect("a file");
    std::fs::write(folder.path().join("a.yaml"), parts.next().expect("a route")).expect("a file");
    std::fs::write(folder.path().join("c.yaml"), parts.next().expect("a Backend")).expect("a file");
    std::fs::write(folder.path().join("notes.txt"), "not: [yaml").expect("a file");
    std::fs::write(folder.path().join(".hidden.yaml"), "not: [yaml").expect("a file");
    let output = evenkeel(&["check", "-c", folder.path().to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_missing_file_is_complained_about_with_the_next_step() {
    for command in ["check", "run"] {
        let output = evenkeel(&[command, "-c", "nowhere.yaml"]);
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        assert!(said.contains("nowhere.yaml") && said.contains("next:"), "{said}");
    }
}

#[test]
fn a_taken_port_is_complained_about_with_its_holder() {
    let upstream = Upstream::saying("ok");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let output = evenkeel(&[
        "run",
        "--to",
        &upstream.address.to_string(),
        "--listen",
        &address,
        "--admin",
        "off",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(
        said.contains(&address) && said.contains("(pid ") && said.contains("--listen"),
        "{said}"
    );
}

#[test]
fn a_second_gateway_on_the_same_port_is_refused() {
    let upstream = Upstream::saying("ok");
    let first = crate::harness::Gateway::before(&upstream);
    let address = first.address.to_string();
    let output = evenkeel(&[
        "run",
        "--to",
        &upstream.address.to_string(),
        "--listen",
        &address,
        "--admin",
        "off",
    ]);
    assert_eq!(
        output.status.code(),
        Some(1),
        "two processes would share the port's clients"
    );
    assert!(stderr(&output).contains("evenkeel (pid "), "{}", stderr(&output));
}

#[test]
fn a_backend_that_is_no_url_is_complained_about() {
    for wrong in [
        "ftp://a:1",
        "https://127.0.0.1:1",
        "http://",
        "http://127.0.0.1:99999",
        "://",
    ] {
        let output = evenkeel(&["run", "--to", wrong, "--listen", "127.0.0.1:0", "--admin", "off"]);
        assert_eq!(output.status.code(), Some(1), "{wrong}");
        assert!(!stderr(&output).trim().is_empty(), "{wrong}");
    }
}

#[test]
fn an_https_listener_without_its_secret_is_refused_and_not_served_in_plain() {
    let listeners = format!(
        "  - {{name: web, protocol: HTTPS, port: {}, tls: {{certificateRefs: [{{name: cert}}]}}}}\n",
        free_port()
    );
    let text = format!(
        "{}{}{}",
        yaml::gateway_with(&listeners),
        yaml::route("r", &yaml::to("app")),
        yaml::backend("app", &[([127, 0, 0, 1], 1).into()])
    );
    let output = check(&text, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("there is no Secret `default/cert`"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn the_synonym_for_httproute_is_accepted() {
    let text = yaml::simple(8080, ([10, 0, 0, 1], 3000).into(), "").replace(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute",
        "apiVersion: gateway.apoxy.dev/v1\nkind: HTTPRoute",
    );
    let output = check(&text, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn an_access_log_that_cannot_be_opened_is_told_with_what_to_do_about_its_folder() {
    let telemetry = |path: &str| {
        format!(
            "apiVersion: evenkeel.dev/v1alpha1\nkind: Telemetry\nmetadata: {{name: log}}\nspec:\n  accessLog: {{sink: file, path: \
             {path}}}\n---\n"
        )
    };
    let folder = tempfile::tempdir().expect("a folder");
    let here = folder.path().display();
    let upstream = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    for (path, words) in [
        (
            format!("{here}/nothing/here/access.log"),
            format!("make its folder (`mkdir -p {here}/nothing/here`)"),
        ),
        (here.to_string(), "not a folder".to_owned()),
    ] {
        let text =
            crate::harness::yaml::simple(crate::harness::free_port(), upstream, "") + &telemetry(&path);
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, text).expect("a file");
        let file = file.to_str().expect("UTF-8");
        let said = stderr(&evenkeel(&["run", "--admin", "off", "-c", file]));
        assert!(said.contains(&path) && said.contains(&words), "{said}");
        assert!(!said.contains("ulimit") && !said.contains("addresses"), "{said}");
    }
}

#[test]
fn a_file_is_checked_by_its_name_and_warnings_are_counted_and_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.yaml");
    let text = yaml::simple(8080, ([10, 0, 0, 1], 3000).into(), "");
    let unused = format!("{text}{}", yaml::backend("old", &[([10, 0, 0, 2], 80).into()]));
    std::fs::write(&path, unused).expect("a file");
    let path = path.to_str().expect("UTF-8");
    let warned = evenkeel(&["check", path]);
    assert!(warned.status.success(), "{}", stderr(&warned));
    assert!(
        stdout(&warned).ends_with("no mistakes, 1 warning\n"),
        "{}",
        stdout(&warned)
    );
    assert!(stderr(&warned).contains("EK0107"), "{}", stderr(&warned));
    let denied = evenkeel(&["check", path, "--deny-warnings", "-o", "json"]);
    assert_eq!(denied.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_str(&stdout(&denied)).expect("JSON");
    assert_eq!(
        (&json["ok"], &json["mistakes"][0]["code"]),
        (&false.into(), &"EK0107".into())
    );
}

#[test]
fn many_routes_are_counted_instead_of_listed() {
    let routes: String = (0..40)
        .map(|n| yaml::route_for(&format!("r{n}"), &format!("[h{n}.test]"), &yaml::to("app")))
        .collect();
    let text = format!(
        "{}{routes}{}",
        yaml::gateway(8080),
        yaml::backend("app", &[([10, 0, 0, 1], 80).into()])
    );
    let said = stdout(&check(&text, &[]));
    assert!(
        said.contains("routes (40)") && said.contains("and 20 more"),
        "{said}"
    );
    assert!(said.lines().count() < 40, "{said}");
    assert!(stdout(&check(&text, &["--all"])).lines().count() > 40);
}

#[test]
fn the_program_explains_its_mistakes_and_itself() {
    let page = stdout(&evenkeel(&["explain", "EK0010"]));
    assert!(
        page.contains("Wrong") && page.contains("Right") && page.contains("backendRefs"),
        "{page}"
    );
    assert_eq!(stdout(&evenkeel(&["explain", "ek10"])), page);
    assert!(stdout(&evenkeel(&["explain"])).lines().count() > 40);
    assert_eq!(evenkeel(&["explain", "EK9999"]).status.code(), Some(1));
    assert!(stdout(&evenkeel(&["completions", "bash"])).contains("--backends"));
    assert!(
        stdout(&evenkeel(&["man"])).contains("deny"),
        "the commands are on the page"
    );
    assert!(stdout(&evenkeel(&["help", "run"])).contains("--config"));
}
