//! One gateway for all rows: a hostname, a route, a backend and a policy for each.

use std::any::Any;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use policy::outcome::Told;

use crate::harness::tls::Authority;
use crate::harness::{Gateway, Message, Peer, Upstream, eventually, free_port, yaml};

/// How a cause comes about.
pub(super) enum Made {
    By(Row),
    /// Not by anything that a test can do; why.
    Never(&'static str),
}

/// What makes a cause happen, and what is told of it then.
pub(super) struct Row {
    /// Whether its listener is the one with the tight limits.
    pub(super) tight: bool,
    /// Whether its listener speaks TLS.
    pub(super) secure: bool,
    /// Whether its endpoint is spoken to by TLS, with the stage's authority believed.
    pub(super) upstream_tls: bool,
    /// Lines of the BackendTrafficPolicy's spec, and of the rule.
    pub(super) policy: &'static str,
    pub(super) rule: &'static str,
    pub(super) endpoint: fn() -> Endpoint,
    /// A gateway of its own, with these arguments and so many descriptors.
    pub(super) alone: Option<(&'static [&'static str], Option<u32>)>,
    /// What the client does; the answer to the request that matters. Requests that only set the scene
    /// have `/setup` in their path.
    pub(super) act: fn(&Scene<'_>) -> Option<Message>,
    /// The sentence, in which `{at}` is the endpoint, `{n}` a number and `{t}` a span of time.
    pub(super) sentence: &'static str,
    /// What differs from the cause's row.
    pub(super) flags: Option<&'static str>,
    pub(super) details: Option<&'static str>,
    pub(super) body: Option<&'static str>,
    /// What the client gets, where that is not what the cause's row says.
    pub(super) told: Option<Told>,
    /// The endpoint's status, where the client has that.
    pub(super) status: u16,
    /// `evenkeel_closed_by`.
    pub(super) closed_by: &'static str,
}

impl Row {
    /// Of a client before an endpoint that answers well.
    pub(super) fn new(act: fn(&Scene<'_>) -> Option<Message>, sentence: &'static str) -> Self {
        Self {
            tight: false,
            secure: false,
            upstream_tls: false,
            policy: "",
            rule: "",
            endpoint: || Endpoint::of(Upstream::saying("ok")),
            alone: None,
            act,
            sentence,
            flags: None,
            details: None,
            body: None,
            told: None,
            status: 200,
            closed_by: "",
        }
    }
}

/// An endpoint as the configuration has it, and what keeps it alive.
pub(super) struct Endpoint {
    yaml: String,
    name: String,
    _held: Box<dyn Any + Send + Sync>,
}

impl Endpoint {
    pub(super) fn of(upstream: Upstream) -> Self {
        Self::at(upstream.address, upstream)
    }

    pub(super) fn at(address: SocketAddr, held: impl Any + Send + Sync) -> Self {
        Self {
            yaml: format!("{{ip: {{address: {}, port: {}}}}}", address.ip(), address.port()),
            name: address.to_string(),
            _held: Box::new(held),
        }
    }

    /// Runs `script` for each connection.
    pub(super) fn scripted(script: fn(usize, Peer)) -> Self {
        Self::of(Upstream::scripted(script))
    }

    /// As `yaml` says, shown as `name`.
    pub(super) fn written(yaml: String, name: String) -> Self {
        Self {
            yaml,
            name,
            _held: Box::new(()),
        }
    }
}

/// What a row's client has to do with.
pub(super) struct Scene<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) listener: SocketAddr,
    pub(super) host: String,
}

impl Scene<'_> {
    pub(super) fn client(&self) -> Peer {
        Peer::connect(self.listener)
    }

    /// A client that has sent a GET of `path`.
    pub(super) fn asks(&self, path: &str) -> Peer {
        self.sends("GET", path, "")
    }

    /// A client that has sent a head, with more fields, and what follows them.
    pub(super) fn sends(&self, method: &str, path: &str, more: &str) -> Peer {
        let mut client = self.client();
        let end = if more.contains("\r\n\r\n") { "" } else { "\r\n" };
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{more}{end}",
            self.host
        ));
        client
    }

    pub(super) fn get(&self, path: &str) -> Option<Message> {
        Some(self.asks(path).response())
    }
}

/// What was seen of a row.
pub(super) struct Seen {
    pub(super) answer: Option<Message>,
    /// The endpoint's name.
    pub(super) at: String,
    line: String,
}

impl Seen {
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.line).unwrap_or_else(|why| panic!("{why}: {}", self.line))
    }

    /// Status, flags and sentence of a text line, whose first fields never move.
    pub(super) fn text(&self) -> [String; 3] {
        let quoted: Vec<&str> = self.line.split('"').collect();
        let mut words = quoted[2].split_whitespace().map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        // The request, five quoted fields, and the sentence.
        let sentence = quoted.get(13).copied().unwrap_or_default().to_owned();
        [next(), next(), sentence]
    }
}

/// The gateways of a table's rows.
pub(super) struct Stage {
    shared: Gateway,
    ports: [u16; 4],
    endpoints: Vec<Endpoint>,
    format: &'static str,
}

const TIGHT: &str = "  timeout: {http: {requestHeadersReceivedTimeout: 300ms, streamIdleTimeout: 300ms}}\n  \
                     headers: {maxBytes: 2Ki, maxFields: 5, maxRequestLineBytes: 256}\n";

impl Stage {
    pub(super) fn of<C>(rows: &[(C, Row)], format: &'static str) -> Self {
        let endpoints: Vec<Endpoint> = rows.iter().map(|(_, row)| (row.endpoint)()).collect();
        let ports = [(); 4].map(|()| free_port());
        let mut text = head(ports);
        for (place, (_, row)) in rows.iter().enumerate() {
            text += &scene(place, row, &endpoints[place]);
        }
        Self {
            shared: Gateway::configured_with(&text, &["--access-log", format]),
            ports,
            endpoints,
            format,
        }
    }

    /// Makes a row happen and gives the line of the request that matters.
    pub(super) fn play(&self, place: usize, row: &Row) -> Seen {
        let own;
        let (gateway, ports) = match row.alone {
            None => (&self.shared, self.ports),
            Some((arguments, descriptors)) => {
                let arguments = [&["--access-log", self.format], arguments].concat();
                let ports = [(); 4].map(|()| free_port());
                let endpoint = &self.endpoints[place];
                own = match descriptors {
                    None => {
                        Gateway::configured_with(&(head(ports) + &scene(place, row, endpoint)), &arguments)
                    }
                    // Without a file, whose looks at it take descriptors.
                    Some(count) => Gateway::with_descriptors(&endpoint.name, &arguments, count),
                };
                (&own, ports)
            }
        };
        let listener = match row.alone {
            Some((_, Some(_))) => gateway.address,
            _ => SocketAddr::from((
                Ipv4Addr::LOCALHOST,
                ports[usize::from(row.tight) + 2 * usize::from(row.secure)],
            )),
        };
        let before = gateway.log_lines(0).len();
        let answer = (row.act)(&Scene {
            gateway,
            listener,
            host: host(place),
        });
        let line = eventually("its line in the access log", || {
            let lines = gateway.log_lines(0);
            let host = format!("\"{}\"", host(place));
            let others = |line: &str| line.contains("\"row-") && !line.contains(&host);
            let mut new = lines[before..]
                .iter()
                .filter(|line| !line.contains("/setup") && !others(line));
            let line = new.next().cloned();
            assert_eq!(new.next(), None, "one request, one line");
            line
        });
        Seen {
            answer,
            at: self.endpoints[place].name.clone(),
            line,
        }
    }
}

fn host(place: usize) -> String {
    format!("row-{place}.test")
}

/// The Gateway and its client policy.
fn head([usual, tight, secure, secure_tight]: [u16; 4]) -> String {
    let tls = "protocol: HTTPS, tls: {certificateRefs: [{name: rows}]}";
    let listeners = format!(
        "  - {{name: usual, protocol: HTTP, port: {usual}}}\n  - {{name: tight, protocol: HTTP, port: {tight}}}\n  \
         - {{name: secure, port: {secure}, {tls}}}\n  - {{name: secure-tight, port: {secure_tight}, {tls}}}\n"
    );
    let authority = Authority::new();
    let certificate = authority.issue(&["rows.test"]).secret("rows") + &authority.config_map("rows");
    format!(
        "{}{certificate}apiVersion: evenkeel.dev/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: tight}}\nspec:\n  \
         targetRefs: [{{kind: Gateway, name: edge, sectionName: tight}}, {{kind: Gateway, name: edge, sectionName: \
         secure-tight}}]\n{TIGHT}---\n",
        yaml::gateway_with(&listeners)
    )
}

/// A row's route, backend and policy.
fn scene(place: usize, row: &Row, endpoint: &Endpoint) -> String {
    let name = format!("row-{place}");
    let rules = match row.rule {
        "nowhere" => "  - {}\n".to_owned(),
        rule => format!("{}{rule}", yaml::to(&name)),
    };
    let mut text = yaml::route_for(&name, &format!("[{}]", host(place)), &rules);
    let _ = write!(
        text,
        "apiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{name: {name}}}\nspec:\n  endpoints: [{}]\n---\n",
        endpoint.yaml
    );
    if row.upstream_tls {
        let _ = write!(
            text,
            "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             targetRefs: [{}]\n  validation:\n    hostname: rows.test\n    caCertificateRefs: [{{group: \"\", kind: \
             ConfigMap, name: rows}}]\n---\n",
            yaml::reference(&name)
        );
    }
    if row.policy.starts_with("  rateLimit") {
        let target = format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}");
        text += &yaml::policy(&name, row.policy).replace(&yaml::reference(&name), &target);
    } else if !row.policy.is_empty() {
        text += &yaml::policy(&name, row.policy);
    }
    text
}

/// Whether `found` is as `wanted` says, where `{at}` is `at`, `{n}` a number, and `{t}` a span of time.
pub(super) fn fits(wanted: &str, found: &str, at: &str) -> bool {
    let places = ["{at}", "{n}", "{t}"];
    let first = places
        .iter()
        .filter_map(|&place| Some((wanted.find(place)?, place)))
        .min();
    let Some((start, place)) = first else {
        return wanted == found;
    };
    let (before, rest) = (&wanted[..start], &wanted[start + place.len()..]);
    let Some(found) = found.strip_prefix(before) else {
        return false;
    };
    let length = match place {
        "{at}" if found.starts_with(at) => at.len(),
        "{at}" => 0,
        "{n}" => digits(found),
        _ if found.starts_with(AT_ONCE) => AT_ONCE.len(),
        _ => {
            let number = digits(found);
            let unit = [" ms", " s"]
                .into_iter()
                .find(|&unit| found[number..].starts_with(unit));
            unit.map_or(0, |unit| number + unit.len())
        }
    };
    length > 0 && fits(rest, &found[length..], at)
}

/// How a span is written that nobody felt.
const AT_ONCE: &str = "less than 1 ms";

/// How many bytes of a number a text begins with.
fn digits(text: &str) -> usize {
    let number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    text.bytes().take_while(number).count()
}

/// An address that nobody listens at.
pub(super) fn nobody() -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, free_port()).into()
}
