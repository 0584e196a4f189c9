//! HTTPS listeners: handshake, bodies, names, versions, renewed certificates, and clients that do not play along.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustls::ProtocolVersion;

use crate::harness::tls::{Authority, Files};
use crate::harness::{End, Gateway, Peer, Upstream, eventually, free_port, yaml};

/// A gateway with one HTTPS listener for every host, before one upstream.
struct Site {
    authority: Authority,
    files: Files,
    gateway: Gateway,
    address: SocketAddr,
}

impl Site {
    fn before(upstream: &Upstream) -> Self {
        Self::with(upstream, "")
    }

    /// With a ClientTrafficPolicy, if `clients` has lines of its spec.
    fn with(upstream: &Upstream, clients: &str) -> Self {
        let authority = Authority::new();
        let files = authority.files(&authority.issue(&["shop.test", "*.shop.test"]));
        let port = free_port();
        let text = listening(port, &files.yaml(), upstream) + &policy(clients);
        let gateway = Gateway::configured_with(&text, &["--access-log", "json"]);
        Self {
            authority,
            files,
            gateway,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        }
    }

    fn client(&self) -> Peer {
        Peer::connect(self.address).over_tls(self.authority.client("shop.test"))
    }
}

fn listening(port: u16, tls: &str, upstream: &Upstream) -> String {
    yaml::gateway_with(&format!(
        "  - {{name: https, protocol: HTTPS, port: {port}, tls: {tls}}}\n"
    )) + &yaml::route("all", &yaml::to("app"))
        + &yaml::backend("app", &[upstream.address])
}

fn policy(spec: &str) -> String {
    if spec.is_empty() {
        return String::new();
    }
    format!(
        "apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: clients}}\nspec:\n  targetRefs: \
         [{{kind: Gateway, name: edge}}]\n{spec}---\n"
    )
}

const GET: &str = "GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n";

#[test]
fn requests_over_one_tls_connection_are_answered_and_the_endpoint_is_told_of_https() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let mut client = site.client();
    for _ in 0..3 {
        client.send(GET);
        assert_eq!(client.response().text(), "well");
    }
    assert_eq!(upstream.connections(), 1);
    for request in upstream.requests() {
        assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    }
    let line: serde_json::Value = serde_json::from_str(&site.gateway.log_lines(3)[2]).expect("JSON");
    assert_eq!(line["downstream_tls_version"], "TLSv1.3");
    assert_eq!(line["requested_server_name"], "shop.test");
    assert!(
        line["downstream_tls_cipher"]
            .as_str()
            .is_some_and(|name| name.starts_with("TLS_")),
        "{line}"
    );
    assert_eq!(site.gateway.stat("listener.ssl.handshake"), 1);
    client.half_close();
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn bodies_of_a_mebibyte_pass_both_ways() {
    let upstream = Upstream::answering(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        crate::harness::reply(&body)
    });
    let site = Site::before(&upstream);
    let mut client = site.client();
    let body: String = (0..1 << 20)
        .map(|at: u32| char::from(b'a' + (at % 23) as u8))
        .collect();
    for framing in ["Content-Length: 1048576", "Transfer-Encoding: chunked"] {
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{framing}\r\n\r\n"));
        if framing.ends_with("chunked") {
            for piece in body.as_bytes().chunks(50_000) {
                client.send(format!("{:x}\r\n", piece.len()));
                client.send(piece);
                client.send("\r\n");
            }
            client.send("0\r\n\r\n");
        } else {
            client.send(&body);
        }
        let answer = client.response();
        assert!(answer.complete && answer.body == body.as_bytes(), "{framing}");
    }
}

#[test]
fn a_client_that_reads_slowly_gets_every_byte() {
    let text = "0123456789abcdef".repeat(256 * 1024);
    let upstream = Upstream::saying(&text);
    let site = Site::before(&upstream);
    let socket = TcpStream::connect(site.address).expect("a connection");
    socket2::SockRef::from(&socket)
        .set_recv_buffer_size(8 * 1024)
        .expect("an open socket");
    let mut client = Peer::over(socket).over_tls(site.authority.client("shop.test"));
    client.send(GET);
    thread::sleep(Duration::from_millis(300));
    let answer = client.response();
    assert!(answer.complete && answer.body == text.as_bytes());
}

#[test]
fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let upstream = Upstream::saying("well");
    let authority = Authority::new();
    let port = free_port();
    let (one, two) = (authority.issue(&["one.test"]), authority.issue(&["*.two.test"]));
    let text = yaml::gateway_with(&format!(
        "  - {{name: one, protocol: HTTPS, port: {port}, hostname: one.test, tls: {{certificateRefs: [{{name: one}}]}}}}\n  \
         - {{name: two, protocol: HTTPS, port: {port}, hostname: '*.two.test', tls: {{certificateRefs: [{{name: two}}]}}}}\n"
    )) + &yaml::route("all", &yaml::to("app"))
        + &yaml::backend("app", &[upstream.address])
        + &one.secret("one")
        + &two.secret("two");
    let gateway = Gateway::configured_with(&text, &["--access-log", "json"]);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    for name in ["one.test", "a.two.test"] {
        // The client checks that the certificate is for the name.
        let mut client = Peer::connect(address).over_tls(authority.client(name));
        client.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        assert_eq!(client.response().text(), "well");
    }
    let mut client = Peer::connect(address).over_tls(authority.client("three.test"));
    assert!(!client.try_send(GET) || client.try_head().is_none());
    // Workers write their lines one after the other, in no order.
    let lines = gateway.log_lines(3);
    let line = lines
        .iter()
        .find(|line| line.contains("\"DPE\""))
        .expect("its line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let sentence = line["evenkeel_sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("It asked for 'three.test'."), "{sentence}");
}

#[test]
fn a_version_that_the_policy_leaves_out_is_refused_in_words() {
    let upstream = Upstream::saying("well");
    let site = Site::with(&upstream, "  tls: {minVersion: \"1.3\"}\n");
    let output = openssl(&["-tls1_2"], site.address);
    assert!(output.contains("protocol version"), "{output}");
    let line = site.gateway.only_json_line();
    let sentence = line["evenkeel_sentence"].as_str().expect("a sentence");
    assert!(
        sentence
            .starts_with("The TLS handshake failed. The client and this listener share no version of TLS."),
        "{sentence}"
    );
    assert_eq!(site.gateway.stat("listener.ssl.connection_error"), 1);
    let mut client = site.client();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.tls_version(), Some(ProtocolVersion::TLSv1_3));
}

#[test]
fn curl_and_openssl_are_served() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let curl = |more: &[&str]| {
        let resolve = format!("shop.test:{}:127.0.0.1", site.address.port());
        let url = format!("https://shop.test:{}/", site.address.port());
        let authority = site.files.authority.to_str().expect("UTF-8");
        let fixed = [
            "-sS",
            "--max-time",
            "10",
            "--cacert",
            authority,
            "--resolve",
            &resolve,
            &url,
        ];
        text(
            Command::new("curl")
                .args(more)
                .args(fixed)
                .output()
                .expect("curl is installed"),
        )
    };
    assert_eq!(curl(&[]), "well");
    assert_eq!(curl(&["--tls-max", "1.2"]), "well");
    assert_eq!(
        curl(&["--http2"]),
        "well",
        "it takes HTTP/1.1 where that is what is offered"
    );
    let shown = openssl(&["-servername", "a.shop.test", "-alpn", "http/1.1"], site.address);
    assert!(shown.contains("ALPN protocol: http/1.1"), "{shown}");
    let refused = openssl(&["-alpn", "h2"], site.address);
    assert!(refused.contains("no application protocol"), "{refused}");
}

/// What `openssl s_client` says of an address.
fn openssl(more: &[&str], address: SocketAddr) -> String {
    let connect = address.to_string();
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &connect])
        .args(more)
        .stdin(std::process::Stdio::null());
    text(command.output().expect("openssl is installed"))
}

fn text(output: Output) -> String {
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_session_is_resumed_by_its_ticket() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let folder = tempfile::tempdir().expect("a folder");
    let session = folder.path().join("session");
    let session = |option| [option, session.to_str().expect("UTF-8")].map(str::to_owned);
    for option in ["-sess_out", "-sess_in"] {
        // Of TLS 1.3, the ticket comes behind the handshake: 1.2 needs no waiting.
        let arguments = [vec!["-tls1_2".to_owned()], session(option).to_vec()].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let shown = openssl(&arguments, site.address);
        let expected = if option == "-sess_in" {
            "Reused, TLSv1.2"
        } else {
            "New, TLSv1.2"
        };
        assert!(shown.contains(expected), "{shown}");
    }
}

#[test]
fn a_renewed_certificate_is_presented_without_a_lost_request() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let first = site.authority.issue(&["shop.test"]);
    let before = site.client().tls_certificate();
    let mut kept = site.client();
    kept.send(GET);
    assert_eq!(kept.response().status(), 200);
    let over = Arc::new(AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            let (over, site) = (over.clone(), &site);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let mut client = site.client();
                    client.send(GET);
                    assert_eq!(client.response().status(), 200);
                }
            });
        }
        site.files.write(&first);
        eventually("the new certificate", || {
            (site.client().tls_certificate() != before).then_some(())
        });
        over.store(true, Ordering::SeqCst);
    });
    kept.send(GET);
    assert_eq!(
        kept.response().status(),
        200,
        "a connection outlives its certificate"
    );
    let said = eventually("the line about it", || {
        let said = site.gateway.said();
        said.contains("chain.pem changed").then_some(said)
    });
    assert_eq!(
        said.matches("configuration loaded").count(),
        1,
        "once, although two files changed: {said}"
    );
}

#[test]
fn a_broken_renewal_keeps_the_certificate_in_force() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    std::fs::write(&site.files.key, site.authority.issue(&["shop.test"]).key).expect("a file");
    eventually("the verdict", || {
        site.gateway.said().contains("is not the key of").then_some(())
    });
    let mut client = site.client();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    let whole = site.authority.issue(&["shop.test"]);
    site.files.write(&whole);
    eventually("the new one", || {
        site.gateway.said().contains("configuration loaded").then_some(())
    });
}

#[test]
fn plain_http_on_an_https_port_is_told_so() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let mut client = Peer::connect(site.address);
    client.send("GET /cart HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    let line = site.gateway.only_json_line();
    assert_eq!(
        line["url_path"]
            .as_str()
            .or(line["path"].as_str())
            .unwrap_or("/cart"),
        "/cart"
    );
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_handshake_has_a_deadline_and_a_client_that_is_silent_gets_no_line() {
    let upstream = Upstream::saying("well");
    let site = Site::with(
        &upstream,
        "  timeout: {http: {requestHeadersReceivedTimeout: 300ms}}\n",
    );
    let mut begun = Peer::connect(site.address);
    begun.send([0x16, 3, 1, 0, 200, 1]);
    assert_eq!(begun.end(), End::Fin);
    let line = site.gateway.only_json_line();
    let sentence = line["evenkeel_sentence"].as_str().expect("a sentence");
    assert!(
        sentence.contains("did not finish the TLS handshake within"),
        "{sentence}"
    );
    let mut silent = Peer::connect(site.address);
    assert_ne!(silent.end(), End::Open);
    assert_eq!(site.gateway.log_lines(1).len(), 1);
}

#[test]
fn a_thousand_stalled_handshakes_keep_nobody_out() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let before = site.gateway.resident_bytes();
    let stalled: Vec<Peer> = (0..1200)
        .map(|_| {
            let mut client = Peer::connect(site.address);
            client.send([0x16, 3, 1, 0, 200, 1]);
            client
        })
        .collect();
    let mut client = site.client();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    // Two workers have 512 each.
    eventually("the oldest to be closed", || {
        (site.gateway.stat("downstream_cx_tls_overflow") >= 1).then_some(())
    });
    eventually("no more than may be", || {
        (site.gateway.stat("downstream_cx_active") <= 1024 + 1).then_some(())
    });
    let each = site.gateway.resident_bytes().saturating_sub(before) / 1024;
    assert!(each < 32 * 1024, "{each} bytes of each that stalls");
    drop(stalled);
}

#[test]
fn websockets_pass_over_tls() {
    let upstream = Upstream::scripted(|_, mut peer| {
        if peer.request().is_some() {
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            );
            let came = peer.take(5);
            peer.send([b"echo ".as_slice(), &came].concat());
            peer.end();
        }
    });
    let site = Site::before(&upstream);
    let mut client = site.client();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    assert_eq!(client.try_head().expect("a head").status(), 101);
    client.send("hello");
    assert_eq!(client.take(10), b"echo hello");
    client.half_close();
    assert_eq!(client.end(), End::Fin);
}

#[test]
fn a_clients_close_notify_is_its_end_and_a_drain_says_close_notify() {
    let upstream = Upstream::saying("well");
    let site = Site::before(&upstream);
    let mut client = site.client();
    client.send(GET);
    assert_eq!(client.response().status(), 200);
    client.close_notify();
    eventually("the connection to be gone", || {
        (site.gateway.stat("downstream_cx_active") == 0).then_some(())
    });
    let mut idle = site.client();
    idle.send(GET);
    assert_eq!(idle.response().status(), 200);
    site.gateway.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(idle.end(), End::Fin);
    assert!(idle.got_close_notify(), "nobody cut the connection");
}

#[test]
fn check_names_the_certificates_and_what_is_wrong_with_them() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let check = |issued: &crate::harness::tls::Issued| {
        let upstream = Upstream::saying("well");
        let files = authority.files(issued);
        let path = folder.path().join("gateway.yaml");
        std::fs::write(&path, listening(8443, &files.yaml(), &upstream)).expect("a file");
        evenkeel_check(&path)
    };
    let day = Duration::from_secs(24 * 3600);
    let good = check(&authority.issue(&["shop.test"]));
    assert!(
        good.contains("https://127.0.0.1:8443") && good.contains("chain.pem for shop.test, until 20"),
        "{good}"
    );
    let soon = check(&authority.issue_until(&["shop.test"], 3 * day + day / 2));
    assert!(
        soon.contains("EK0111") && soon.contains("expires in 3 days, on 20"),
        "{soon}"
    );
}

fn evenkeel_check(path: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    text(command.arg("check").arg(path).output().expect("the binary"))
}
