//! What happens while the gateway runs, and where it is told: the log, `/clusters`, the counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::harness::{Gateway, Upstream, eventually, free_port, yaml};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

fn said(gateway: &Gateway, words: &str) -> String {
    eventually(words, || {
        let said = gateway.said();
        said.lines().find(|line| line.contains(words)).map(str::to_owned)
    })
}

fn nobody() -> std::net::SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

#[test]
fn an_ejection_and_a_return_are_one_log_line_each() {
    let bad = Arc::new(AtomicBool::new(true));
    let switch = bad.clone();
    let failing = Upstream::answering(move |_| match switch.load(Relaxed) {
        true => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n".to_owned(),
        false => crate::harness::reply("well"),
    });
    let good = Upstream::saying("good");
    let port = free_port();
    let gateway = Gateway::configured(&format!(
        "{}{}{}{}",
        yaml::gateway(port),
        yaml::route("all", &yaml::to("app")),
        yaml::backend("app", &[failing.address, good.address]),
        yaml::policy(
            "app",
            "  healthCheck: {passive: {consecutiveGatewayErrors: 2, baseEjectionTime: 600ms, maxEjectionPercent: 100}}\n"
        )
    ));
    eventually("an ejection", || {
        gateway.ask(GET);
        (gateway.stat("outlier_detection.ejections_enforced_total") > 0).then_some(())
    });
    let line = said(&gateway, "is ejected for 0.6 s");
    let address = failing.address.to_string();
    assert!(
        line.contains(&address)
            && line.contains("cluster default/app")
            && line.contains("consecutive_gateway_failure")
            && line.contains("its last error: it answered 503; 1 of 2 endpoints are in service"),
        "{line}"
    );
    bad.store(false, Relaxed);
    let line = said(&gateway, "its ejection has ended");
    assert!(
        line.contains(&address) && line.contains("2 of 2 endpoints"),
        "{line}"
    );
    let ejected = gateway.said().matches("is ejected for").count() as u64;
    assert_eq!(
        ejected,
        gateway.stat("outlier_detection.ejections_enforced_total")
    );
}

#[test]
fn a_dead_endpoint_that_cannot_be_ejected_is_not_called_healthy() {
    let dead = nobody();
    let gateway = Gateway::to(dead, &[]);
    for _ in 0..6 {
        assert_eq!(gateway.ask(GET).status(), 503);
    }
    let clusters = gateway.admin_get("/clusters").text();
    for line in [
        format!("{dead}::health_flags::/failing"),
        format!("{dead}::evenkeel_last_error::connection refused"),
    ] {
        assert!(clusters.contains(&line), "no {line} in\n{clusters}");
    }
    assert!(
        clusters.contains("::evenkeel_membership_failing::1"),
        "{clusters}"
    );
    let age = clusters
        .lines()
        .find_map(|line| line.split_once("evenkeel_last_error_ago_ms::"));
    assert!(
        age.is_some_and(|(_, age)| age.parse::<u64>().is_ok_and(|age| age < 60_000)),
        "{clusters}"
    );
    let line = said(&gateway, "is not ejected");
    assert!(
        line.contains("it is the only endpoint of its cluster; its last error: connection refused"),
        "{line}"
    );
    assert_eq!(gateway.stat("evenkeel.membership_failing"), 1);
}

#[test]
fn a_rejected_configuration_is_told_by_counters_a_gauge_and_the_admin() {
    let upstream = Upstream::saying("ok");
    let port = free_port();
    let gateway = Gateway::configured(&yaml::simple(port, upstream.address, ""));
    let info = || -> serde_json::Value {
        serde_json::from_str(&gateway.admin_get("/server_info").text()).expect("JSON")
    };
    let told = info()["configuration"].clone();
    assert_eq!(
        (&told["last_reload"]["ok"], &told["reloads_rejected"]),
        (&true.into(), &0.into()),
        "{told}"
    );
    assert_eq!(gateway.stat("evenkeel.config.last_reload_successful"), 1);

    gateway.reconfigure("nonsense: true\n");
    let told = info()["configuration"].clone();
    assert_eq!(told["last_reload"]["ok"], false, "{told}");
    let reason = told["last_reload"]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("gateway.yaml:1:1: ") && reason.contains("(EK"),
        "{told}"
    );
    assert_ne!(told["last_reload"]["at"], told["applied_at"], "{told}");
    assert_eq!(gateway.stat("evenkeel.config.last_reload_successful"), 0);
    assert_eq!(gateway.stat("listener_manager.lds.update_rejected"), 1);
    let page = gateway.admin_get("/stats/prometheus").text();
    assert!(
        page.contains("\nevenkeel_config_last_reload_successful 0\n"),
        "{page}"
    );
    assert!(said(&gateway, "configuration rejected").contains(reason));

    gateway.reconfigure(&yaml::simple(port, upstream.address, "  queue: {}\n"));
    let told = info()["configuration"].clone();
    assert_eq!(
        (&told["last_reload"]["ok"], &told["last_reload"]["reason"]),
        (&true.into(), &serde_json::Value::Null)
    );
    assert_eq!(
        (&told["reloads_applied"], &told["reloads_rejected"]),
        (&1.into(), &1.into()),
        "{told}"
    );
    assert_eq!(gateway.stat("evenkeel.config.last_reload_successful"), 1);
}

#[test]
fn a_name_that_cannot_be_resolved_is_df_named_and_told_once() {
    let port = free_port();
    let backend = "apiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {name: app}\nspec:\n  endpoints: [{fqdn: \
                   {hostname: nope.invalid, port: 80}}]\n---\n";
    let gateway = Gateway::configured_with(
        &format!(
            "{}{}{backend}",
            yaml::gateway(port),
            yaml::route("all", &yaml::to("app"))
        ),
        &["--access-log", "json"],
    );
    assert_eq!(gateway.ask(GET).status(), 503);
    let line = gateway.only_json_line();
    assert_eq!(line["envoy_response_flags"], "DF", "{line}");
    let sentence = line["evenkeel_sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("nope.invalid"), "{line}");
    let clusters = gateway.admin_get("/clusters").text();
    assert!(
        clusters.contains("default/app::evenkeel_name::nope.invalid::cannot be resolved since "),
        "{clusters}"
    );
    assert_eq!(gateway.stat("default/app.evenkeel.names_unresolved"), 1);
    // A name is asked for again after five seconds.
    std::thread::sleep(std::time::Duration::from_secs(4));
    eventually("a second try", || {
        (gateway.stat("default/app.update_failure") >= 2).then_some(())
    });
    let said = gateway.said();
    let mut lines: Vec<&str> = said
        .lines()
        .filter_map(|line| {
            line.split_once("WARN")
                .filter(|(_, line)| line.contains("nope.invalid"))
        })
        .map(|(_, line)| line)
        .collect();
    assert!(
        lines.iter().all(|line| line.contains("cluster default/app: ")),
        "{said}"
    );
    assert!(!said.contains("Query {"), "{said}");
    let all = lines.len();
    lines.dedup();
    assert!(
        all >= 1 && lines.len() == all,
        "a line is only written when something changed:\n{said}"
    );
}
