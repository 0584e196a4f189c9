//! Manifests as others write them: each is accepted, accepted with the warnings that it names, or refused
//! because of what is not supported yet; never for a mistake that it does not have.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use config::model::LogSink;
use config::{ReadOptions, Source};
use proxy::control::server::{Options, Server};

use crate::harness::{Gateway, Peer, Upstream, free_port};

/// A manifest and its first line.
struct Manifest {
    path: PathBuf,
    text: String,
    expected: String,
}

fn manifests() -> Vec<Manifest> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/tests/manifests");
    let files = std::fs::read_dir(folder).expect("there are manifests");
    let manifest = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let first = text.lines().next().unwrap_or_default();
        let expected = first.trim_start_matches("# ").to_owned();
        Manifest { path, text, expected }
    };
    let mut all: Vec<_> = files.map(manifest).collect();
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// Exit code and codes of what `check` says of a file.
fn check(path: &Path) -> (bool, BTreeSet<String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel"))
        .args(["check", "-o", "json"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .expect("the binary");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mistakes = report["mistakes"].as_array().expect("a list");
    let code = |mistake: &serde_json::Value| mistake["code"].as_str().expect("a code").to_owned();
    assert_eq!(report["ok"].as_bool(), Some(output.status.success()));
    (output.status.success(), mistakes.iter().map(code).collect())
}

#[test]
fn each_manifest_fares_as_its_first_line_says() {
    let (manifests, mut wrong) = (manifests(), Vec::new());
    assert!(manifests.len() >= 60, "{}", manifests.len());
    for manifest in manifests {
        let (ok, codes) = check(&manifest.path);
        let mut words = manifest.expected.split(' ');
        let (verdict, named): (_, BTreeSet<String>) = (
            words.next().unwrap_or_default(),
            words.map(str::to_owned).collect(),
        );
        let right = match verdict {
            "accepted" => ok && codes.is_empty(),
            "warned" => ok && codes == named,
            "refused" => !ok && codes == named,
            other => panic!("{}: `{other}` is no verdict", manifest.path.display()),
        };
        if !right {
            wrong.push(format!(
                "{}: {}, {ok} {codes:?}",
                manifest.path.display(),
                manifest.expected
            ));
        } else if ok {
            serves(&manifest);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is accepted can be run: its names are looked up and its listeners bound, on ports that are free.
fn serves(manifest: &Manifest) {
    let source = Source {
        name: manifest.path.display().to_string(),
        text: manifest.text.clone(),
    };
    let mut model = config::read(&[source], &ReadOptions::default()).expect("check accepted it");
    model.access_log.sink = LogSink::Off;
    let mut ports = std::collections::BTreeMap::new();
    for listener in &mut model.listeners {
        // Listeners that share an address still do.
        let port = ports.entry(listener.address).or_insert_with(free_port);
        listener.address = SocketAddr::from(([127, 0, 0, 1], *port));
    }
    let options = Options {
        workers: 1,
        admin: None,
        drain_timeout: Duration::ZERO,
        state_file: None,
        unfinished_heads_max: proxy::control::server::UNFINISHED_HEADS_MAX,
        logging: None,
    };
    let server =
        Server::start(model, options).unwrap_or_else(|why| panic!("{}: {why}", manifest.path.display()));
    assert!(!server.addresses().is_empty());
    server.drain();
}

/// The file mode quickstart of Envoy Gateway, with a Service that only `--backends` can place.
#[test]
fn a_quickstart_of_others_serves_with_the_place_of_its_service() {
    let upstream = Upstream::saying("hello");
    let port = free_port();
    let text = manifests()
        .into_iter()
        .find(|manifest| manifest.path.ends_with("standalone-service.yaml"))
        .expect("it is there")
        .text
        .replace("port: 80\n", &format!("port: {port}\n"));
    let entry = format!("backend.default:3000={}", upstream.address);
    let gateway = Gateway::configured_with(&text, &["--backends", &entry]);
    let mut client = Peer::connect(SocketAddr::from(([127, 0, 0, 1], port)));
    client.send("GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n");
    let told = client.response();
    assert_eq!((told.status(), told.text()), (200, "hello".to_owned()));
    assert!(!gateway.said().contains("EK0106"), "{}", gateway.said());
    // Without it, the requests are answered, and the log says what is missing.
    let gateway =
        Gateway::configured(&text.replace(&format!("port: {port}\n"), &format!("port: {}\n", free_port())));
    assert!(gateway.said().contains("EK0106"), "{}", gateway.said());
    assert!(
        gateway.said().contains("--backends backend.default:3000="),
        "{}",
        gateway.said()
    );
}

/// A Service by its EndpointSlices: requests reach the addresses that the slices say.
#[test]
fn a_service_is_where_its_slices_say() {
    let upstream = Upstream::saying("sliced");
    let (at, port) = (upstream.address, free_port());
    let text = manifests()
        .into_iter()
        .find(|manifest| manifest.path.ends_with("named-target-port.yaml"))
        .expect("it is there")
        .text
        .replace(
            "    port: 80\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute",
            &format!("    port: {port}\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute"),
        )
        .replace("\"10.0.0.1\"", "\"127.0.0.1\"")
        .replace(
            "- addresses: [\"10.0.0.2\"]\n  conditions: {ready: true}\n",
            "- addresses: [\"127.0.0.9\"]\n  conditions: {ready: false}\n",
        )
        .replace("port: 9376", &format!("port: {}", at.port()));
    let _gateway = Gateway::configured(&text);
    for _ in 0..4 {
        let mut client = Peer::connect(SocketAddr::from(([127, 0, 0, 1], port)));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "sliced");
    }
}
