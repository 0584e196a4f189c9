//! `evenkeel check`: every mistake at once, or what the configuration comes to.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use config::Mistakes;
use config::model::{EndpointSpec, Model, RateLimitSpec, WrittenRoute};
use serde_json::{Value, json};

use crate::cli::{CheckArgs, Format};
use crate::complaint::Complaint;
use crate::files::NoModel;

/// More lines of one group than this are counted, not listed: nobody reads them.
const LISTED_MAX: usize = 20;

/// Checks the configuration; exit code 1 if it has mistakes, or warnings where they are denied.
pub(crate) fn check(args: &CheckArgs) -> Result<ExitCode, Complaint> {
    let model = match args.files().model() {
        Err(NoModel::Unreadable(complaint)) => return Err(complaint),
        Err(NoModel::Wrong(mistakes)) => Err(mistakes),
        Ok(model) => Ok(model),
    };
    let denied = |model: &Model| args.deny_warnings && !model.warnings.is_empty();
    let good = model.as_ref().is_ok_and(|model| !denied(model));
    match (args.format, model) {
        (Format::Text, Ok(model)) => {
            print!(
                "{}",
                describe(&model, if args.all { usize::MAX } else { LISTED_MAX })
            );
            if !model.warnings.is_empty() {
                eprint!(
                    "\n{}",
                    model.warnings.render_list(std::io::stderr().is_terminal())
                );
            }
            println!("{}", summary(&model.warnings, denied(&model)));
        }
        (Format::Text, Err(mistakes)) => {
            eprintln!("{}", mistakes.render(std::io::stderr().is_terminal()).trim_end());
            if let Some(mistake) = mistakes.list().first() {
                eprintln!(
                    "`evenkeel explain {}` says more of the first",
                    mistake.code.number()
                );
            }
        }
        (Format::Json, Ok(model)) => println!("{:#}", found(&model, good)),
        (Format::Json, Err(mistakes)) => println!("{:#}", wrong(&mistakes)),
    }
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The last line: how it ended.
fn summary(warnings: &Mistakes, denied: bool) -> String {
    let count = warnings.list().len();
    let plural = if count == 1 { "" } else { "s" };
    match count {
        0 => "no mistakes".to_owned(),
        _ if denied => format!("no mistakes, but {count} warning{plural}, and --deny-warnings was given"),
        _ => format!("no mistakes, {count} warning{plural}"),
    }
}

/// What the configuration comes to, at most so many lines of each group.
fn describe(model: &Model, most: usize) -> String {
    let mut text = String::new();
    let mut group = |title: &str, count: usize, lines: &mut dyn Iterator<Item = String>| {
        text.push_str(&format!("{title} ({count})\n"));
        lines
            .take(most)
            .for_each(|line| text.push_str(&format!("  ✓ {line}\n")));
        if count > most {
            text.push_str(&format!("    and {} more; --all lists them\n", count - most));
        }
    };
    let (listeners, routes) = (&model.listeners, &model.written);
    group("listeners", listeners.len(), &mut listeners.iter().map(listener));
    let rules = |count: usize| format!("{count} {}", if count == 1 { "rule" } else { "rules" });
    let route = |route: &WrittenRoute| format!("{}  {}", route.name, rules(route.rules));
    group("routes", routes.len(), &mut routes.iter().map(route));
    let cluster =
        |spec: &config::model::ClusterSpec| format!("{}  {}", spec.name, shown(&spec.endpoints).join(", "));
    group(
        "clusters",
        model.clusters.len(),
        &mut model.clusters.iter().map(cluster),
    );
    if !model.rate_limits.is_empty() {
        let limit = |spec: &RateLimitSpec| format!("{}  {}", spec.name, rules(spec.plan.rules.len()));
        group(
            "rate limits",
            model.rate_limits.len(),
            &mut model.rate_limits.iter().map(limit),
        );
    }
    text
}

fn listener(listener: &config::model::Listener) -> String {
    let hosts = listener.hostname.as_deref().unwrap_or("every host");
    let scheme = scheme(listener.tls.is_some());
    let mut line = format!("{}  {scheme}://{}  {hosts}", listener.name, listener.address);
    for certificate in listener.tls.iter().flat_map(|tls| &tls.certificates) {
        line += &format!(
            "\n      {} for {}, until {}",
            certificate.name,
            certificate.hostnames.join(", "),
            config::date(certificate.not_after)
        );
    }
    line
}

/// What clients write before a listener's address.
pub(crate) fn scheme(is_secure: bool) -> &'static str {
    if is_secure { "https" } else { "http" }
}

/// Endpoints in a line: the first of them, where there are many.
fn shown(specs: &[EndpointSpec]) -> Vec<String> {
    /// More would bury the rest of the line.
    const SHOWN: usize = 4;
    if specs.is_empty() {
        return vec!["no endpoint is ready".to_owned()];
    }
    let mut shown = endpoints(&specs[..specs.len().min(SHOWN)]);
    if specs.len() > SHOWN {
        shown.push(format!("and {} more", specs.len() - SHOWN));
    }
    shown
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

fn certificates(listener: &config::model::Listener) -> Vec<Value> {
    let certificates = listener.tls.iter().flat_map(|tls| &tls.certificates);
    let told = certificates
        .map(|one| json!({"name": &*one.name, "hostnames": one.hostnames, "notAfter": one.not_after}));
    told.collect()
}

fn found(model: &Model, good: bool) -> Value {
    let listeners: Vec<Value> = model
        .listeners
        .iter()
        .map(|l| json!({"name": &*l.name, "address": l.address.to_string(), "hostname": l.hostname, "certificates": certificates(l)}))
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
        "ok": good,
        "errors": 0,
        "listeners": listeners,
        "routes": routes.collect::<Vec<_>>(),
        "clusters": clusters,
        "rateLimits": limits.collect::<Vec<_>>(),
        "mistakes": model.warnings.to_json(),
    })
}

fn wrong(mistakes: &Mistakes) -> Value {
    json!({"ok": false, "errors": mistakes.errors(), "mistakes": mistakes.to_json()})
}
