//! The admin: Envoy's paths and names, so that scripts carry over.

use crate::harness::{End, Gateway, Peer, Upstream, eventually};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn stats_count_by_envoys_names() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    for _ in 0..3 {
        client.send(GET);
        client.response();
    }
    let stats = gateway.admin_get("/stats").text();
    for (name, figure) in [
        ("upstream_cx_total", 1),
        ("upstream_rq_total", 3),
        ("upstream_rq_completed", 3),
        ("upstream_rq_200", 3),
        ("upstream_rq_2xx", 3),
        ("upstream_cx_connect_fail", 0),
        ("upstream_rq_retry", 0),
        ("upstream_rq_pending_overflow", 0),
        ("upstream_cx_active", 1),
        ("upstream_rq_active", 0),
    ] {
        let line = stats
            .lines()
            .find(|line| line.starts_with("cluster.") && line.contains(&format!(".{name}: ")));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{stats}"));
        assert!(line.ends_with(&format!(": {figure}")), "{line}");
    }
}

#[test]
fn prometheus_gets_well_formed_families() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    gateway.ask(GET);
    let told = gateway.admin_get("/stats/prometheus");
    assert!(
        told.field("content-type")
            .is_some_and(|kind| kind.starts_with("text/plain")),
        "{told:?}"
    );
    let text = told.text();
    assert!(
        text.contains("# TYPE envoy_cluster_upstream_rq_total counter"),
        "{text}"
    );
    assert!(text.contains("envoy_cluster_name="), "{text}");
    let mut families = std::collections::HashSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        assert!(
            families.insert(line.to_owned()),
            "a family must come once: {line}"
        );
    }
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (_, figure) = line.rsplit_once(' ').expect("name and figure");
        assert!(figure.parse::<f64>().is_ok(), "{line}");
    }
}

#[test]
fn clusters_show_each_endpoint() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    gateway.ask(GET);
    let text = gateway.admin_get("/clusters").text();
    assert!(text.contains(&upstream.address.to_string()), "{text}");
}

#[test]
fn the_configuration_in_force_can_be_read_back() {
    let upstream = Upstream::saying("ok");
    let port = crate::harness::free_port();
    let gateway = Gateway::configured(&crate::harness::yaml::simple(port, upstream.address, ""));
    let told = gateway.admin_get("/config_dump");
    let dump: serde_json::Value = serde_json::from_str(&told.text()).expect("JSON");
    let text = dump.to_string();
    assert!(
        text.contains("HTTPRoute") && text.contains(&upstream.address.port().to_string()),
        "{text}"
    );
}

#[test]
fn ready_is_ready() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.admin_get("/ready").status(), 200);
}

#[test]
fn a_drain_can_be_asked_for_and_nothing_by_get() {
    let upstream = Upstream::saying("ok");
    let mut gateway = Gateway::before(&upstream);
    assert_eq!(
        gateway.admin_get("/drain").status(),
        405,
        "a link or prefetch must not drain"
    );
    let mut admin = Peer::connect(gateway.admin);
    admin.send("POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(admin.response().status(), 200);
    assert_eq!(gateway.exit().code(), Some(0));
}

#[test]
fn an_unknown_path_is_404_and_the_root_lists_what_there_is() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.admin_get("/nothing").status(), 404);
    let index = gateway.admin_get("/").text();
    for path in ["/stats", "/clusters", "/config_dump", "/ready"] {
        assert!(index.contains(path), "{index}");
    }
}

#[test]
fn the_admin_is_not_reached_through_a_listener() {
    let upstream = Upstream::saying("app");
    let gateway = Gateway::before(&upstream);
    assert_eq!(gateway.get("a", "/stats").text(), "app");
}

#[test]
fn downstream_connections_are_counted_and_given_back() {
    let upstream = Upstream::saying("ok");
    let gateway = Gateway::before(&upstream);
    let mut client = gateway.connect();
    client.send(GET);
    client.response();
    eventually("one to be active", || {
        (gateway.stat("downstream_cx_active") == 1).then_some(())
    });
    drop(client);
    eventually("none to be active", || {
        (gateway.stat("downstream_cx_active") == 0).then_some(())
    });
    assert_eq!(
        Peer::connect(gateway.address).end_within(std::time::Duration::from_millis(10)),
        End::Open
    );
}
