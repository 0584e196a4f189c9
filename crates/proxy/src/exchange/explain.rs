//! What a person is told of an exchange that failed or was saved: its facts, gathered when there is
//! something to tell, and put into the record as a sentence.

use std::time::Duration;

use config::model::Downstream;
use policy::cluster::{Address, EndpointReport, Scarce};
use policy::outcome::{
    ClientSettings, Death, Ending, Failure, History, Phase, Progress, Setting, Settings, Story, sentence,
};
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;

use crate::cluster::ClusterHandle;
use crate::exchange::Exchange;
use crate::exchange::answer;
use crate::exchange::fault::Fault;
use crate::telemetry::record::ClosedBy;
use crate::transport::End;
use crate::upstream::body::Upload;

/// Bytes of bodies that had come when an exchange ended, and how many there were to be.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SoFar {
    pub(crate) received: u64,
    pub(crate) received_of: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) sent_of: Option<u64>,
}

impl SoFar {
    /// Of a request's body.
    pub(crate) fn of(upload: &Upload) -> Self {
        Self {
            received: upload.received,
            received_of: announced(upload.length()),
            ..Self::default()
        }
    }

    /// Of a request's body that nothing was read of.
    pub(crate) fn announcing(length: BodyLength) -> Self {
        Self {
            received_of: announced(length),
            ..Self::default()
        }
    }

    /// And so much of a response's body, framed like this.
    pub(crate) fn and_sent(self, sent: u64, from: BodyLength) -> Self {
        Self {
            sent,
            sent_of: announced(from),
            ..self
        }
    }
}

/// How long a body is said to be.
fn announced(length: BodyLength) -> Option<u64> {
    match length {
        BodyLength::Length(length) => Some(length),
        BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => None,
    }
}

impl Exchange<'_> {
    /// The facts of its attempts, kept from the first that fails on.
    pub(crate) fn history(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }

    /// Puts the sentence on a failure into the record.
    #[cold]
    pub(crate) fn explain_fault(
        &mut self,
        context: Option<&answer::ExchangeContext<'_>>,
        fault: &Fault,
        so_far: SoFar,
    ) {
        let around = match (&fault.failure, context) {
            (Failure::Refused(refusal), Some(context)) => around_refusal(context.cluster, *refusal),
            _ => fault.around.to_string(),
        };
        self.explain(context, Ending::Failed(&fault.failure), so_far, &around);
    }

    /// Puts into the record who ended the connection that a failure was met on, if one was ended.
    #[cold]
    pub(crate) fn tell_who_closed(&mut self, failure: &Failure) {
        let who = match failure {
            Failure::Truncated(Death::Closed) => ClosedBy::UpstreamFin,
            Failure::Truncated(Death::Reset) => ClosedBy::UpstreamReset,
            Failure::DownstreamLeft | Failure::TlsHandshakeLeft => {
                match self.client.connection.transport.ended() {
                    Some(End::Reset) => ClosedBy::DownstreamReset,
                    Some(End::Fin) => ClosedBy::DownstreamFin,
                    None => ClosedBy::Downstream,
                }
            }
            Failure::BadRequest { .. }
            | Failure::BadRequestBody { .. }
            | Failure::ClientOtherProtocol { .. }
            | Failure::HeadLimit(_)
            | Failure::BodyTooLarge
            | Failure::PlainHttpOnTls
            | Failure::TlsHandshake { .. }
            | Failure::TlsHandshakeTimeout
            | Failure::TlsHandshakeShed
            | Failure::HeadTimeout
            | Failure::HeadShed
            | Failure::BodyTimeout
            | Failure::IdleDownstream
            | Failure::SlowClient
            | Failure::ProtocolInBody { .. }
            | Failure::LateTimeout
            | Failure::IdleInResponse => ClosedBy::Local,
            Failure::PerTryTimeout | Failure::RequestTimeout | Failure::IdleUpstream
                if self.phase == Phase::Response =>
            {
                ClosedBy::Local
            }
            Failure::OtherProtocol { .. } | Failure::BadResponse { .. } | Failure::ResponseHeadTooLarge
                if !self.record.tells_of_a_death() =>
            {
                ClosedBy::Local
            }
            // Its evidence has it, or no connection was ended.
            Failure::OtherProtocol { .. } | Failure::BadResponse { .. } | Failure::ResponseHeadTooLarge => {
                return;
            }
            Failure::PerTryTimeout
            | Failure::RequestTimeout
            | Failure::IdleUpstream
            | Failure::Died(_)
            | Failure::Truncated(Death::Silent | Death::Lost)
            | Failure::NoRoute
            | Failure::NoCluster
            | Failure::OptionsEndsHere
            | Failure::TraceEndsHere
            | Failure::RateLimited(_)
            | Failure::Refused(_)
            | Failure::Unresolved
            | Failure::Connect(_)
            | Failure::ConnectTimeout => return,
        };
        self.record.closed_by(who);
    }

    /// Puts the sentence on how it ended into the record.
    #[cold]
    pub(crate) fn explain(
        &mut self,
        context: Option<&answer::ExchangeContext<'_>>,
        ending: Ending<'_>,
        so_far: SoFar,
        around: &str,
    ) {
        // Whose it is, the settings know.
        let auto = context.and_then(|context| context.limits.request);
        let settings = Settings {
            client: client_settings(self.client.downstream()),
            route: context.map(|context| context.resolved.route),
            plan: context.map(|context| &*context.cluster.plan),
            auto_timeout: auto,
        };
        let whole = so_far.received_of.is_none_or(|of| of == so_far.received);
        let phase = match self.phase {
            Phase::Response if !whole => Phase::Request,
            phase => phase,
        };
        let story = Story {
            ending,
            progress: Progress {
                phase,
                took: self.worker.clock.now().since(self.record.start()),
                received: so_far.received,
                received_of: so_far.received_of,
                sent: so_far.sent,
                sent_of: so_far.sent_of,
            },
            history: self.history.as_deref(),
            settings,
            around,
            speaks: context.and_then(|context| spoken(context.cluster, self.history.as_deref()?)),
        };
        self.record.sentence(&sentence(&story));
    }
}

/// What the endpoint of the last attempt speaks, where it is known that it is not HTTP/1.
fn spoken(cluster: &ClusterHandle, history: &History) -> Option<&'static str> {
    let endpoint = &history.last()?.endpoint;
    let is_it = |address: &Address| crate::cluster::connection::name(address) == *endpoint;
    cluster.shared.with(|state| state.cluster.spoken_at(is_it))
}

fn client_settings(now: &Downstream) -> ClientSettings {
    let usual = Downstream::default();
    let span = |name, value: Duration, usual: Duration| Setting::span(name, value, usual);
    // The shorter one ended the head.
    let head_timeout = match now.request_timeout {
        Some(whole) if whole < now.head_timeout => {
            let name = "ClientTrafficPolicy timeout.http.requestReceivedTimeout";
            span(name, whole, usual.head_timeout)
        }
        _ => {
            let name = "ClientTrafficPolicy timeout.http.requestHeadersReceivedTimeout";
            span(name, now.head_timeout, usual.head_timeout)
        }
    };
    ClientSettings {
        head_timeout,
        body_timeout: span(
            "ClientTrafficPolicy timeout.http.streamIdleTimeout",
            now.body_timeout,
            usual.body_timeout,
        ),
        head_bytes: Setting::bytes(
            "ClientTrafficPolicy headers.maxBytes",
            now.head_bytes,
            usual.head_bytes,
        ),
        fields: Setting::count(
            "ClientTrafficPolicy headers.maxFields",
            u32::try_from(now.fields).unwrap_or(u32::MAX),
            u32::try_from(usual.fields).unwrap_or(u32::MAX),
        ),
        request_line: Setting::bytes(
            "ClientTrafficPolicy headers.maxRequestLineBytes",
            now.request_line,
            usual.request_line,
        ),
        trailer_bytes: Limits::default().trailer_bytes as u64,
    }
}

/// What keeps a cluster from taking a request, in words.
fn around_refusal(cluster: &ClusterHandle, refusal: policy::cluster::Refusal) -> String {
    use policy::cluster::Refusal;
    let (name, now) = (&cluster.shared.name, cluster.clock.now());
    match refusal {
        Refusal::NoEndpoint => {
            let endpoints = cluster.shared.with(|state| state.cluster.describe(now));
            no_endpoint(name, &endpoints)
        }
        Refusal::Requests => String::new(),
        Refusal::Overflow | Refusal::Overload | Refusal::Stalled | Refusal::Shed => {
            let scarce = cluster.shared.with(|state| state.cluster.scarce(&cluster.plan));
            let limits = &cluster.plan.limits;
            match scarce {
                Scarce::Connections => format!(
                    "Every connection to the backend was in use: BackendTrafficPolicy \
                     circuitBreaker.maxConnections = {} allows no more.",
                    limits.max_connections
                ),
                Scarce::PerEndpoint(most) => format!(
                    "Every connection to the backend was in use: BackendTrafficPolicy \
                     circuitBreaker.perEndpoint.maxConnections = {most} allows no more."
                ),
                Scarce::Adaptive => String::from(
                    "Every endpoint had as many requests in flight as BackendTrafficPolicy \
                     adaptiveConcurrency lets it have now.",
                ),
            }
        }
    }
}

/// Why no endpoint is in service.
fn no_endpoint(cluster: &str, endpoints: &[EndpointReport]) -> String {
    const NAMED_MAX: usize = 4;
    let held: Vec<&EndpointReport> = endpoints.iter().filter(|endpoint| !endpoint.leaving).collect();
    if held.is_empty() {
        return format!("The backend {cluster} has no endpoint.");
    }
    let mut text = format!("The backend {cluster} has no endpoint in service");
    for (at, endpoint) in held.iter().take(NAMED_MAX).enumerate() {
        let why = match (
            endpoint.service.failed_active_check,
            endpoint.service.failed_outlier_check,
        ) {
            (true, true) => "fails its health checks and is ejected",
            (true, false) => "fails its health checks (healthCheck.active)",
            (false, true) => "is ejected for its failures (healthCheck.passive)",
            (false, false) => "has weight 0 or is full",
        };
        let lead = if at == 0 { ": " } else { "; " };
        let name = crate::cluster::connection::name(&endpoint.address);
        text.push_str(&format!("{lead}{name} {why}"));
    }
    if held.len() > NAMED_MAX {
        text.push_str(&format!("; and {} more", held.len() - NAMED_MAX));
    }
    text.push('.');
    text
}
