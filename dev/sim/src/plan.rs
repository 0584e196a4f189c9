//! What a world is like: drawn from its seed, and told to the proxy in the operator's words.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use config::model::Model;
use config::{ReadOptions, Source};
use policy::time::Dice;

use crate::endpoint::Habits;

/// Requests wait no longer than this, whatever is drawn.
pub(crate) const PATIENCE_MAX: Duration = Duration::from_secs(2);

/// A world's clusters. What is here stays for the world's life; the rest is drawn anew for each
/// configuration.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The proxy's workers: they take connections over from each other.
    pub(crate) workers: u16,
    pub(crate) clusters: Vec<ClusterPlan>,
}

/// One cluster.
#[derive(Clone, Debug)]
pub(crate) struct ClusterPlan {
    pub(crate) endpoints: Vec<EndpointPlan>,
    pub(crate) connections: u32,
    pub(crate) connections_per_endpoint: Option<u32>,
    pub(crate) pending: u32,
    pub(crate) parallel: u32,
    /// The owner asks for retries, of every method.
    pub(crate) owner_retries: bool,
    pub(crate) patience: Duration,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct EndpointPlan {
    pub(crate) address: SocketAddr,
    pub(crate) distance: Duration,
    pub(crate) habits: Habits,
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn pick<T: Copy>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.below(of.len() as u64) as usize]
}

impl Plan {
    /// Draws a world.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let clusters = 1 + dice.below(3);
        Self {
            workers: 1,
            clusters: (0..clusters)
                .map(|index| ClusterPlan::draw(index as u8, dice))
                .collect(),
        }
    }

    /// Draws a configuration of it.
    ///
    /// # Panics
    /// The configuration is refused: it, or the reader, is wrong.
    pub(crate) fn model(&self, dice: &mut Dice) -> Model {
        let mut text = String::from(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: world }\nspec:\n  \
             listeners:\n  - { name: http, port: 80, protocol: HTTP }\n---\napiVersion: \
             gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: world }\nspec:\n  rules:\n",
        );
        for index in 0..self.clusters.len() {
            let _ = write!(
                text,
                "  - matches: [{{ path: {{ type: PathPrefix, value: /{index} }} }}]\n    backendRefs:\n    - {{ \
                 group: evenkeel.dev, kind: Backend, name: c{index} }}\n"
            );
        }
        for (index, cluster) in self.clusters.iter().enumerate() {
            cluster.write(&mut text, index, dice);
        }
        let source = Source {
            name: "world".to_owned(),
            text,
        };
        config::read(std::slice::from_ref(&source), &ReadOptions::default())
            .unwrap_or_else(|mistakes| panic!("{}\n{}", mistakes.render(false), source.text))
    }
}

impl ClusterPlan {
    fn draw(index: u8, dice: &mut Dice) -> Self {
        let count = 1 + dice.below(4) as u8;
        let endpoint = |number: u8| EndpointPlan::draw(Ipv4Addr::new(10, 0, index, number), dice);
        Self {
            endpoints: (1..=count).map(endpoint).collect(),
            connections: 1 + dice.below(16) as u32,
            connections_per_endpoint: (dice.below(3) == 0).then(|| 1 + dice.below(6) as u32),
            pending: pick(dice, &[0, 1, 4, 16, 32]),
            parallel: 1 + dice.below(32) as u32,
            owner_retries: dice.below(4) == 0,
            patience: millis(pick(dice, &[100, 500, 1000, PATIENCE_MAX.as_millis() as u64])),
        }
    }

    fn write(&self, text: &mut String, index: usize, dice: &mut Dice) {
        let _ = write!(
            text,
            "---\napiVersion: evenkeel.dev/v1alpha1\nkind: Backend\nmetadata: {{ name: c{index} }}\nspec:\n  \
             endpoints:\n"
        );
        // Endpoints come and go with configurations, but for the first.
        for (number, endpoint) in self.endpoints.iter().enumerate() {
            if number == 0 || dice.below(6) > 0 {
                let (ip, port) = (endpoint.address.ip(), endpoint.address.port());
                let _ = writeln!(text, "  - ip: {{ address: {ip}, port: {port} }}");
            }
        }
        let _ = write!(
            text,
            "---\napiVersion: evenkeel.dev/v1alpha1\nkind: BackendTrafficPolicy\nmetadata: {{ name: c{index} \
             }}\nspec:\n  targetRefs: [{{ group: evenkeel.dev, kind: Backend, name: c{index} }}]\n  \
             circuitBreaker:\n    maxConnections: {}\n    maxPendingRequests: {}\n    maxParallelRequests: {}\n",
            self.connections, self.pending, self.parallel
        );
        if dice.below(4) == 0 {
            let _ = writeln!(text, "    maxRequestsPerConnection: {}", 1 + dice.below(50));
        }
        if let Some(most) = self.connections_per_endpoint {
            let _ = writeln!(text, "    perEndpoint: {{ maxConnections: {most} }}");
        }
        let balance = pick(dice, &["LeastRequest", "PeakEWMA", "RoundRobin", "Random"]);
        let _ = writeln!(text, "  loadBalancer: {{ type: {balance} }}");
        let _ = writeln!(text, "  queue: {{ maxWait: {}ms }}", self.patience.as_millis());
        let _ = writeln!(
            text,
            "  keepAlive: {{ idleTimeout: {}s, learn: {}, replayBuffer: {} }}",
            pick(dice, &[5, 60, 300]),
            pick(dice, &[true, true, false]),
            pick(dice, &["0", "4Ki", "64Ki"]),
        );
        let _ = writeln!(
            text,
            "  timeout:\n    tcp: {{ connectTimeout: {}s }}\n    http:\n      requestTimeout: {}s",
            pick(dice, &[1, 5]),
            pick(dice, &[5, 15, 30]),
        );
        if dice.below(2) == 0 {
            let _ = writeln!(text, "      perTryTimeout: {}s", pick(dice, &[2, 4]));
        }
        if dice.below(3) == 0 {
            let _ = writeln!(text, "  hedge: {{ quantile: 0.9, minDelay: 5ms }}");
        }
        if dice.below(4) == 0 {
            let _ = writeln!(text, "  adaptiveConcurrency: {{ minLimit: 2, maxLimit: 100 }}");
        }
        if self.owner_retries {
            let _ = writeln!(
                text,
                "  retry: {{ numRetries: {}, retryOn: {{ triggers: [5xx, reset, connect-failure] }} }}",
                1 + dice.below(3)
            );
        }
        if dice.below(2) == 0 {
            let _ = writeln!(
                text,
                "  healthCheck: {{ passive: {{ consecutive5XxErrors: {}, interval: 1s, baseEjectionTime: 5s }} }}",
                dice.below(6)
            );
        }
    }
}

impl EndpointPlan {
    fn draw(address: Ipv4Addr, dice: &mut Dice) -> Self {
        Self {
            address: SocketAddr::from((address, 80)),
            distance: Duration::from_micros(pick(dice, &[20, 100, 500, 5_000, 20_000])),
            habits: Habits {
                keep_alive: millis(pick(dice, &[1_000, 2_000, 5_000, 15_000, 75_000, 600_000])),
                hints: dice.below(4) == 0,
                half_closes: dice.below(3) == 0,
                service: millis(pick(dice, &[1, 10, 50])),
            },
        }
    }
}
