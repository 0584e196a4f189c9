//! Client settings hold for the listeners that their policy names, and for no others.

use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::{End, Gateway, Message, Peer, Upstream, eventually, free_port, yaml};

/// Two Gateways, `public` and `internal`, before one upstream, with these ClientTrafficPolicies.
struct Two {
    gateway: Gateway,
    upstream: Upstream,
    public: SocketAddr,
    internal: SocketAddr,
}

impl Two {
    #[track_caller]
    fn with(policies: &str) -> Self {
        let (upstream, ports) = (Upstream::saying("ok"), [free_port(), free_port()]);
        let gateway =
            |name: &str, port: u16| yaml::gateway(port).replace("name: edge", &format!("name: {name}"));
        let yaml = format!(
            "{}{}{}{}{policies}",
            gateway("public", ports[0]),
            gateway("internal", ports[1]),
            yaml::route("all", &yaml::to("app"))
                .replace("[{name: edge}]", "[{name: public}, {name: internal}]"),
            yaml::backend("app", &[upstream.address]),
        );
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self {
            gateway: Gateway::configured(&yaml),
            upstream,
            public: at(ports[0]),
            internal: at(ports[1]),
        }
    }

    /// What the upstream saw of a request that a client sent to this address.
    #[track_caller]
    fn seen(&self, at: SocketAddr, fields: &str) -> Message {
        let mut client = Peer::connect(at);
        client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n"));
        assert_eq!(client.response().status(), 200);
        self.upstream.requests().pop().expect("a request")
    }
}

fn policy(target: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: ClientTrafficPolicy\nmetadata: {{name: of-{target}}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {target}}}]\n{spec}---\n"
    )
}

#[test]
fn a_proxy_trusted_by_one_gateway_is_a_stranger_to_the_other() {
    let hops = "  clientIPDetection: {xForwardedFor: {numTrustedHops: 1}}\n";
    let two = Two::with(&policy("internal", hops));
    let said = "X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.test\r\n";
    let trusted = two.seen(two.internal, said);
    assert_eq!(trusted.field("x-forwarded-proto"), Some("https"));
    assert_eq!(trusted.field("x-forwarded-host"), Some("shop.test"));
    let stranger = two.seen(two.public, said);
    assert_eq!(stranger.field("x-forwarded-proto"), Some("http"));
    assert_eq!(stranger.field("x-forwarded-host"), Some("a.test"));
}

#[test]
fn limits_and_time_limits_are_those_of_the_listener() {
    let strict = "  timeout: {http: {idleTimeout: 200ms}}\n  headers: {maxFields: 3}\n";
    let two = Two::with(&policy("public", strict));
    let many = "A: 1\r\nB: 2\r\nC: 3\r\n";
    assert_eq!(two.seen(two.internal, many).field("c"), Some("3"));
    let mut client = Peer::connect(two.public);
    client.send(format!("GET / HTTP/1.1\r\nHost: a.test\r\n{many}\r\n"));
    assert_eq!(client.response().status(), 431);
    let (mut strict, mut plain) = (Peer::connect(two.public), Peer::connect(two.internal));
    assert_eq!(
        strict.end_within(Duration::from_secs(5)),
        End::Fin,
        "idle for 200 ms"
    );
    assert!(
        plain.is_quiet_for(Duration::from_millis(100)),
        "an hour is the default"
    );
}

#[test]
fn connections_are_counted_by_address() {
    let two = Two::with(&policy("public", "  connection: {connectionLimit: {value: 1}}\n"));
    let get = "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let mut others: Vec<Peer> = (0..3).map(|_| Peer::connect(two.internal)).collect();
    for other in &mut others {
        other.send(get);
        assert_eq!(other.response().status(), 200);
    }
    let mut first = Peer::connect(two.public);
    first.send(get);
    assert_eq!(
        first.response().status(),
        200,
        "the connections of `internal` do not count"
    );
    let mut second = Peer::connect(two.public);
    let refused = !second.try_send(get)
        || second
            .try_response_to("GET")
            .is_none_or(|told| told.status() == 503);
    assert!(refused, "one is the limit");
    drop(first);
    eventually("a place on `public`", || {
        let mut next = Peer::connect(two.public);
        let sent = next.try_send(get);
        let told = next.try_response_to("GET").filter(|_| sent)?;
        (told.status() == 200).then_some(())
    });
    drop(two.gateway);
}
