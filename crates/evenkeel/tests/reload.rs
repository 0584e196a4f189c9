//! Reload: no request is lost, what was learned survives, a bad file changes nothing.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::{End, Gateway, Peer, Upstream, eventually, free_port, reply, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn to_backend(port: u16, upstream: &Upstream) -> String {
    yaml::simple(port, upstream.address, "")
}

#[test]
fn a_changed_file_is_noticed_by_itself() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &old));
    let mut client = gateway.connect();
    client.send(GET);
    assert_eq!(client.response().text(), "old");
    gateway.rewrite(&to_backend(port, &new));
    eventually("the new upstream to answer", || {
        client.send(GET);
        (client.response().text() == "new").then_some(())
    });
    assert!(
        gateway.said().contains("cluster default/app changed"),
        "{}",
        gateway.said()
    );
}

#[test]
fn a_swapped_link_is_noticed_as_in_a_configmap() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let port = free_port();
    let gateway = Gateway::mounted(&to_backend(port, &old));
    assert_eq!(gateway.ask(GET).text(), "old");
    gateway.remount(&to_backend(port, &new));
    eventually("the new upstream to answer", || {
        (gateway.ask(GET).text() == "new").then_some(())
    });
}

#[test]
fn a_bad_file_keeps_the_old_configuration_and_says_why() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &upstream));
    for bad in [
        "kind: [",
        "apiVersion: v1\nkind: Gatewayy\n",
        &to_backend(port, &upstream).replace("backendRefs", "backendRef"),
    ] {
        let verdict = gateway.reconfigure(bad);
        assert!(verdict.contains("configuration rejected"), "{verdict}");
        assert_eq!(gateway.ask(GET).text(), "ok");
    }
    assert!(
        gateway.said().contains("gateway.yaml:"),
        "file and line must be told: {}",
        gateway.said()
    );
    let verdict = gateway.reconfigure(&to_backend(port, &upstream));
    assert!(verdict.contains("nothing changed"), "{verdict}");
}

#[test]
fn a_file_that_is_gone_keeps_the_old_configuration() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::configured(&to_backend(free_port(), &upstream));
    gateway.remove_file();
    gateway.signal(Signal::SIGHUP);
    eventually("the complaint", || {
        gateway.said().contains("configuration rejected").then_some(())
    });
    assert_eq!(gateway.ask(GET).text(), "ok");
}

#[test]
fn a_request_ends_under_the_configuration_it_began_with() {
    let old = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(400));
        reply("old")
    });
    let new = Upstream::saying("new");
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &old));
    let mut client = gateway.connect();
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    gateway.reconfigure(&to_backend(port, &new));
    assert_eq!(
        gateway.ask(GET).text(),
        "new",
        "the next request is under the new one"
    );
    assert_eq!(client.response().text(), "old");
    client.send(GET);
    assert_eq!(
        client.response().text(),
        "new",
        "and so is the next of the same connection"
    );
}

#[test]
fn a_listener_comes_and_goes_without_hurting_its_clients() {
    let upstream = Upstream::answering(|_| {
        std::thread::sleep(Duration::from_millis(300));
        reply("ok")
    });
    let (first, second) = (free_port(), free_port());
    let two = format!(
        "  - {{name: one, protocol: HTTP, port: {first}}}\n  - {{name: two, protocol: HTTP, port: {second}}}\n"
    );
    let one = format!("  - {{name: one, protocol: HTTP, port: {first}}}\n");
    let rest = format!(
        "{}{}",
        yaml::route("r", &yaml::to("app")),
        yaml::backend("app", &[upstream.address])
    );
    let gateway = Gateway::configured(&format!("{}{rest}", yaml::gateway_with(&one)));
    assert!(std::net::TcpStream::connect(("127.0.0.1", second)).is_err());
    gateway.reconfigure(&format!("{}{rest}", yaml::gateway_with(&two)));
    let mut client = Peer::connect(([127, 0, 0, 1], second).into());
    client.send(GET);
    std::thread::sleep(Duration::from_millis(50));
    gateway.reconfigure(&format!("{}{rest}", yaml::gateway_with(&one)));
    eventually("the listener to close", || {
        std::net::TcpStream::connect(("127.0.0.1", second))
            .is_err()
            .then_some(())
    });
    let told = client.response();
    assert_eq!(told.text(), "ok", "the request in flight was hurt");
    assert!(
        told.connection_says("close"),
        "the close must be announced: {told:?}"
    );
    assert_eq!(client.end(), End::Fin);
    assert_eq!(gateway.ask(GET).text(), "ok");
}

#[test]
fn an_idle_client_of_a_kept_listener_is_not_disturbed() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &upstream));
    let mut client = gateway.connect();
    client.send(GET);
    assert!(!client.response().connection_says("close"));
    gateway.reconfigure(&format!(
        "{}{}",
        to_backend(port, &upstream),
        yaml::backend("unused", &[upstream.address])
    ));
    client.send(GET);
    assert_eq!(client.response().text(), "ok");
}

#[test]
fn connections_and_counters_of_an_unchanged_cluster_survive() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &upstream));
    for round in 0..3_u64 {
        assert_eq!(gateway.ask(GET).text(), "ok");
        assert_eq!(gateway.stat("upstream_rq_total"), round + 1);
        gateway.reconfigure(&format!(
            "{}# {round}\n{}",
            to_backend(port, &upstream),
            yaml::backend(&format!("b{round}"), &[upstream.address])
        ));
    }
    assert_eq!(upstream.connections(), 1, "the idle connection was thrown away");
}

#[test]
fn what_was_learned_survives() {
    let upstream = Upstream::answering(|_| {
        "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok".to_owned()
    });
    let port = free_port();
    let gateway = Gateway::configured(&to_backend(port, &upstream));
    assert_eq!(gateway.ask(GET).text(), "ok");
    let of_endpoint = |text: String| {
        let address = upstream.address.to_string();
        text.lines()
            .filter(|line| line.contains(&address))
            .filter(|line| line.contains("limit"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = of_endpoint(gateway.admin_get("/clusters").text());
    assert!(!before.is_empty(), "{}", gateway.admin_get("/clusters").text());
    gateway.reconfigure(&yaml::simple(
        port,
        upstream.address,
        "  timeout: {tcp: {connectTimeout: 3s}}\n",
    ));
    assert_eq!(of_endpoint(gateway.admin_get("/clusters").text()), before);
}
