//! TLS to endpoints: whose certificates are believed, and the keep-alive race over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::tls::{Authority, Issued};
use crate::harness::{Gateway, Peer, Upstream, free_port, reply, yaml};

/// A gateway before one endpoint that speaks TLS as `app.test`.
fn before(authority: &Authority, upstream: &Upstream, validation: &str, policy: &str) -> Gateway {
    let text = yaml::simple(free_port(), upstream.address, policy)
        + &authority.config_map("authority")
        + &format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: app}}\nspec:\n  \
             targetRefs: [{}]\n  validation:\n    caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: \
             authority}}]\n{validation}---\n",
            yaml::reference("app")
        );
    Gateway::configured_with(&text, &["--access-log", "json"])
}

const HOSTNAME: &str = "    hostname: app.test\n";

/// An endpoint that speaks TLS, runs `serve` for each connection, and counts connections.
fn secure(issued: Issued, serve: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> Upstream {
    Upstream::scripted(move |number, peer| serve(number, &mut peer.over_tls(issued.server())))
}

/// Answers every request with its own body, or with `well`.
fn echo(_: usize, peer: &mut Peer) {
    while let Some(request) = peer.request() {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        let text = if text.is_empty() { "well".to_owned() } else { text };
        if !peer.try_send(reply(&text)) {
            return;
        }
    }
}

#[test]
fn requests_and_large_bodies_pass_over_one_tls_connection() {
    let authority = Authority::new();
    let upstream = secure(authority.issue(&["app.test"]), echo);
    let gateway = before(&authority, &upstream, HOSTNAME, "");
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().text(), "well");
    }
    let body = "0123456789abcdef".repeat(64 * 1024);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let answer = client.response();
    assert!(answer.complete && answer.body == body.as_bytes());
    assert_eq!(
        upstream.connections(),
        1,
        "tickets on an idle connection close nothing"
    );
}

#[test]
fn a_certificate_for_another_name_is_refused_unless_the_policy_names_it() {
    let authority = Authority::new();
    let upstream = secure(authority.issue(&["other.test"]), echo);
    let gateway = before(&authority, &upstream, HOSTNAME, "");
    let answer = gateway.get("a", "/");
    assert_eq!(answer.status(), 503);
    let line = gateway.only_json_line();
    let sentence = line["evenkeel_sentence"].as_str().expect("a sentence");
    assert!(
        sentence.contains("a certificate that is not for the name in the BackendTLSPolicy"),
        "{sentence}"
    );
    let names = format!(
        "{HOSTNAME}    subjectAltNames: [{{type: Hostname, hostname: x.test}}, {{type: Hostname, hostname: other.test}}]\n"
    );
    let gateway = before(&authority, &upstream, &names, "");
    assert_eq!(gateway.get("a", "/").text(), "well");
}

#[test]
fn an_expired_certificate_is_refused_in_words() {
    let authority = Authority::new();
    let upstream = secure(authority.issue_until(&["app.test"], Duration::ZERO), echo);
    thread::sleep(Duration::from_millis(1100));
    let gateway = before(&authority, &upstream, HOSTNAME, "");
    assert_eq!(gateway.get("a", "/").status(), 503);
    let line = gateway.only_json_line();
    let sentence = line["evenkeel_sentence"].as_str().expect("a sentence");
    assert!(sentence.contains("a certificate that has expired"), "{sentence}");
}

/// The endpoint closes each connection after an idle time, as servers do: by `close_notify` and a FIN.
#[test]
fn an_idle_close_over_tls_costs_no_request_and_repeats_none() {
    const IDLE: Duration = Duration::from_millis(150);
    let authority = Authority::new();
    let applied = Arc::new(AtomicUsize::new(0));
    let counted = applied.clone();
    let upstream = secure(authority.issue(&["app.test"]), move |_, peer| {
        loop {
            if !peer.hears_within(IDLE) {
                peer.half_close();
                return;
            }
            let Some(request) = peer.request() else { return };
            if request.method() == "POST" {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            if !peer.try_send(reply("well")) {
                return;
            }
        }
    });
    let gateway = before(&authority, &upstream, HOSTNAME, "");
    let mut client = gateway.connect();
    let mut posts = 0;
    for age in (0..60).map(|at| IDLE - Duration::from_millis(30) + Duration::from_millis(at)) {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(client.response().status(), 200, "at {age:?}");
        posts += 1;
        thread::sleep(age);
    }
    assert_eq!(applied.load(Ordering::SeqCst), posts, "none is applied twice");
    assert!(upstream.connections() > 1, "some were closed");
}

/// A response that the connection's end delimits is whole only if TLS says so.
#[test]
fn a_body_until_close_that_is_cut_off_is_not_taken_for_whole() {
    let authority = Authority::new();
    let upstream = secure(authority.issue(&["app.test"]), |number, peer| {
        if peer.request().is_some() {
            peer.try_send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\npart");
            if number == 0 {
                peer.half_close();
            }
        }
    });
    let gateway = before(&authority, &upstream, HOSTNAME, "");
    let whole = gateway.get("a", "/");
    assert!(whole.complete && whole.text() == "part");
    let cut = gateway.get("a", "/");
    assert!(!cut.complete, "{cut:?}");
}

#[test]
fn other_authorities_open_other_connections() {
    let (authority, other) = (Authority::new(), Authority::new());
    let upstream = secure(authority.issue(&["app.test"]), echo);
    let port = free_port();
    let text = |authority: &Authority| {
        yaml::simple(port, upstream.address, "")
            + &authority.config_map("authority")
            + &format!(
                "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: app}}\nspec:\n  \
                 targetRefs: [{}]\n  validation:\n    hostname: app.test\n    caCertificateRefs: [{{group: \"\", kind: \
                 ConfigMap, name: authority}}]\n---\n",
                yaml::reference("app")
            )
    };
    let gateway = Gateway::configured(&text(&authority));
    assert_eq!(gateway.get("a", "/").status(), 200);
    let said = gateway.reconfigure(&text(&other));
    assert!(said.contains("cluster default/app changed"), "{said}");
    assert_eq!(
        gateway.get("a", "/").status(),
        503,
        "what was opened before is not believed any more"
    );
}
