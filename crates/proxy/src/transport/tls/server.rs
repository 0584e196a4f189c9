//! What a listening address presents to its clients: certificates by name, versions, tickets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use config::model::{Certificate, Listener, TlsVersions};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

thread_local! {
    /// The name that the client whose hello was just read asked for: rustls keeps it to itself.
    static ASKED: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Takes the name that the last client asked for.
pub(super) fn take_asked_name() -> Option<Box<str>> {
    ASKED.take()
}

/// The keys that tickets are sealed by, of each address: kept over reloads, so that clients resume what
/// they had. One address knows nothing of another's tickets, since its rules may be stricter.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    by_address: BTreeMap<SocketAddr, Arc<dyn ProducesTickets>>,
}

/// What each address with TLS presents.
pub(crate) type ServerSides = BTreeMap<SocketAddr, Arc<ServerSide>>;

/// What an address presents.
#[derive(Debug)]
pub(crate) struct ServerSide {
    config: Arc<ServerConfig>,
}

impl ServerSide {
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// The TLS side of each address that has one.
    ///
    /// # Errors
    /// A key cannot be used, or there is no randomness: which listener, and why.
    pub(crate) fn of_all(listeners: &[Listener], tickets: &mut Tickets) -> Result<ServerSides, String> {
        let mut by_address: BTreeMap<SocketAddr, Vec<&Listener>> = BTreeMap::new();
        for listener in listeners.iter().filter(|listener| listener.tls.is_some()) {
            by_address.entry(listener.address).or_default().push(listener);
        }
        tickets
            .by_address
            .retain(|address, _| by_address.contains_key(address));
        let side = |(address, listeners): (SocketAddr, Vec<&Listener>)| {
            let name = listeners.first().map_or("", |listener| &*listener.name);
            let side = Self::of(address, &listeners, tickets);
            side.map(|side| (address, Arc::new(side)))
                .map_err(|why| format!("listener {name}: {why}"))
        };
        by_address.into_iter().map(side).collect()
    }

    /// That of the listeners of one address.
    fn of(address: SocketAddr, listeners: &[&Listener], tickets: &mut Tickets) -> Result<Self, String> {
        let tickets = match tickets.by_address.get(&address) {
            Some(known) => known.clone(),
            None => {
                let new = aws_lc_rs::Ticketer::new().map_err(|why| why.to_string())?;
                tickets.by_address.insert(address, new.clone());
                new
            }
        };
        let by_name = ByName::of(listeners)?;
        let versions = listeners.first().map(|listener| listener.downstream.tls_versions);
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(spoken(versions.unwrap_or_default()))
            .map_err(|why| why.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(by_name));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.ticketer = tickets;
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Ok(Self {
            config: Arc::new(config),
        })
    }
}

fn spoken(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    match versions {
        TlsVersions::Both => &BOTH,
        TlsVersions::Only13 => &BOTH[..1],
        TlsVersions::Only12 => &BOTH[1..],
    }
}

/// The certificates of an address, found by the name that a client asks for.
#[derive(Debug)]
struct ByName {
    /// The most specific hostname first, so the first that fits is the listener's that gets the request.
    listeners: Vec<Presented>,
}

/// The certificates of one listener.
#[derive(Debug)]
struct Presented {
    hostname: Option<String>,
    certificates: Vec<(Arc<Certificate>, Arc<CertifiedKey>)>,
}

impl ByName {
    fn of(listeners: &[&Listener]) -> Result<Self, String> {
        let mut presented = Vec::with_capacity(listeners.len());
        for listener in listeners {
            let certificates = listener.tls.iter().flat_map(|tls| &tls.certificates);
            let certified = |certificate: &Arc<Certificate>| {
                let key = aws_lc_rs::sign::any_supported_type(&certificate.key)
                    .map_err(|why| format!("the key of {}: {why}", certificate.name))?;
                let certified = CertifiedKey::new(certificate.chain.clone(), key);
                Ok::<_, String>((certificate.clone(), Arc::new(certified)))
            };
            presented.push(Presented {
                hostname: listener.hostname.clone(),
                certificates: certificates.map(certified).collect::<Result<_, _>>()?,
            });
        }
        presented.sort_by_key(|one| std::cmp::Reverse(one.precedence()));
        Ok(Self { listeners: presented })
    }

    /// The key for a name, of those whose signatures the client accepts.
    fn find(&self, name: Option<&str>, accepts: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let listener = self.listeners.iter().find(|one| one.takes(name))?;
        let certificates = &listener.certificates;
        let fits = |certificate: &Certificate| name.is_some_and(|name| certificate.covers(name));
        let found = certificates
            .iter()
            .find(|(certificate, key)| fits(certificate) && accepts(key))
            .or_else(|| certificates.iter().find(|(_, key)| accepts(key)))
            .or_else(|| certificates.first());
        found.map(|(_, key)| key.clone())
    }
}

impl Presented {
    /// Exact names before wildcards, longer wildcards before shorter ones, then every host.
    fn precedence(&self) -> (u8, usize) {
        match &self.hostname {
            None => (0, 0),
            Some(name) if name.starts_with("*.") => (1, name.len()),
            Some(name) => (2, name.len()),
        }
    }

    /// Whether a client that asks for this name comes to this listener.
    fn takes(&self, name: Option<&str>) -> bool {
        match (&self.hostname, name) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(hostname), Some(name)) => match hostname.strip_prefix('*') {
                // As the Gateway API has it, `*.example.com` takes `a.b.example.com`, too.
                Some(suffix) => {
                    name.len() > suffix.len()
                        && name.as_bytes()[name.len() - suffix.len()..]
                            .eq_ignore_ascii_case(suffix.as_bytes())
                }
                None => name.eq_ignore_ascii_case(hostname),
            },
        }
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name();
        ASKED.set(name.map(Box::from));
        self.find(name, |key| {
            key.key.choose_scheme(hello.signature_schemes()).is_some()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presented(hostnames: &[Option<&str>]) -> ByName {
        let one = |hostname: &Option<&str>| Presented {
            hostname: hostname.map(str::to_owned),
            certificates: Vec::new(),
        };
        let mut listeners: Vec<Presented> = hostnames.iter().map(one).collect();
        listeners.sort_by_key(|one| std::cmp::Reverse(one.precedence()));
        ByName { listeners }
    }

    #[test]
    fn the_most_specific_listener_presents_its_certificates() {
        let all = presented(&[
            None,
            Some("*.example.com"),
            Some("a.example.com"),
            Some("*.b.example.com"),
        ]);
        let taken = |name| {
            let listener = all.listeners.iter().find(|one| one.takes(name));
            listener.map(|one| one.hostname.as_deref())
        };
        assert_eq!(taken(Some("A.example.com")), Some(Some("a.example.com")));
        assert_eq!(taken(Some("c.b.example.com")), Some(Some("*.b.example.com")));
        assert_eq!(taken(Some("x.y.example.com")), Some(Some("*.example.com")));
        assert_eq!(
            taken(Some("example.com")),
            Some(None),
            "a wildcard is for subdomains"
        );
        assert_eq!(taken(None), Some(None));
    }

    #[test]
    fn nobody_presents_anything_where_no_listener_takes_the_name() {
        let all = presented(&[Some("a.example.com")]);
        assert!(!all.listeners.iter().any(|one| one.takes(Some("b.example.com"))));
        assert!(!all.listeners.iter().any(|one| one.takes(None)));
    }
}
