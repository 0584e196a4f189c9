//! Values that cannot be wrong: what the shell gets after every mistake has been reported.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use policy::plan::{ClusterPlan, RateLimitPlan};
use policy::route::RouteTable;
use rustls_pki_types::CertificateDer;

pub use crate::certificate::Certificate;
pub use crate::dump::Dump;
use crate::mistake::Mistakes;

/// A whole configuration, checked. Indices (`ListenerId`, `ClusterRef`, `RateLimitRef`) point into its lists.
#[derive(Debug)]
pub struct Model {
    /// Listeners of all Gateways. Several may share an address (told apart by hostname).
    pub listeners: Vec<Listener>,
    /// All routes.
    pub routes: RouteTable,
    /// All clusters that a route or mirror refers to.
    pub clusters: Vec<ClusterSpec>,
    /// All rate limits, of which routes name theirs.
    pub rate_limits: Vec<RateLimitSpec>,
    /// The HTTPRoutes as written, in the order of their sources.
    pub written: Vec<WrittenRoute>,
    /// Access log.
    pub access_log: AccessLog,
    /// What is legal but probably not meant; shown by `check` and at start.
    pub warnings: Mistakes,
    /// The resources as read, for `/config_dump`.
    pub dump: Dump,
}

/// One HTTP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// `namespace/gateway/listener`.
    pub name: Arc<str>,
    /// Where to listen.
    pub address: SocketAddr,
    /// Its hostname filter, lower case, `*.` allowed; `None` is every host. Among listeners of one
    /// address the most specific one that matches takes the request (listener isolation).
    pub hostname: Option<String>,
    /// Settings of the downstream side. All listeners of one address have the same, because a
    /// connection is there before its first request names a host.
    pub downstream: Arc<Downstream>,
    /// What an HTTPS listener presents; `None` is plain HTTP. The listeners of one address are all of one kind.
    pub tls: Option<Arc<ListenerTls>>,
}

/// The TLS side of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// Its certificates, at least one. The first is presented where none is for the name that a client asks for.
    pub certificates: Vec<Arc<Certificate>>,
}

/// One cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterSpec {
    /// Unique; keeps what was learned over a reload. `namespace/backend`, and `@route` behind it
    /// where a policy targets one route.
    pub name: Arc<str>,
    /// Its endpoints as configured.
    pub endpoints: Vec<EndpointSpec>,
    /// How it is treated.
    pub plan: Arc<ClusterPlan>,
    /// How its endpoints are spoken to, if by TLS.
    pub tls: Option<Arc<EndpointTls>>,
}

/// How endpoints are spoken to by TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointTls {
    /// The name that is asked for.
    pub hostname: String,
    /// Names of which the certificate has to be for one; without any, it has to be for the one that is asked for.
    pub names: Vec<String>,
    /// Whose certificates are believed.
    pub authorities: Authorities,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    /// Those that this machine believes.
    System,
    /// These; at least one.
    Given(Vec<CertificateDer<'static>>),
}

/// One rate limit: its buckets are those of one route, or of all that its policy bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimitSpec {
    /// Unique; keeps the buckets over a reload. `namespace/policy`, and `@namespace/route` behind it where the
    /// buckets are those of one route.
    pub name: Arc<str>,
    /// Its rules.
    pub plan: Arc<RateLimitPlan>,
}

/// One HTTPRoute as written: what is told of it, and what tells a changed one from one that stayed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRoute {
    /// `namespace/name`.
    pub name: Arc<str>,
    /// How many rules it has; without `rules`, one that answers 500.
    pub rules: usize,
    /// A hash of its `spec`: of the values in their order, not of their layout.
    pub mark: u64,
}

/// One configured endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointSpec {
    /// An address, used as it is.
    Ip(SocketAddr),
    /// A name to be resolved, and resolved again; all of its addresses are endpoints.
    Fqdn {
        /// The name.
        hostname: String,
        /// The port of every address.
        port: u16,
    },
    /// A Unix domain socket.
    Unix(std::path::PathBuf),
}

/// The access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// Format.
    pub format: LogFormat,
    /// Where to.
    pub sink: LogSink,
}

/// Access log formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Envoy's default text line.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Access log destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogSink {
    /// Standard output.
    #[default]
    Stdout,
    /// A file, appended to; reopened on SIGUSR1.
    File(std::path::PathBuf),
    /// None.
    Off,
}

/// The downstream side: limits and timeouts towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downstream {
    /// Between requests. Default 1 h, longer than any load balancer in front.
    pub idle_timeout: Duration,
    /// From a head's first byte to its last. Default 10 s.
    pub head_timeout: Duration,
    /// From a request's first byte on; as yet it bounds the head alone. Default: none.
    pub request_timeout: Option<Duration>,
    /// Between two bytes of a request body, and of a response that the client does not take. Default 60 s.
    pub body_timeout: Duration,
    /// Reverse proxies before us whose `X-Forwarded-*` are believed. Default 0: none is.
    pub trusted_hops: u32,
    /// Networks (address and prefix length) of reverse proxies whose `X-Forwarded-*` are believed.
    /// Default: none. `trusted_hops` is 0 where there are any.
    pub trusted_networks: Vec<(IpAddr, u8)>,
    /// Whether statements that only a proxy may make (`Forwarded`, `X-Real-IP`, `X-Envoy-*` and their like)
    /// are dropped where they come from somebody who is not believed. Default: yes.
    pub sanitizes: bool,
    /// What becomes of fields whose name has an underscore. Default: they pass, but for aliases.
    pub underscores: Underscores,
    /// How paths are read.
    pub paths: PathRules,
    /// Bytes of a head. Default 60 KiB.
    pub head_bytes: usize,
    /// Fields of a head. Default 100.
    pub fields: usize,
    /// Bytes of a request line. Default 16 KiB.
    pub request_line: usize,
    /// Client connections at once, per address and over all workers. Default: what the descriptor limit allows, less a reserve.
    pub max_connections: Option<u32>,
    /// Versions of TLS that HTTPS listeners speak. Default: 1.2 and 1.3.
    pub tls_versions: TlsVersions,
}

/// Which versions of TLS are spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

/// What becomes of request fields whose name has an underscore.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    /// They pass, but for aliases of what we write, drop or frame by.
    #[default]
    Allow,
    /// The request is answered with 400.
    RejectRequest,
    /// They are dropped.
    DropHeader,
}

/// How paths are read that not everybody reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathRules {
    /// Whether neighbouring slashes are one where a path is matched. Default: yes.
    pub merge_slashes: bool,
    /// What becomes of escaped slashes and backslashes. Default (`None`): they are kept, and the path, as that
    /// of segments with parameters, is refused if it would be another rule's with them unescaped.
    pub escaped_slashes: Option<EscapedSlashes>,
}

/// What becomes of a path with an escaped slash or backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EscapedSlashes {
    /// It is matched and forwarded as it is.
    Keep,
    /// The request is answered with 400.
    Reject,
    /// It is unescaped before it is matched, and forwarded so.
    UnescapeAndForward,
    /// The client is sent to the unescaped path.
    UnescapeAndRedirect,
}

impl Default for PathRules {
    fn default() -> Self {
        Self {
            merge_slashes: true,
            escaped_slashes: None,
        }
    }
}

impl Downstream {
    /// From a head's first byte to its last, at most.
    #[must_use]
    pub fn head_limit(&self) -> Duration {
        self.request_timeout
            .map_or(self.head_timeout, |whole| whole.min(self.head_timeout))
    }
}

impl Default for Downstream {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(3600),
            head_timeout: Duration::from_secs(10),
            request_timeout: None,
            body_timeout: Duration::from_secs(60),
            trusted_hops: 0,
            trusted_networks: Vec::new(),
            sanitizes: true,
            underscores: Underscores::default(),
            paths: PathRules::default(),
            head_bytes: 60 * 1024,
            fields: 100,
            request_line: 16 * 1024,
            max_connections: None,
            tls_versions: TlsVersions::default(),
        }
    }
}
