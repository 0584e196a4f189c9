//! Read this first: one exchange, start to end.
//!
//! ```text
//! request head -> accepted, routed, encoded -> attempts, one after the other -> answered
//!                                                ^------ again: replay or retry
//! ```
//! `policy` decides on routes, connections, retries and what each party is told. The exchange asks for these
//! decisions, waits, and moves bytes.

pub(crate) mod affinity;
pub(crate) mod answer;
mod attempt;
pub(crate) mod attempt_count;
pub(crate) mod attempt_result;
mod attempts;
pub(crate) mod checkout;
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod forward;
pub(crate) mod hedge;
pub(crate) mod local_reply;
pub(crate) mod mirror;
pub(crate) mod record_failure;
pub(crate) mod relay;
pub(crate) mod reply;
pub(crate) mod route;
pub(crate) mod view;

use std::rc::Rc;

use policy::outcome::{Failure, History, Phase, Rule};
use policy::time::Moment;
use wire::field::Known;
use wire::h1::encode::{self, OutboundHead};
use wire::h1::framing::{self, BodyLength};
use wire::h1::head::{RequestHead, ResponseHead, Version};
use wire::hop::Named;

use crate::downstream::client::Client;
use crate::engine;
use crate::exchange::affinity::Affinity;
use crate::exchange::answer::ExchangeContext;
use crate::exchange::attempt_result::Limits;
use crate::exchange::explain::SoFar;
use crate::exchange::fault::Fault;
use crate::exchange::route::{Accepted, AskedHost, OwnersFields, RouteDecision};
use crate::telemetry::record::Record;
use crate::upstream::body::Upload;
use crate::worker::context::{Worker, WorkerSnapshot};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It may carry another request.
    Request,
    /// It is closed, well.
    Close,
    /// It is closed at once: the client must see that its answer was cut, or is not there any more.
    Drop,
}

/// Memory of one exchange, lent by the worker and used again.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// The target as it goes onward: path and query.
    pub(crate) target: String,
    /// The path in the form in which it is matched, where that is not the form in which it goes on.
    pub(crate) matched: String,
    /// A filter's value with variables, rendered.
    pub(crate) value: Vec<u8>,
    /// What the client asked for: host, and port if it said one.
    pub(crate) authority: AskedHost,
    pub(crate) outgoing: Vec<u8>,
}

/// What one exchange works with. Its log line is written when it is dropped.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) client: &'a mut Client,
    pub(crate) work: &'a mut Scratch,
    pub(crate) record: Record,
    /// Whether the request's body was read to its end, so that another request may follow.
    pub(crate) body_read: bool,
    /// Attempts made so far, hedges included.
    pub(crate) made: u32,
    /// Whether each attempt says its number.
    pub(crate) numbered: bool,
    /// What it is doing.
    pub(crate) phase: Phase,
    /// By which rule the attempt is made that is under way.
    pub(crate) rule: Rule,
    /// The facts of attempts that failed; mostly there are none.
    pub(crate) history: Option<Box<History>>,
}

impl<'a> Exchange<'a> {
    /// Begins with the first byte of a head. What it waited for us since that was read counts.
    pub(crate) fn open(worker: &'a Rc<Worker>, client: &'a mut Client, work: &'a mut Scratch) -> Self {
        engine::count_request();
        let start = client.heard;
        let mut record = Record::open(&worker.log(), start, worker.calendar.unix_nanos(start));
        record.downstream(client.connection.peer, client.connection.local);
        if let Some(tls) = client.connection.transport.tls() {
            record.tls(&tls);
        }
        Self {
            worker,
            client,
            work,
            record,
            body_read: false,
            made: 0,
            numbered: true,
            phase: Phase::Head,
            rule: Rule::First,
            history: None,
        }
    }

    /// Serves the request whose head is in the scratch buffers.
    pub(crate) async fn run(&mut self) -> Next {
        let accepted = match route::accept(self.worker, self.client, self.work, &mut self.record) {
            Ok(accepted) => accepted,
            Err(fault) => return Box::pin(reply::refuse(self, &fault, &OwnersFields::default())).await,
        };
        let snapshot = self.client.snapshot.clone();
        let mut own = OwnersFields::default();
        match self.serve(&snapshot, &accepted, &mut own).await {
            Ok(next) => next,
            Err(fault) => Box::pin(reply::refuse(self, &fault, &own)).await,
        }
    }

    async fn serve<'s>(
        &mut self,
        snapshot: &'s WorkerSnapshot,
        accepted: &Accepted,
        own: &mut OwnersFields<'s>,
    ) -> Result<Next, Box<Fault>> {
        let started = self.worker.clock.now();
        let request = &self.work.request;
        self.client.http_10 = request.version == Version::Http10;
        self.client.expects_close = !framing::keeps_alive(request.version, &request.fields);
        self.body_read = accepted.body == BodyLength::None;
        // Whoever waits for an endpoint holds no buffer for it.
        self.client.input.release();
        let decision = route::route(
            self.worker,
            snapshot,
            self.client,
            self.work,
            accepted,
            own,
            &mut self.record,
        )?;
        let resolved = match &decision {
            RouteDecision::Forward(resolved) => resolved,
            RouteDecision::Redirect { status, location } => {
                return Ok(Box::pin(reply::redirect(self, *status, location, own)).await);
            }
            RouteDecision::Preflight(fields) => {
                return Ok(Box::pin(reply::preflight(self, fields, own)).await);
            }
        };
        let cluster = snapshot.cluster(resolved.cluster);
        self.record.cluster(&cluster.shared.name);
        let affinity = Affinity::of(
            &cluster.plan,
            &self.work.request.fields,
            accepted,
            &mut self.worker.dice.borrow_mut(),
        );
        let context = ExchangeContext {
            accepted,
            resolved,
            own,
            cluster,
            affinity: &affinity,
            limits: Limits::of(resolved, cluster),
            times: snapshot.times(resolved.cluster),
        };
        if is_too_large(accepted.body, cluster.plan.request_body_max) {
            return Err(self.refuse_body(&context));
        }
        let mut upload = self.encode(&context, started);
        mirror::send(self, resolved, &mut upload);
        let result = self.attempts(&context, &mut upload).await;
        self.end(&context, upload, result.as_ref().err().map(Box::as_ref));
        result
    }

    /// There is an answer, or none to be had.
    fn end(&mut self, context: &ExchangeContext<'_>, upload: Upload, fault: Option<&Fault>) {
        if let Some(fault) = fault {
            self.explain_fault(Some(context), fault, SoFar::of(&upload));
            context.cluster.shared.with(|state| {
                state
                    .cluster
                    .on_failure(&fault.failure, fault.before, fault.raced)
            });
        }
        self.record.bytes_received(upload.received);
        self.body_read = upload.received_whole();
        self.work.outgoing = upload.into_buffer();
    }

    /// A body that says of itself that it is too large, of which nothing is read or sent on.
    #[cold]
    fn refuse_body(&mut self, context: &ExchangeContext<'_>) -> Box<Fault> {
        let fault = Box::<Fault>::from(Failure::BodyTooLarge);
        self.phase = Phase::Request;
        let so_far = SoFar::announcing(context.accepted.body);
        self.explain_fault(Some(context), &fault, so_far);
        fault
    }

    /// The request as the endpoint gets it, head first; its body follows as it comes.
    fn encode(&mut self, context: &ExchangeContext<'_>, started: Moment) -> Upload {
        let (accepted, plan) = (context.accepted, &context.cluster.plan);
        let Scratch {
            request, outgoing, ..
        } = &mut *self.work;
        self.numbered = attempt_count::is_ours(context.resolved.filters());
        let outbound = OutboundHead {
            body: accepted.body,
            upgrade: accepted.upgrade(),
            ..OutboundHead::default()
        };
        let mut outgoing = std::mem::take(outgoing);
        outgoing.clear();
        encode::request(&mut outgoing, request, &outbound);
        let mut upload = Upload::new(outgoing, accepted.body, plan.keep_alive.replay_bytes, started);
        if accepted.body == BodyLength::Chunked {
            upload.without(Named::by(&request.fields));
        }
        upload.at_most(plan.request_body_max);
        upload.reuse_receive_buffer(&mut self.client.input, started);
        if accepted.expects_continue && request.fields.has(Known::Expect) {
            upload.expect_continue();
        }
        upload
    }
}

/// Whether a body is known to be larger than it may be.
fn is_too_large(body: BodyLength, most: Option<u64>) -> bool {
    matches!((body, most), (BodyLength::Length(length), Some(most)) if length > most)
}
