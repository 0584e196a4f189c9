//! What one attempt came to, what the cluster is told of it, and what bounds the next.

use std::time::Duration;

use policy::deadline::{Arrival, Bounds, Which};
use policy::evidence::{End, Facts, Grade, grade};
use policy::outcome::{Attempt, AttemptEnd, Failure, Rule, Stop};
use policy::retry::attempts::{Outcome, Summary};
use policy::route::Limit as RouteLimit;
use policy::time::Moment;
use wire::h1::head::HeadError;

use crate::cluster::ClusterHandle;
use crate::cluster::connection::name;
use crate::downstream::client::Client;
use crate::exchange::fault::Fault;
use crate::exchange::record_failure::{attempt_on, sent};
use crate::exchange::route::ResolvedRoute;
use crate::upstream::attempt::Attempted;
use crate::upstream::body::Upload;
use crate::upstream::checkout::Unreached;
use crate::upstream::connect::ConnectError;
use crate::upstream::lease::Lease;

/// One attempt's result: what decides about the next, and what an answer is made of.
pub(crate) struct AttemptResult<'a> {
    pub(crate) summary: Summary,
    pub(crate) facts: Option<Facts>,
    pub(crate) times: AttemptTimes,
    /// The response's status, if there is one.
    pub(crate) status: u16,
    pub(crate) end: AttemptOutcome<'a>,
}

/// When an attempt began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptTimes {
    /// It asked for a connection.
    pub(crate) asked: Moment,
    /// It had one: from here on its endpoint's time runs.
    pub(crate) leased: Moment,
}

/// What an attempt left in our hands.
pub(crate) enum AttemptOutcome<'a> {
    /// The response's head is in the scratch buffers, its body comes by the lease.
    Response(Lease<'a>),
    /// The connection could not be opened.
    Unconnected(Box<Attempt>, ConnectError),
    /// The connection died under the request.
    Dead(Lease<'a>),
    /// The endpoint sent what is no HTTP response.
    NotHttp(Box<Attempt>, HeadError, Vec<u8>),
    /// A time limit passed.
    Late(Box<Attempt>),
}

impl AttemptTimes {
    /// An endpoint has no time before the request has come whole: what a client takes is none of its.
    fn not_before(self, whole: Option<Moment>) -> Self {
        let whole = whole.unwrap_or_default();
        Self {
            asked: self.asked.max(whole),
            leased: self.leased.max(whole),
        }
    }
}

impl<'a> AttemptResult<'a> {
    /// How long opening its connection took, if it was opened for it.
    pub(crate) fn connect_time(&self) -> Option<Duration> {
        match &self.end {
            AttemptOutcome::Response(lease) | AttemptOutcome::Dead(lease) => lease.connect_time,
            AttemptOutcome::Unconnected(..) | AttemptOutcome::NotHttp(..) | AttemptOutcome::Late(_) => None,
        }
    }

    /// The connection could not be opened.
    pub(crate) fn unconnected(unreached: Unreached, upload: &Upload, asked: Moment, now: Moment) -> Self {
        let Unreached {
            endpoint,
            error,
            address,
        } = unreached;
        let (result, attempt_end) = match &error {
            ConnectError::TimedOut => (Outcome::ConnectTimedOut, AttemptEnd::ConnectTimeout),
            ConnectError::Refused(_) => {
                let died = Outcome::Died {
                    end: End::ConnectFailed,
                    grade: Grade::Unsent,
                };
                (died, AttemptEnd::Connect(error.fault()))
            }
        };
        let attempt = Box::new(Attempt {
            rule: Rule::First,
            endpoint: name(&address),
            idle_age: None,
            lasted: now.since(asked),
            end: attempt_end,
        });
        let summary = Summary {
            endpoint: Some(endpoint),
            reused: false,
            raced: false,
            copy_whole: upload.can_rewind(),
            answered: false,
            arrival: match upload.finished_at() {
                Some(_) => Arrival::Whole,
                None => Arrival::Coming,
            },
            result,
        };
        Self {
            summary,
            facts: None,
            times: AttemptTimes { asked, leased: asked },
            status: 0,
            end: AttemptOutcome::Unconnected(attempt, error),
        }
    }

    /// What an attempt came to.
    ///
    /// # Errors
    /// The exchange is over: the client left or misbehaved, or its time is up. The cluster has been
    /// told.
    pub(crate) fn after(
        attempted: Attempted,
        mut lease: Lease<'a>,
        upload: &Upload,
        status: u16,
        times: AttemptTimes,
    ) -> Result<Self, Box<Fault>> {
        let times = times.not_before(upload.finished_at());
        let Some((facts, result)) = outcome(&attempted, status) else {
            // What a client takes to send its request says nothing of the endpoint.
            if upload.arrival() == Arrival::Whole {
                lease.tell(|cluster, now| cluster.on_given_up(lease.endpoint, times.leased, now));
            }
            let fault = match attempted {
                Attempted::Late(Which::Client | Which::ClientIdle) => Failure::BodyTimeout.into(),
                Attempted::BadBody(why) => Fault::from(why),
                _ => Failure::DownstreamLeft.into(),
            };
            return Err(given_up(fault, &lease, times));
        };
        if let Some(facts) = &facts {
            lease.died(facts, times.leased);
        }
        let summary = Summary {
            endpoint: Some(lease.endpoint),
            reused: !lease.fresh,
            raced: lease.raced,
            copy_whole: upload.can_rewind(),
            answered: false,
            arrival: upload.arrival(),
            result,
        };
        let times_up = match attempted {
            Attempted::Late(Which::Request) => Some(Failure::RequestTimeout),
            Attempted::Late(Which::Idle) => Some(Failure::IdleUpstream),
            _ => None,
        };
        if let Some(failure) = times_up {
            lease.tell(|cluster, now| cluster.on_attempt(&summary, times.leased, now));
            return Err(given_up(failure.into(), &lease, times));
        }
        let end = match attempted {
            Attempted::Dead(_) => AttemptOutcome::Dead(lease),
            Attempted::NotHttp(error) => {
                let attempt = attempt_on(&lease, times, AttemptEnd::BadResponse);
                AttemptOutcome::NotHttp(attempt, error, lease.input.data().to_vec())
            }
            Attempted::Late(_) => {
                let sent = sent(&lease);
                AttemptOutcome::Late(attempt_on(&lease, times, AttemptEnd::TimedOut(sent)))
            }
            _ => AttemptOutcome::Response(lease),
        };
        Ok(Self {
            summary,
            facts,
            times,
            status,
            end,
        })
    }
}

/// The exchange is over, and with it the attempt that was under way.
#[cold]
fn given_up(fault: Fault, lease: &Lease<'_>, times: AttemptTimes) -> Box<Fault> {
    let attempt = attempt_on(lease, times, AttemptEnd::GivenUp(sent(lease)));
    Box::new(Fault {
        attempt: Some(attempt),
        ..fault
    })
}

/// What an attempt says of its endpoint; `None` if it ended by the client's doing.
fn outcome(attempted: &Attempted, status: u16) -> Option<(Option<Facts>, Outcome)> {
    let died = |end, grade| Outcome::Died { end, grade };
    match attempted {
        Attempted::Response => Some((None, Outcome::Status(status))),
        Attempted::Dead(facts) => Some((Some(*facts), died(facts.end, grade(facts)))),
        Attempted::NotHttp(_) => Some((None, died(End::Other, Grade::Begun))),
        Attempted::Late(Which::PerTry | Which::Silence | Which::Request | Which::Idle) => {
            Some((None, died(End::TimedOut, Grade::Unknown)))
        }
        Attempted::Late(Which::Client | Which::ClientIdle | Which::Left)
        | Attempted::ClientLeft
        | Attempted::BadBody(_) => None,
    }
}

/// A retry's place among those that a cluster bears at once.
pub(crate) struct RetryPermit<'a> {
    cluster: &'a ClusterHandle,
    /// Its answer goes to the client.
    pub(crate) succeeded: bool,
}

impl<'a> RetryPermit<'a> {
    /// A place, if there is one.
    ///
    /// # Errors
    /// Which limit keeps it from being made.
    pub(crate) fn ask(cluster: &'a ClusterHandle) -> Result<Self, Stop> {
        let now = cluster.clock.now();
        cluster.shared.with(|state| {
            let admitted = state.cluster.admit_retry(&cluster.plan, now);
            let refused_by = || state.cluster.retry_refused_by(&cluster.plan);
            admitted.then_some(()).ok_or_else(refused_by)
        })?;
        // Made only if it was admitted: what is made is also dropped.
        Ok(Self {
            cluster,
            succeeded: false,
        })
    }
}

impl Drop for RetryPermit<'_> {
    fn drop(&mut self) {
        self.cluster
            .shared
            .with(|state| state.cluster.retry_ended(self.succeeded));
    }
}

/// The time limits of one exchange.
pub(crate) struct Limits {
    /// On the whole request.
    pub(crate) request: Option<Duration>,
    per_try: Option<Duration>,
}

/// Until when a connection for an attempt is waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    request: Moment,
    per_try: Moment,
}

impl Limits {
    /// The route's limits where it has some, else the cluster's.
    pub(crate) fn of(resolved: &ResolvedRoute<'_>, cluster: &ClusterHandle) -> Self {
        let timeouts = &cluster.plan.timeouts;
        let usual = || {
            let plan = timeouts.auto.as_ref()?;
            let now = cluster.clock.now();
            let answer = cluster.shared.with(|state| state.cluster.auto_timeout(plan, now));
            Some(answer.timeout)
        };
        Self {
            request: choose(resolved.route.request_timeout, || timeouts.request.or_else(usual)),
            per_try: choose(resolved.route.per_try_timeout, || timeouts.per_try),
        }
    }

    /// Until when a connection is waited for that is asked for at `asked`. While more of the request is to
    /// come, the time that it took so far was the client's.
    pub(crate) fn until(&self, upload: &Upload, asked: Moment) -> Until {
        let since = upload.finished_at().unwrap_or(asked);
        let after = |since, span: Option<Duration>| span.map_or(Moment::NEVER, |span| since + span);
        Until {
            request: after(since, self.request),
            per_try: after(asked, self.per_try),
        }
    }

    /// What bounds an attempt that asked for its connection at `asked`.
    pub(crate) fn attempt(&self, asked: Moment, client: &Client, cluster: &ClusterHandle) -> Bounds {
        Bounds {
            asked,
            request: self.request,
            per_try: self.per_try,
            silence: Some(cluster.plan.timeouts.connect),
            client: client.downstream().body_timeout,
            idle: cluster.plan.timeouts.stream_idle,
        }
    }

    /// What bounds the relay of a response's body.
    pub(crate) fn relay(&self, client: &Client, cluster: &ClusterHandle) -> Bounds {
        Bounds {
            silence: None,
            per_try: None,
            ..self.attempt(Moment::default(), client, cluster)
        }
    }
}

impl Until {
    /// The first of its moments.
    pub(crate) fn first(self) -> Moment {
        self.per_try.min(self.request)
    }

    /// When the whole exchange is too late.
    pub(crate) fn request(self) -> Moment {
        self.request
    }

    /// Which limit it was that passed while waiting for a connection.
    pub(crate) fn late(self, now: Moment) -> Failure {
        if self.request <= now {
            Failure::RequestTimeout
        } else {
            Failure::PerTryTimeout
        }
    }
}

/// The route's word, else the cluster's.
fn choose(route: Option<RouteLimit>, cluster: impl FnOnce() -> Option<Duration>) -> Option<Duration> {
    match route {
        None => cluster(),
        Some(RouteLimit::Unlimited) => None,
        Some(RouteLimit::After(limit)) => Some(limit),
    }
}
