use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use insta::assert_snapshot;
use tokio::runtime::Runtime;

use super::*;
use crate::telemetry::stats::tests::{SERVER, cluster_view, reloads, workers};

/// A process that does nothing but be asked.
#[derive(Default)]
struct Process {
    workers: Vec<Arc<WorkerStats>>,
    log: LogCounts,
    drained: AtomicUsize,
    ended: AtomicUsize,
}

impl AdminSource for Process {
    fn server(&self) -> ServerView {
        let state = if self.drained.load(Relaxed) > 0 {
            Liveness::Draining
        } else {
            Liveness::Live
        };
        ServerView { state, ..SERVER }
    }

    fn visit_clusters(&self, visit: &mut dyn FnMut(&ClusterView)) {
        visit(&cluster_view("default/web"));
    }

    fn listeners(&self) -> Vec<(String, SocketAddr)> {
        vec![("default/edge/http".to_owned(), ([127, 0, 0, 1], 8080).into())]
    }

    fn workers(&self) -> &[Arc<WorkerStats>] {
        &self.workers
    }

    fn log(&self) -> &LogCounts {
        &self.log
    }

    fn logging(&self) -> Option<Logging> {
        let change = |level: &str| match level {
            "debug" | "info,dns=debug" | "dns=trace,web=off" => Ok(level.to_owned()),
            other => Err(format!("`{other}` is no level")),
        };
        Some(Logging {
            read: || "info".to_owned(),
            change,
        })
    }

    fn reloads(&self) -> Reloads {
        reloads()
    }

    fn certificates(&self) -> Vec<CertificateView> {
        Vec::new()
    }

    fn config(&self) -> Value {
        json!({ "resources": [{ "kind": "Gateway" }] })
    }

    fn names(&self) -> Vec<String> {
        vec!["admin.internal".to_owned()]
    }

    fn drain(&self) {
        self.drained.fetch_add(1, Relaxed);
    }

    fn quit(&self) {
        self.ended.fetch_add(1, Relaxed);
    }
}

/// An admin on a socket of its own.
struct Running {
    process: Arc<Process>,
    address: SocketAddr,
    _runtime: Runtime,
}

impl Running {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let process = Arc::new(Process {
            workers: workers(),
            ..Process::default()
        });
        spawn(runtime.handle(), socket, process.clone()).unwrap();
        Self {
            process,
            address,
            _runtime: runtime,
        }
    }

    /// Sends a request as it stands and reads the answer to its end: status, fields, body.
    fn send(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn ask(&self, method: &str, target: &str) -> (u16, String, String) {
        self.send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        ))
    }

    fn get(&self, target: &str) -> String {
        let (status, _, body) = self.ask("GET", target);
        assert_eq!(status, 200, "{target}: {body}");
        body
    }
}

#[test]
fn stats_come_in_all_three_forms() {
    let admin = Running::start();
    assert!(
        admin
            .get("/stats")
            .contains("cluster.default/web.upstream_cx_total: 5\n")
    );
    assert_eq!(
        admin.get("/stats?filter=upstream_cx_total$&usedonly"),
        "cluster.default/web.upstream_cx_total: 5\n"
    );
    let (_, head, page) = admin.ask("GET", "/stats/prometheus");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
        "{head}"
    );
    assert!(page.contains("evenkeel_race_met_total{cluster=\"default/web\"} 2\n"));
    assert_eq!(
        admin.get("/stats?format=prometheus&filter=race"),
        admin.get("/stats/prometheus?filter=race")
    );
    let json: Value = serde_json::from_str(&admin.get("/stats?format=json&filter=server.live")).unwrap();
    assert_eq!(json["stats"][0], json!({ "name": "server.live", "value": 1 }));
}

#[test]
fn log_levels_are_read_and_changed_by_envoys_parameters() {
    let admin = Running::start();
    assert_eq!(admin.get("/logging"), "log level: info\n");
    let post = |path: &str| {
        let (status, _, body) = admin.ask("POST", path);
        (status, body)
    };
    let told = |levels: &str| (200, format!("log level: {levels}\n"));
    assert_eq!(post("/logging"), told("info"));
    assert_eq!(post("/logging?level=debug"), told("debug"));
    assert_eq!(
        post("/logging?level=info&paths=dns:debug"),
        told("info,dns=debug")
    );
    assert_eq!(post("/logging?dns=trace&web=off"), told("dns=trace,web=off"));
    assert_eq!(
        post("/logging?level=inof"),
        (400, "`inof` is no level\n".to_owned())
    );
}

#[test]
fn a_wrong_parameter_is_answered_with_what_is_wrong() {
    let admin = Running::start();
    let (status, _, body) = admin.ask("GET", "/stats?filter=(");
    assert_eq!(status, 400);
    assert!(
        body.starts_with("the filter is no regular expression: "),
        "{body}"
    );
    let (status, _, body) = admin.ask("GET", "/stats?format=xml");
    assert_eq!(
        (status, body.as_str()),
        (
            400,
            "there is no format \"xml\": ask for text, json or prometheus\n"
        )
    );
}

#[test]
fn clusters_are_shown_with_what_was_learned() {
    let admin = Running::start();
    assert_snapshot!(admin.get("/clusters"), @r"
    default/web::default_priority::max_connections::1024
    default/web::default_priority::max_pending_requests::1024
    default/web::default_priority::max_requests::1024
    default/web::default_priority::max_retries::1024
    default/web::evenkeel_membership_healthy::1
    default/web::evenkeel_membership_total::1
    default/web::evenkeel_membership_failing::1
    default/web::evenkeel_panic::false
    default/web::evenkeel_pool_used_percent::80
    default/web::evenkeel_queue_waiting::3
    default/web::evenkeel_queue_overloaded::true
    default/web::evenkeel_queue_oldest_wait_ms::120
    default/web::evenkeel_queue_shed::7
    default/web::evenkeel_remaining_retries::0
    default/web::evenkeel_auto_timeout::2.500s: 5 times the p99 of 500.000ms
    default/web::evenkeel_hedge_wait_ms::40
    default/web::evenkeel_name::web.internal::cannot be resolved since 12 s: there is no such name (NXDOMAIN); 1 addresses known before are in use
    default/web::127.0.0.1:3000::cx_active::2
    default/web::127.0.0.1:3000::cx_connect_fail::3
    default/web::127.0.0.1:3000::cx_total::5
    default/web::127.0.0.1:3000::rq_active::1
    default/web::127.0.0.1:3000::rq_error::2
    default/web::127.0.0.1:3000::rq_success::118
    default/web::127.0.0.1:3000::rq_timeout::1
    default/web::127.0.0.1:3000::rq_total::120
    default/web::127.0.0.1:3000::health_flags::/failing
    default/web::127.0.0.1:3000::weight::1
    default/web::127.0.0.1:3000::success_rate::98.33
    default/web::127.0.0.1:3000::evenkeel_last_error::it answered 503
    default/web::127.0.0.1:3000::evenkeel_last_error_ago_ms::1500
    default/web::127.0.0.1:3000::evenkeel_failures_in_a_row::2
    default/web::127.0.0.1:3000::evenkeel_cx_idle::1
    default/web::127.0.0.1:3000::evenkeel_oldest_idle_ms::1250
    default/web::127.0.0.1:3000::evenkeel_probe::false
    default/web::127.0.0.1:3000::evenkeel_leaving::false
    default/web::127.0.0.1:3000::evenkeel_avoided::false
    default/web::127.0.0.1:3000::evenkeel_stragglers::0
    default/web::127.0.0.1:3000::evenkeel_reuse_limit_ms::4900
    default/web::127.0.0.1:3000::evenkeel_safe_limit_ms::4900
    default/web::127.0.0.1:3000::evenkeel_limit_source::learned
    default/web::127.0.0.1:3000::evenkeel_closes_after_ms::5001
    default/web::127.0.0.1:3000::evenkeel_closes::41
    default/web::127.0.0.1:3000::evenkeel_closes_scattered::0
    default/web::127.0.0.1:3000::evenkeel_closes_by_reset::2
    default/web::127.0.0.1:3000::evenkeel_round_trip_us::350
    default/web::127.0.0.1:3000::evenkeel_learned::closes idle connections after 5.001 s, as 41 of 41 closes; connections are reused up to 4.900 s
    ");
    let json: Value = serde_json::from_str(&admin.get("/clusters?format=json")).unwrap();
    let cluster = &json["cluster_statuses"][0];
    assert_eq!(cluster["name"], "default/web");
    assert_eq!(cluster["circuit_breakers"]["max_connections"], 1024);
    assert_eq!(cluster["state"]["evenkeel_queue_waiting"], 3);
    assert_eq!(cluster["host_statuses"][0]["rq_success"], 118);
    assert_eq!(cluster["host_statuses"][0]["evenkeel_reuse_limit_ms"], 4900);
}

#[test]
fn configuration_listeners_and_server_are_shown() {
    let admin = Running::start();
    let config: Value = serde_json::from_str(&admin.get("/config_dump")).unwrap();
    assert_eq!(config, json!({ "resources": [{ "kind": "Gateway" }] }));
    assert_eq!(admin.get("/listeners"), "default/edge/http::127.0.0.1:8080\n");
    let listeners: Value = serde_json::from_str(&admin.get("/listeners?format=json")).unwrap();
    assert_eq!(
        listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"],
        8080
    );
    let info: Value = serde_json::from_str(&admin.get("/server_info")).unwrap();
    assert_eq!(
        (&info["state"], &info["uptime_current_epoch"]),
        (&json!("LIVE"), &json!("90s"))
    );
}

#[test]
fn readiness_follows_the_drain_and_the_health_check_switch() {
    let admin = Running::start();
    let ready = || {
        let (status, _, body) = admin.ask("GET", "/ready");
        (status, body)
    };
    assert_eq!(ready(), (200, "LIVE\n".to_owned()));
    assert_eq!(admin.ask("POST", "/healthcheck/fail").2, "OK\n");
    assert_eq!(ready(), (503, "DRAINING\n".to_owned()));
    assert_eq!(admin.ask("POST", "/healthcheck/ok").2, "OK\n");
    assert_eq!(ready(), (200, "LIVE\n".to_owned()));
    assert_eq!(admin.ask("POST", "/drain").2, "OK\n");
    assert_eq!(ready(), (503, "DRAINING\n".to_owned()));
}

#[test]
fn what_changes_something_wants_post_and_does_nothing_without() {
    let admin = Running::start();
    for target in ["/drain", "/drain_listeners", "/quitquitquit", "/healthcheck/fail"] {
        let (status, head, body) = admin.ask("GET", target);
        assert_eq!(status, 405, "{target}");
        assert!(head.contains("allow: post"), "{head}");
        assert_eq!(
            body,
            format!("{target} wants POST: what changes something is POST, reading is GET\n")
        );
    }
    assert_eq!(admin.ask("POST", "/stats").0, 405);
    assert_eq!(
        (
            admin.process.drained.load(Relaxed),
            admin.process.ended.load(Relaxed)
        ),
        (0, 0)
    );
    assert_eq!(admin.get("/ready"), "LIVE\n");
    assert_eq!(admin.ask("POST", "/drain_listeners").0, 200);
    assert_eq!(admin.ask("POST", "/quitquitquit").0, 200);
    assert_eq!(
        (
            admin.process.drained.load(Relaxed),
            admin.process.ended.load(Relaxed)
        ),
        (1, 1)
    );
}

#[test]
fn a_page_that_had_its_name_rebound_is_refused_whatever_it_asks() {
    let admin = Running::start();
    for method in ["GET", "POST"] {
        let request =
            format!("{method} /quitquitquit HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        let (status, _, body) = admin.send(&request);
        assert_eq!(status, 403);
        assert!(body.contains("\"evil.example\""), "{body}");
    }
    assert_eq!(admin.process.ended.load(Relaxed), 0);
    let known = "GET /ready HTTP/1.1\r\nHost: admin.internal\r\nConnection: close\r\n\r\n";
    assert_eq!(admin.send(known).0, 200);
}

#[test]
fn the_index_and_the_help_list_every_path_and_an_unknown_one_is_said_to_be_unknown() {
    let admin = Running::start();
    let (index, help) = (admin.get("/"), admin.get("/help"));
    for (path, method, _) in ENDPOINTS {
        assert!(index.contains(path) && help.contains(path), "{path}");
        let wrong = match method {
            "GET" => "POST",
            "POST" => "GET",
            _ => "DELETE",
        };
        assert_eq!(admin.ask(wrong, path).0, 405, "{path}");
    }
    let (status, head, body) = admin.ask("GET", "/statz");
    assert_eq!(
        (status, body.as_str()),
        (404, "there is no /statz; /help lists what there is\n")
    );
    assert!(
        head.contains("cache-control: no-cache") && head.contains("x-content-type-options: nosniff"),
        "{head}"
    );
}
