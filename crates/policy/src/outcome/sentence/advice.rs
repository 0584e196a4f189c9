//! What would prevent a failure, or have it mended: only what is not so already.

use super::super::story::{AttemptEnd, Ending, Stop, Story};
use super::super::{ConnectFault, Death, Failure, HeadLimit, Setting, TlsFault, Value};
use super::attempts::owner_has_retry;
use super::endpoint;
use super::limits::client_idle;
use crate::cluster::Refusal;
use crate::evidence::Grade;

/// The advice, as a sentence of its own.
pub(super) fn advice(story: &Story<'_>) -> Option<String> {
    let advice = match story.ending {
        Ending::Failed(failure) => of_failure(story, failure)?,
        Ending::Answered(_) => of_stop(story)?,
        Ending::Tunnel(end) if end.cause == super::Cause::TunnelIdle => {
            let limit = story.settings.stream_idle()?;
            format!(
                "have client or endpoint send pings more often, or raise {}",
                limit.name
            )
        }
        Ending::Drained => String::from("start evenkeel with a longer --drain-timeout"),
        Ending::Saved | Ending::Tunnel(_) => return None,
    };
    Some(format!("To prevent this: {advice}."))
}

fn of_failure(story: &Story<'_>, failure: &Failure) -> Option<String> {
    let (settings, at) = (&story.settings, endpoint(story));
    Some(match failure {
        Failure::ClientOtherProtocol { name } => client_protocol(name),
        Failure::PlainHttpOnTls
        | Failure::TlsHandshake { .. }
        | Failure::TlsHandshakeTimeout
        | Failure::TlsHandshakeShed
        | Failure::TlsHandshakeLeft => super::handshake::advice(story, failure),
        Failure::HeadLimit(limit) => return head(story, *limit),
        Failure::BodyTooLarge => {
            format!(
                "have the client send less, or {}",
                raise(settings.request_body()?)
            )
        }
        Failure::HeadTimeout => raise(settings.client.head_timeout),
        Failure::HeadShed => format!(
            "raise --unfinished-heads-max, or lower {}, so that slow clients leave sooner",
            settings.client.head_timeout
        ),
        Failure::BodyTimeout | Failure::IdleDownstream => {
            format!("see why the client is slow, or {}", raise(client_idle(story)))
        }
        Failure::NoRoute => {
            String::from("add the hostname and path to an HTTPRoute that is attached to this listener")
        }
        Failure::NoCluster => String::from("give the rule a backendRef that exists and has a weight above 0"),
        Failure::Unresolved => String::from(
            "check the name in the Backend, and what the resolver of this machine answers for it",
        ),
        Failure::Refused(refusal) => overflow(*refusal),
        Failure::Connect(ConnectFault::Refused) => {
            let checks = settings.plan.is_some_and(|plan| plan.health.is_none());
            let more = if checks {
                "; healthCheck.active keeps requests away from endpoints that are down"
            } else {
                ""
            };
            format!("check that the server runs and listens at{at}{more}")
        }
        Failure::Connect(ConnectFault::OutOfResources) => String::from(
            "raise evenkeel's limit on open files (ulimit -n), or lower circuitBreaker.maxConnections",
        ),
        Failure::Connect(ConnectFault::Tls(TlsFault::NotTls)) => {
            String::from("remove the BackendTLSPolicy, or name the endpoint's port that speaks TLS")
        }
        Failure::Connect(ConnectFault::Tls(_)) => String::from(
            "renew the endpoint's certificate, or correct validation of the BackendTLSPolicy; /clusters shows what was wrong",
        ),
        Failure::Connect(_) => String::from("check the endpoint's address in the Backend"),
        Failure::ConnectTimeout => {
            let limit = settings.connect_timeout()?;
            format!(
                "check the network path and firewalls to the endpoint, or {}",
                raise(limit)
            )
        }
        Failure::Died(death) => return died(story, *death),
        Failure::OtherProtocol { .. } => String::from("check the port in the Backend"),
        Failure::PerTryTimeout => slow(settings.per_try_timeout()),
        Failure::RequestTimeout | Failure::LateTimeout => slow(settings.request_timeout()),
        Failure::SlowClient => {
            format!(
                "see why the client is slow, or {}",
                raise(settings.request_timeout()?)
            )
        }
        Failure::IdleUpstream | Failure::IdleInResponse => slow(settings.stream_idle()),
        Failure::BadResponse { .. } => {
            let name = story.speaks?;
            format!("check the port in the Backend, which is one where {name} is spoken")
        }
        Failure::BadRequest { .. }
        | Failure::BadRequestBody { .. }
        | Failure::DownstreamLeft
        | Failure::OptionsEndsHere
        | Failure::TraceEndsHere
        | Failure::RateLimited(_)
        | Failure::Truncated(_)
        | Failure::ResponseHeadTooLarge
        | Failure::ProtocolInBody { .. } => return None,
    })
}

pub(super) fn raise(limit: Setting) -> String {
    format!("raise {}", limit.name)
}

fn slow(limit: Option<Setting>) -> String {
    let raise = limit.map_or(String::new(), |limit| format!(", or raise {}", limit.name));
    format!("see why the endpoint is slow{raise}")
}

fn head(story: &Story<'_>, limit: HeadLimit) -> Option<String> {
    let (_, setting) = super::head_limit(story, limit);
    let setting = setting?;
    let less = match limit {
        HeadLimit::Bytes => "have the client send less in its fields (mostly cookies)",
        HeadLimit::Method => "have the client send a method that exists",
        HeadLimit::RequestLine => "have the client send a shorter path or query",
        HeadLimit::Fields | HeadLimit::TrailerFields | HeadLimit::TrailerBytes => {
            "have the client send fewer fields"
        }
    };
    let at_most = limit == HeadLimit::Method || setting.value == Value::Bytes(HEAD_BYTES_MOST);
    Some(if at_most {
        String::from(less)
    } else {
        format!("{less}, or raise {}", setting.name)
    })
}

/// What `headers.maxBytes` and `headers.maxRequestLineBytes` can be at most.
const HEAD_BYTES_MOST: u64 = 60 << 10;

fn client_protocol(name: &str) -> String {
    match name {
        "PROXY" => String::from("switch the PROXY protocol off in the load balancer before evenkeel"),
        "TLS" => String::from("have the client use http:// for this port, or a port that speaks TLS"),
        "HTTP/2" => String::from("have the client speak HTTP/1.1"),
        _ => String::from("check the port in the client"),
    }
}

fn overflow(refusal: Refusal) -> String {
    String::from(match refusal {
        Refusal::NoEndpoint => "see in the admin's /clusters why endpoints are out",
        Refusal::Requests => {
            "see why the backend is slow, add endpoints, or raise circuitBreaker.maxParallelRequests"
        }
        Refusal::Overflow => {
            "see why the backend is slow, add endpoints, or raise the limit on connections or circuitBreaker.maxPendingRequests"
        }
        Refusal::Overload | Refusal::Stalled => {
            "see why the backend is slow, add endpoints, or raise the limit on connections"
        }
        Refusal::Shed => {
            "see why the backend is slow, add endpoints, raise the limit on connections, or raise queue.maxWait"
        }
    })
}

fn died(story: &Story<'_>, death: Death) -> Option<String> {
    if death == Death::Silent {
        return Some(String::from(
            "check the network path to the endpoint: a firewall or NAT may have forgotten the connection",
        ));
    }
    let stop = of_stop(story);
    if let Some(name) = story.speaks {
        return Some(format!(
            "check the port in the Backend, which is one where {name} is spoken"
        ));
    }
    let attempt = story.history.and_then(|history| history.last());
    let fresh_close = attempt.is_some_and(|attempt| {
        attempt.idle_age.is_none()
            && matches!(attempt.end, AttemptEnd::Died(ended) if ended.death == Death::Closed && ended.written > 0 && ended.grade != Grade::Begun)
    });
    if !fresh_close || !story.around.is_empty() {
        return stop;
    }
    let other = "check that the endpoint speaks HTTP/1.1 in plain text, since servers of other protocols \
                 (TLS, uwsgi, FastCGI) close new connections like this too";
    Some(match stop {
        Some(stop) => format!("{stop}; and {other}"),
        None => String::from(other),
    })
}

/// What would have had the request sent once more.
fn of_stop(story: &Story<'_>) -> Option<String> {
    let settings = &story.settings;
    Some(match story.history?.stop? {
        Stop::Begun => return None,
        Stop::ClientStalled => String::from("see why the client is slow"),
        Stop::NotKept => raise(settings.replay_buffer()?),
        Stop::NotIdempotent if !owner_has_retry(settings) => String::from(
            "send an Idempotency-Key, or set retry on the route, if the endpoint can bear a request twice",
        ),
        Stop::NotRepeated | Stop::UsedUp if !owner_has_retry(settings) => {
            String::from("see why the endpoint fails; retry on the route allows more attempts")
        }
        Stop::NotIdempotent | Stop::NotRepeated | Stop::UsedUp => return None,
        Stop::OwnersNone => {
            let retry = settings.retry()?;
            format!(
                "see why the endpoint fails; {} above 0 would have the request sent again",
                retry.name
            )
        }
        Stop::OwnersOther => String::from("see why the endpoint fails"),
        Stop::OwnersUsedUp => {
            let retry = settings.retry()?;
            format!(
                "see why the endpoint fails; {} above {} allows more attempts",
                retry.name, retry.value
            )
        }
        Stop::Budget => String::from("see why so many requests fail, or raise the retry budget"),
        Stop::Parallel => {
            String::from("see why so many requests fail, or raise circuitBreaker.maxParallelRetries")
        }
    })
}
