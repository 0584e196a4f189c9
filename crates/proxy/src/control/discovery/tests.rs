use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use tokio::net::{TcpListener, UdpSocket};

use super::*;

/// A name server that says of every name what it is told to.
#[derive(Default)]
struct Zone {
    addresses: Mutex<Vec<IpAddr>>,
    /// In seconds.
    ttl: AtomicU32,
    fails: AtomicBool,
    delay: Duration,
}

impl Zone {
    fn of(addresses: &[IpAddr], ttl: u32) -> Arc<Self> {
        Arc::new(Self {
            addresses: Mutex::new(addresses.to_vec()),
            ttl: ttl.into(),
            ..Self::default()
        })
    }

    /// A discovery that asks this zone.
    async fn serve(self: &Arc<Self>) -> Discovery {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let mut udp = ConnectionConfig::udp();
        udp.port = socket.local_addr().unwrap().port();
        let zone = self.clone();
        tokio::spawn(async move {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query).await {
                let (zone, socket, query) = (zone.clone(), socket.clone(), query[..length].to_vec());
                tokio::spawn(async move {
                    tokio::time::sleep(zone.delay).await;
                    socket.send_to(&zone.answer(&query), from).await
                });
            }
        });
        let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
        server.connections = vec![udp];
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Discovery::by(Some(builder.build().unwrap()))
    }

    /// RFC 1035, 4.1: the header, the question again, and an answer for each address of its type.
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let name = query[12..].iter().position(|&length| length == 0).unwrap();
        let question = &query[12..12 + name + 5];
        let asked = question[name + 2];
        let records: Vec<Vec<u8>> = self
            .addresses
            .lock()
            .unwrap()
            .iter()
            .filter_map(|address| match (address, asked) {
                (IpAddr::V4(address), 1) => Some(address.octets().to_vec()),
                (IpAddr::V6(address), 28) => Some(address.octets().to_vec()),
                _ => None,
            })
            .collect();
        let (code, count) = if self.fails.load(Relaxed) {
            (2, 0)
        } else {
            (0, records.len() as u8)
        };
        let header = [query[0], query[1], 0x81, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0];
        let mut answer = [&header, question].concat();
        for record in records.iter().take(usize::from(count)) {
            answer.extend([0xc0, 12, 0, asked, 0, 1]);
            answer.extend(self.ttl.load(Relaxed).to_be_bytes());
            answer.extend([0, record.len() as u8]);
            answer.extend(record);
        }
        answer
    }
}

fn clusters(endpoints: &[(&str, u16)]) -> Vec<ClusterSpec> {
    let named = |&(name, port): &(&str, u16)| EndpointSpec::Fqdn {
        hostname: name.to_owned(),
        port,
    };
    vec![ClusterSpec {
        name: "web".into(),
        endpoints: endpoints.iter().map(named).collect(),
        plan: Arc::default(),
        tls: None,
    }]
}

fn found(discovery: &Discovery, clusters: &[ClusterSpec]) -> Vec<String> {
    let endpoints = discovery.endpoints(clusters).remove(0);
    let shown = endpoints
        .addresses
        .iter()
        .map(|(address, _)| crate::telemetry::stats::shown(address));
    shown.collect()
}

const fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

/// A TTL of zero, so that the resolver keeps nothing; the least that we do is a second.
const NONE: u32 = 0;

#[tokio::test]
async fn all_addresses_of_a_name_are_endpoints_until_its_ttl_is_over() {
    let zone = Zone::of(&[ip(2), ip(1), ip(3)], 60);
    let (mut discovery, clusters) = (zone.serve().await, clusters(&[("web.test", 80)]));
    let now = Instant::now();
    assert!(discovery.refresh(&clusters, now).await);
    let all = ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"];
    assert_eq!(found(&discovery, &clusters), all);
    let again = discovery.next().unwrap() - now;
    assert!(
        again > Duration::from_secs(55) && again <= Duration::from_secs(62),
        "{again:?}"
    );
    zone.fails.store(true, Relaxed);
    assert!(!discovery.refresh(&clusters, now + Duration::from_secs(50)).await);
    assert_eq!(discovery.next().unwrap() - now, again, "nobody was asked");
}

#[tokio::test]
async fn addresses_that_come_and_go_are_taken_over() {
    let zone = Zone::of(&[ip(1), ip(2)], NONE);
    let (mut discovery, clusters) = (zone.serve().await, clusters(&[("web.test", 80)]));
    let now = Instant::now();
    discovery.refresh(&clusters, now).await;
    *zone.addresses.lock().unwrap() = vec![ip(2), ip(3)];
    assert!(!discovery.refresh(&clusters, now).await, "a second at least");
    let later = now + Duration::from_secs(2);
    assert!(discovery.refresh(&clusters, later).await);
    assert_eq!(found(&discovery, &clusters), ["192.0.2.2:80", "192.0.2.3:80"]);
    assert!(
        !discovery.refresh(&clusters, later + Duration::from_secs(2)).await,
        "the same again is no change"
    );
}

#[tokio::test]
async fn addresses_known_before_are_kept_while_a_name_can_not_be_resolved() {
    let zone = Zone::of(&[ip(1)], NONE);
    let (mut discovery, clusters) = (zone.serve().await, clusters(&[("web.test", 80)]));
    let now = Instant::now();
    discovery.refresh(&clusters, now).await;
    zone.fails.store(true, Relaxed);
    let later = now + Duration::from_secs(2);
    assert!(!discovery.refresh(&clusters, later).await);
    assert_eq!(found(&discovery, &clusters), ["192.0.2.1:80"]);
    assert_eq!(discovery.next(), Some(later + RETRY));
}

#[tokio::test]
async fn a_name_without_an_address_is_told_in_words_with_its_cluster_and_once() {
    let zone = Zone::of(&[], NONE);
    let (mut discovery, clusters) = (zone.serve().await, clusters(&[("web.test", 80)]));
    let now = Instant::now();
    let later = |turn: u64| now + RETRY * u32::try_from(turn).unwrap() + Duration::from_secs(1);
    assert!(discovery.refresh(&clusters, now).await, "the reason changed");
    let reason = |discovery: &Discovery| discovery.endpoints(&clusters).remove(0).unresolved;
    let nodata = "evenkeel has no address for the name web.test of this backend: the name exists, but has no A or AAAA \
                  record (NODATA).";
    assert_eq!(reason(&discovery).as_deref(), Some(nodata));
    assert!(
        !discovery.refresh(&clusters, later(1)).await,
        "the same again is no change"
    );
    zone.fails.store(true, Relaxed);
    assert!(
        discovery.refresh(&clusters, later(2)).await,
        "another reason is one"
    );
    let view = discovery.board().of(&clusters[0], later(3)).remove(0);
    let error = view.error.unwrap();
    assert!(
        error.contains("SERVFAIL") && !error.contains("Query {"),
        "{error}"
    );
    assert_eq!((view.attempts, view.failures, view.addresses), (3, 3, 0));
    zone.fails.store(false, Relaxed);
    *zone.addresses.lock().unwrap() = vec![ip(1)];
    assert!(discovery.refresh(&clusters, later(4)).await);
    assert_eq!(reason(&discovery), None);
    assert_eq!(discovery.board().of(&clusters[0], later(4))[0].error, None);
}

#[tokio::test]
async fn names_are_asked_for_all_at_once() {
    let zone = Arc::new(Zone {
        addresses: Mutex::new(vec![ip(1)]),
        ttl: 60.into(),
        delay: Duration::from_millis(200),
        ..Zone::default()
    });
    let mut discovery = zone.serve().await;
    let clusters = clusters(&[
        ("a.test", 80),
        ("b.test", 80),
        ("c.test", 80),
        ("d.test", 80),
        ("e.test", 80),
    ]);
    let now = Instant::now();
    assert!(discovery.refresh(&clusters, now).await);
    assert_eq!(found(&discovery, &clusters).len(), 5);
    assert!(now.elapsed() < Duration::from_millis(800), "{:?}", now.elapsed());
}

#[tokio::test]
async fn a_name_that_is_not_configured_any_more_is_forgotten_and_a_port_that_is_new_is_resolved() {
    let zone = Zone::of(&[ip(1)], 60);
    let mut discovery = zone.serve().await;
    let now = Instant::now();
    discovery.refresh(&clusters(&[("web.test", 80)]), now).await;
    let both = clusters(&[("web.test", 80), ("web.test", 81)]);
    assert!(discovery.refresh(&both, now).await);
    assert_eq!(found(&discovery, &both), ["192.0.2.1:80", "192.0.2.1:81"]);
    discovery.refresh(&[], now).await;
    assert_eq!(discovery.next(), None);
}

#[tokio::test]
async fn of_two_families_the_one_that_takes_no_connection_is_left_out_for_a_while() {
    let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let zone = Zone::of(&both, 3600);
    let mut discovery = zone.serve().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let clusters = clusters(&[("web.test", port)]);
    let now = Instant::now();
    discovery.refresh(&clusters, now).await;
    assert_eq!(found(&discovery, &clusters), [format!("127.0.0.1:{port}")]);
    assert_eq!(discovery.next(), Some(now + FAMILY_AGAIN));
    drop(listener);
    assert_eq!(
        families::reachable(&both, port).await,
        both,
        "the endpoint is down, not a family"
    );
}

#[tokio::test]
async fn two_families_that_take_connections_are_both_used() {
    // A machine without IPv6 has nothing to show here.
    let Ok(new) = TcpListener::bind("[::1]:0").await else {
        return;
    };
    let port = new.local_addr().unwrap().port();
    let Ok(_old) = TcpListener::bind(("127.0.0.1", port)).await else {
        return;
    };
    let both = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    assert_eq!(families::reachable(&both, port).await, both);
}
