//! The shortest configuration: everything that comes in at one address goes to one place.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::mistake::{Code, Mistake, Mistakes, Report};
use crate::model::Model;
use crate::node::{Spot, quoted};
use crate::shape::Format;
use crate::{ReadOptions, Source, read};

/// One listener, one route that takes every request, one endpoint: `evenkeel run --to`. `to` is
/// `http://HOST[:PORT]` (port 80 by default), `HOST:PORT`, or `:PORT` of this machine.
///
/// # Errors
/// `to` has another form, or asks for TLS, a path or the like.
pub fn single(to: &str, listen: SocketAddr) -> Result<Model, Mistakes> {
    let source = Source {
        name: "--to".to_owned(),
        text: to.to_owned(),
    };
    let mut report = Report::new(Arc::from([source]));
    let Some(endpoint) = endpoint(to, &mut report) else {
        return Err(report.finish());
    };
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: gateway}}
spec:
  addresses: [{{value: '{}'}}]
  listeners: [{{name: http, port: {}, protocol: HTTP}}]
---
apiVersion: evenkeel.dev/v1alpha1
kind: Backend
metadata: {{name: backend}}
spec:
  endpoints: [{endpoint}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: route}}
spec:
  rules: [{{backendRefs: [{{name: backend}}]}}]
",
        listen.ip(),
        // A listener of a file has a port; 0 asks for a free one and is put in below.
        listen.port().max(1),
    );
    let mut model = read(
        &[Source {
            name: "--to".to_owned(),
            text,
        }],
        &ReadOptions::default(),
    )?;
    for listener in &mut model.listeners {
        listener.address = listen;
    }
    Ok(model)
}

/// The endpoint in YAML's flow style; `None` (and a mistake) if `to` does not name one.
fn endpoint(to: &str, report: &mut Report) -> Option<String> {
    let at = |start: usize, end: usize| Spot {
        source: 0,
        start: start as u32,
        end: end as u32,
    };
    let (scheme, rest) = to
        .split_once("://")
        .map_or((None, to), |(scheme, rest)| (Some(scheme), rest));
    match scheme.map(str::to_ascii_lowercase).as_deref() {
        None | Some("http") => {}
        Some("https") => {
            let help = "TLS to backends comes in a later release; use `http://`";
            report
                .error(Code::Later, at(0, 5), "`https` is not supported yet")
                .help(help);
            return None;
        }
        Some(other) => {
            let message = format!("{} is not a scheme that backends speak here", quoted(other));
            report
                .error(Code::NotAllowed, at(0, other.len()), message)
                .help("use `http://HOST:PORT`");
            return None;
        }
    }
    let base = to.len() - rest.len();
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(authority_end);
    if !matches!(behind, "" | "/") {
        report
            .error(Code::NotAllowed, at(base + authority_end, to.len()), "only a host and a port can be given here")
            .help("requests keep their own paths; to change them, write an HTTPRoute with a filter of type `URLRewrite`");
        return None;
    }
    let whole = at(base, base + authority_end);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port.map(str::parse::<u16>) {
        Some(Ok(port)) if port > 0 => port,
        None if scheme.is_some() => 80,
        _ => return wrong(authority, whole, report),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match (bare, host) {
        (Some(v6), _) => Some(IpAddr::V6(
            v6.parse().ok().or_else(|| wrong(authority, whole, report))?,
        )),
        (None, "") if scheme.is_none() => Some(Ipv4Addr::LOCALHOST.into()),
        (None, host) => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    match address {
        Some(address) => Some(format!("{{ip: {{address: '{address}', port: {port}}}}}")),
        None if Format::DnsName.check(host).is_ok() => {
            Some(format!("{{fqdn: {{hostname: '{host}', port: {port}}}}}"))
        }
        None => wrong(authority, whole, report),
    }
}

fn wrong<T>(authority: &str, spot: Spot, report: &mut Report) -> Option<T> {
    let _: &mut Mistake = report
        .error(
            Code::BadAddress,
            spot,
            format!("{} does not say where the backend listens", quoted(authority)),
        )
        .help("write `http://HOST:PORT`, `HOST:PORT`, or `:PORT` for this machine");
    None
}
