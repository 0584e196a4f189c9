//! How long a large configuration takes to read, and what it weighs: one HTTPRoute and one Backend for
//! each of so many hosts, in one text and in many.
//!
//! `cargo run --release -p evenkeel-config --example scale -- 10000`

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use config::{ReadOptions, Source, changes, read};

fn main() {
    let routes = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let routes = routes.unwrap_or(10_000);
    let (one, many) = (in_one_text(routes), in_many_texts(routes));
    let bytes: usize = one.iter().map(|source| source.text.len()).sum();
    println!("{routes} routes and backends, {} KiB", bytes / 1024);
    measure("one text", &one);
    measure("a text each", &many);
}

/// The best of a few goes: other work on the machine only ever adds.
fn measure(what: &str, sources: &[Source]) {
    let mut best = Duration::MAX;
    for _ in 0..GOES {
        let begun = Instant::now();
        let model = read(sources, &ReadOptions::default());
        let spent = begun.elapsed();
        let model = model.unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(changes(&model, &model).is_empty());
        best = best.min(spent);
    }
    let before = resident();
    let model = read(sources, &ReadOptions::default());
    let after = resident();
    let compared = Instant::now();
    let phrases = model.as_ref().map_or(0, |model| changes(model, model).len());
    println!(
        "{what}: read in {best:?}, compared in {:?} ({phrases} changes), {after} KiB resident ({before} before)",
        compared.elapsed(),
    );
}

const GOES: usize = 5;

const GATEWAY: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: edge
spec:
  listeners:
  - name: http
    port: 8080
    protocol: HTTP
";

fn route(number: usize) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-{number}
spec:
  parentRefs:
  - name: edge
  hostnames:
  - host-{number}.example.com
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /api
    backendRefs:
    - name: backend-{number}
    timeouts:
      request: 30s
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata:
  name: backend-{number}
spec:
  endpoints:
  - ip:
      address: 10.{}.{}.{}
      port: 8080
",
        number >> 16 & 255,
        number >> 8 & 255,
        number & 255,
    )
}

fn in_one_text(routes: usize) -> Vec<Source> {
    let mut text = GATEWAY.to_owned();
    for number in 0..routes {
        _ = write!(text, "---\n{}", route(number));
    }
    vec![source("all.yaml".to_owned(), text)]
}

fn in_many_texts(routes: usize) -> Vec<Source> {
    let each = (0..routes).map(|number| source(format!("{number}.yaml"), route(number)));
    std::iter::once(source("gateway.yaml".to_owned(), GATEWAY.to_owned()))
        .chain(each)
        .collect()
}

fn source(name: String, text: String) -> Source {
    Source { name, text }
}

/// Memory of this process, in KiB; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
