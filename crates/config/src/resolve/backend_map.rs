//! `--backends`: where Services are, said beside the files.
//!
//! One entry a line, or several with commas between them: `SERVICE[.NAMESPACE][:PORT]=ENDPOINT[,ENDPOINT…]`.
//! An endpoint is `IP:PORT`, `[IP6]:PORT`, `NAME:PORT`, `:PORT` of this machine, or `unix:PATH`. A `#` begins
//! a comment.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use crate::mistake::{Code, Report};
use crate::model::EndpointSpec;
use crate::node::{Spot, quoted};
use crate::shape::Format;
use crate::{ReadOptions, Source};

/// A Service: namespace, name, and the port, if only that is meant.
type Key = (String, String, Option<u16>);

/// What was said of Services.
#[derive(Debug, Default)]
pub(super) struct BackendMap {
    entries: BTreeMap<Key, Mapped>,
}

#[derive(Debug)]
struct Mapped {
    endpoints: Vec<EndpointSpec>,
    spot: Spot,
    /// Whether a route referred to it.
    used: Cell<bool>,
}

impl BackendMap {
    /// Reads every text; `first` is the place of the first one among the report's sources.
    pub(super) fn read(options: &ReadOptions, first: usize, report: &mut Report) -> Self {
        let mut map = Self::default();
        for (index, source) in options.backends.iter().enumerate() {
            map.text(source, (first + index) as u32, &options.namespace, report);
        }
        map
    }

    /// Where a Service's port is, if that was said.
    pub(super) fn find(&self, namespace: &str, service: &str, port: Option<u16>) -> Option<&[EndpointSpec]> {
        let key = |port| (namespace.to_owned(), service.to_owned(), port);
        let exact = port.and_then(|port| self.entries.get(&key(Some(port))));
        let found = exact.or_else(|| self.entries.get(&key(None)))?;
        found.used.set(true);
        Some(&found.endpoints)
    }

    /// Notes entries that no route referred to: most are slips.
    pub(super) fn check_used(&self, report: &mut Report) {
        for ((namespace, service, port), mapped) in &self.entries {
            if !mapped.used.get() {
                let port = port.map_or_else(String::new, |port| format!(":{port}"));
                report
                    .error(
                        Code::Unused,
                        mapped.spot,
                        format!("no route refers to the Service `{namespace}/{service}{port}`"),
                    )
                    .help("check its name, namespace and port, or remove the entry");
            }
        }
    }

    fn text(&mut self, source: &Source, index: u32, namespace: &str, report: &mut Report) {
        let mut at = 0;
        for line in source.text.split_inclusive('\n') {
            let mut start = at;
            at += line.len();
            let content = line.split('#').next().unwrap_or_default();
            let mut last: Option<Key> = None;
            for part in content.split(',') {
                let trimmed = part.trim();
                let from = start + (part.len() - part.trim_start().len());
                start += part.len() + 1;
                if trimmed.is_empty() {
                    continue;
                }
                let spot = Spot {
                    source: index,
                    start: from as u32,
                    end: (from + trimmed.len()) as u32,
                };
                let endpoint = match trimmed.split_once('=') {
                    Some((name, endpoint)) => {
                        last = self.entry(name.trim(), namespace, spot, report);
                        endpoint.trim()
                    }
                    None => trimmed,
                };
                self.endpoint(last.as_ref(), endpoint, spot, report);
            }
        }
    }

    /// Begins an entry; `None` (and a mistake) if it names no Service.
    fn entry(&mut self, name: &str, namespace: &str, spot: Spot, report: &mut Report) -> Option<Key> {
        let (host, port) = match name.split_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|port| *port > 0))),
            None => (name, None),
        };
        let (service, rest) = host.split_once('.').unwrap_or((host, namespace));
        let namespace = rest.trim_end_matches(".cluster.local").trim_end_matches(".svc");
        let named = [service, namespace]
            .iter()
            .all(|part| Format::Label.check(part).is_ok());
        if !named || port == Some(None) {
            let message = format!("{} names no Service", quoted(name));
            report.error(Code::BadName, spot, message).help(FORM);
            return None;
        }
        let key = (namespace.to_owned(), service.to_owned(), port.flatten());
        if let Some(first) = self.entries.get(&key) {
            report
                .error(
                    Code::DuplicateName,
                    spot,
                    format!("{} is there twice", quoted(name)),
                )
                .also(first.spot, "the first one")
                .help("write all of its endpoints behind one `=`, with commas between them");
            return None;
        }
        let mapped = Mapped {
            endpoints: Vec::new(),
            spot,
            used: Cell::new(false),
        };
        self.entries.insert(key.clone(), mapped);
        Some(key)
    }

    fn endpoint(&mut self, key: Option<&Key>, text: &str, spot: Spot, report: &mut Report) {
        match (endpoint(text), key) {
            (Some(endpoint), Some(key)) => {
                if let Some(mapped) = self.entries.get_mut(key) {
                    mapped.endpoints.push(endpoint);
                }
            }
            // What it belongs to has been refused, unless nothing came before it.
            (Some(_), None) if report.failed() => {}
            _ => {
                let message = format!("{} is no endpoint of a Service", quoted(text));
                report.error(Code::BadAddress, spot, message).help(FORM);
            }
        }
    }
}

const FORM: &str = "write SERVICE.NAMESPACE:PORT=HOST:PORT, as backend.default:3000=127.0.0.1:3000; more endpoints \
                    follow with commas, and HOST may be an address, a name, or nothing for this machine";

fn endpoint(text: &str) -> Option<EndpointSpec> {
    if let Some(path) = text.strip_prefix("unix:") {
        let right = Format::FilePath.check(path).is_ok() && path.len() <= super::backend::UNIX_PATH_BYTES_MAX;
        return right.then(|| EndpointSpec::Unix(path.into()));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() > 0).then_some(EndpointSpec::Ip(address));
    }
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    if host.is_empty() {
        return Some(EndpointSpec::Ip((Ipv4Addr::LOCALHOST, port).into()));
    }
    let hostname = host.to_lowercase();
    let right = Format::DnsName.check(&hostname).is_ok();
    right.then_some(EndpointSpec::Fqdn { hostname, port })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn read(text: &str) -> (BackendMap, Vec<String>) {
        let source = Source {
            name: "--backends".to_owned(),
            text: text.to_owned(),
        };
        let options = ReadOptions {
            backends: vec![source.clone()],
            ..ReadOptions::default()
        };
        let mut report = Report::new(Arc::from([source]));
        let map = BackendMap::read(&options, 0, &mut report);
        let mistakes = report.finish();
        let told = mistakes
            .list()
            .iter()
            .map(|m| format!("{}:{} {}", m.line, m.column, m.message));
        (map, told.collect())
    }

    #[test]
    fn entries_name_services_ports_and_any_number_of_endpoints() {
        let text = "# where things are\nweb.shop:80=10.0.0.1:8080, 10.0.0.2:8080,api=:3000 # both\n\
                    db.data.svc.cluster.local=[::1]:5,db.example.com:6,unix:/run/db.sock\n";
        let (map, told) = read(text);
        assert_eq!(told, Vec::<String>::new());
        let ip = |text: &str| EndpointSpec::Ip(text.parse().expect("an address"));
        let web = [ip("10.0.0.1:8080"), ip("10.0.0.2:8080")];
        assert_eq!(map.find("shop", "web", Some(80)), Some(&web[..]));
        assert_eq!(map.find("shop", "web", Some(81)), None, "only that port was said");
        assert_eq!(
            map.find("default", "api", Some(9)),
            Some(&[ip("127.0.0.1:3000")][..])
        );
        let db = [
            ip("[::1]:5"),
            EndpointSpec::Fqdn {
                hostname: "db.example.com".to_owned(),
                port: 6,
            },
            EndpointSpec::Unix("/run/db.sock".into()),
        ];
        assert_eq!(map.find("data", "db", None), Some(&db[..]));
    }

    #[test]
    fn what_is_no_entry_is_told_with_its_place() {
        let (_, told) = read("web:80=10.0.0.1\n:80=:1\n10.0.0.1:80\nweb:80=:1\na=:0,b=:1\n");
        let expected = [
            "1:1 `10.0.0.1` is no endpoint of a Service",
            "2:1 `:80` names no Service",
            "4:1 `web:80` is there twice",
            "5:1 `:0` is no endpoint of a Service",
        ];
        assert_eq!(told, expected);
        assert_eq!(
            read("10.0.0.1:80").1,
            ["1:1 `10.0.0.1:80` is no endpoint of a Service"]
        );
    }
}
