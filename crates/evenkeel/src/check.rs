//! `evenkeel check`: every mistake at once, or what the configuration comes to.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use config::Mistakes;
use config::model::{EndpointSpec, Model, RateLimitSpec, WrittenRoute};
use serde_json::{Value, json};

use crate::cli::{CheckArgs, Format};
use crate::complaint::Complaint;
use crate::files::{self, NoModel};

/// Checks the configuration; exit code 1 if it has mistakes.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Complaint> {
    let model = match files::model(&args.config) {
        Err(NoModel::Unreadable(complaint)) => return Err(complaint),
        Err(NoModel::Wrong(mistakes)) => Err(mistakes),
        Ok(model) => Ok(model),
    };
    let code = if model.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    };
    match (args.format, model) {
        (Format::Text, Ok(model)) => print!("{}", describe(&model)),
        (Format::Text, Err(mistakes)) => {
            eprintln!("{}", mistakes.render(std::io::stderr().is_terminal()).trim_end())
        }
        (Format::Json, Ok(model)) => println!("{:#}", found(&model)),
        (Format::Json, Err(mistakes)) => println!("{:#}", wrong(&mistakes)),
    }
    Ok(code)
}

fn describe(model: &Model) -> String {
    let mut text = String::new();
    let mut group = |title: &str, lines: Vec<String>| {
        text.push_str(&format!("{title} ({})\n", lines.len()));
        lines
            .iter()
            .for_each(|line| text.push_str(&format!("  ✓ {line}\n")));
    };
    group("listeners", model.listeners.iter().map(listener).collect());
    let rules = |count: usize| format!("{count} {}", if count == 1 { "rule" } else { "rules" });
    let route = |route: &WrittenRoute| format!("{}  {}", route.name, rules(route.rules));
    group("routes", model.written.iter().map(route).collect());
    group(
        "clusters",
        model
            .clusters
            .iter()
            .map(|spec| format!("{}  {}", spec.name, endpoints(&spec.endpoints).join(", ")))
            .collect(),
    );
    if !model.rate_limits.is_empty() {
        let limit = |spec: &RateLimitSpec| format!("{}  {}", spec.name, rules(spec.plan.rules.len()));
        group("rate limits", model.rate_limits.iter().map(limit).collect());
    }
    if !model.warnings.is_empty() {
        text.push_str(&format!("warnings ({})\n", model.warnings.len()));
        model
            .warnings
            .iter()
            .for_each(|warning| text.push_str(&format!("  ! {warning}\n")));
    }
    text.push_str("no mistakes\n");
    text
}

fn listener(listener: &config::model::Listener) -> String {
    let hosts = listener.hostname.as_deref().unwrap_or("every host");
    format!("{}  http://{}  {hosts}", listener.name, listener.address)
}

fn endpoints(specs: &[EndpointSpec]) -> Vec<String> {
    specs
        .iter()
        .map(|spec| match spec {
            EndpointSpec::Ip(address) => address.to_string(),
            EndpointSpec::Fqdn { hostname, port } => format!("{hostname}:{port}"),
            EndpointSpec::Unix(path) => format!("unix:{}", path.display()),
        })
        .collect()
}

fn found(model: &Model) -> Value {
    let listeners: Vec<Value> = model
        .listeners
        .iter()
        .map(|l| json!({"name": &*l.name, "address": l.address.to_string(), "hostname": l.hostname}))
        .collect();
    let clusters: Vec<Value> = model
        .clusters
        .iter()
        .map(|spec| json!({"name": &*spec.name, "endpoints": endpoints(&spec.endpoints)}))
        .collect();
    let counted = |name: &str, rules: usize| json!({"name": name, "rules": rules});
    let routes = model
        .written
        .iter()
        .map(|route| counted(&route.name, route.rules));
    let limits = model.rate_limits.iter();
    let limits = limits.map(|spec| counted(&spec.name, spec.plan.rules.len()));
    json!({
        "ok": true,
        "listeners": listeners,
        "routes": routes.collect::<Vec<_>>(),
        "clusters": clusters,
        "rateLimits": limits.collect::<Vec<_>>(),
        "warnings": model.warnings,
    })
}

fn wrong(mistakes: &Mistakes) -> Value {
    json!({"ok": false, "errors": mistakes.errors(), "mistakes": mistakes.to_json()})
}
