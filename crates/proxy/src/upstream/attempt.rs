//! One attempt: send, await the response's head; and if it dies, the facts of its death.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use policy::cluster::{Hold, Writing};
use policy::deadline::{Bounds, Deadlines, Which};
use policy::evidence::{End, Facts, is_stale};
use policy::time::Moment;
use wire::h1::head::{HeadError, Limits, ResponseHead, Scan};
use wire::h1::mend::Mend;

use super::failure_evidence::FailureEvidence;
use super::lease::Lease;
use crate::engine::clock::{self, Clock};
use crate::engine::wait::{First, first};
use crate::engine::{self, Stage};
use crate::transport::Transport;
use crate::transport::buffer::{READ_SIZE, ReadBuffer};
use crate::transport::progress::ProgressCounter;
use crate::transport::read_write::poll_fill;
use crate::upstream::body::{BadBody, Sender, Upload, UploadEnd};
use crate::worker::context::Worker;

/// Bytes of the head held back by a two-step write: without its last line ending no head is
/// complete (RFC 9112, 2.1), so no server can act on it.
const HELD_BACK: usize = 4;

/// Interim responses (1xx) before a final one; an endpoint that sends more is malformed.
const INTERIM_MAX: u32 = 32;

/// How an attempt went.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// The final response's head was read.
    Response,
    /// It died before that.
    Dead(Facts),
    /// The endpoint sent what is no HTTP response.
    NotHttp(HeadError),
    /// The client's connection ended inside its request.
    ClientLeft,
    /// The client's request body is not one to forward.
    BadBody(BadBody),
    /// A time limit passed.
    Late(Which),
}

/// Sends the request and reads the response's head into `response`.
pub(crate) async fn run(
    lease: &mut Lease<'_>,
    upload: &mut Upload,
    client: &mut RequestBodySource<'_>,
    response: &mut ResponseHead,
    deadlines: &mut AttemptDeadlines<'_>,
) -> Attempted {
    let evidence = FailureEvidence {
        head_len: upload.head_len(),
        first_error: Cell::new(None),
        begun: Cell::new(false),
        early: Cell::new(false),
    };
    engine::stage(Stage::WriteUpstream).await;
    if lease.facts.deserve_a_look()
        && let Some(end) = end_of(&lease.transport)
    {
        return Attempted::Dead(evidence.facts(lease, end));
    }
    let written_at = deadlines.worker.clock.now();
    let doubt_until = lease.doubt_answers_until(written_at);
    let scan = lease.scan();
    let outcome = {
        let connection = &mut **lease;
        let to = Sender {
            transport: &connection.transport,
            written_before: connection.written_before,
        };
        let begun = match connection.writing {
            Writing::Direct => Ok(()),
            Writing::TwoStep => {
                // Seldom, so that requests hold no room for it.
                let mut steps = Box::pin(two_step(deadlines.worker, upload, &to, connection.hold));
                let under_limits = poll_fn(|cx| match steps.as_mut().poll(cx) {
                    Poll::Ready(done) => Poll::Ready(done.map_err(Ended::Died)),
                    Poll::Pending => deadlines.poll_passed(cx, &to, &evidence).map(Err),
                });
                under_limits.await
            }
        };
        match begun {
            Ok(()) => {
                let mut conversation = Conversation {
                    upload,
                    to: &to,
                    client,
                    input: &mut connection.input,
                    response,
                    evidence: &evidence,
                    doubt_until,
                    clock: deadlines.worker.clock,
                    sending: Sending::Request,
                    scan,
                    mended: None,
                    interims: 0,
                    interim: Vec::new(),
                };
                poll_fn(|cx| match conversation.poll(cx, &deadlines.progress) {
                    Poll::Ready(done) => Poll::Ready(done),
                    Poll::Pending => deadlines.poll_passed(cx, &to, &evidence).map(Err),
                })
                .await
            }
            failed => failed,
        }
    };
    upload.note_arrival(deadlines.progress.signs().arrival(deadlines.worker.clock.now()));
    match outcome {
        Ok(()) if lease.is_farewell(response, deadlines.worker.clock.now().since(written_at)) => {
            evidence.begun.set(false);
            Attempted::Dead(evidence.facts(lease, End::Farewell))
        }
        Ok(()) if lease.has_two_answers(response) => {
            evidence.begun.set(false);
            Attempted::Dead(evidence.facts(lease, End::Stale))
        }
        Ok(()) => {
            lease.early = evidence.early.get();
            Attempted::Response
        }
        Err(Ended::Died(End::Stale)) => {
            let end = await_fin(lease).await;
            Attempted::Dead(evidence.facts(lease, end))
        }
        Err(Ended::Died(end)) => Attempted::Dead(evidence.facts(lease, end)),
        Err(Ended::NotHttp(error)) => Attempted::NotHttp(error),
        Err(Ended::ClientLeft) => Attempted::ClientLeft,
        Err(Ended::BadBody(why)) => Attempted::BadBody(why),
        Err(Ended::Late(limit)) => Attempted::Late(limit),
    }
}

/// The client, as far as an attempt needs it.
pub(crate) struct RequestBodySource<'a> {
    pub(crate) transport: &'a Transport,
    /// What was received of it and not consumed.
    pub(crate) input: &'a mut ReadBuffer,
    pub(crate) limits: &'a Limits,
    /// Whether it is told of interim responses; HTTP/1.0 knows none.
    pub(crate) takes_interim: bool,
}

/// What ended the work of an attempt early.
#[derive(Debug)]
enum Ended {
    Died(End),
    NotHttp(HeadError),
    ClientLeft,
    BadBody(BadBody),
    Late(Which),
}

/// Every time limit of an attempt.
pub(crate) struct AttemptDeadlines<'a> {
    worker: &'a Worker,
    alarm: &'a engine::Alarm,
    deadlines: Deadlines,
    progress: ProgressCounter,
    /// An answer is waited for.
    _awaited: engine::Awaited,
}

impl<'a> AttemptDeadlines<'a> {
    /// They run from now on.
    pub(crate) fn begin(
        worker: &'a Worker,
        alarm: &'a engine::Alarm,
        bounds: Bounds,
        upload: &Upload,
    ) -> Self {
        let progress = ProgressCounter::new(worker.clock, upload.finished_at());
        let deadlines = Deadlines::begin(bounds, worker.clock.now());
        alarm.set(deadlines.next(&progress.signs()));
        Self {
            worker,
            alarm,
            deadlines,
            progress,
            _awaited: engine::Awaited::begin(),
        }
    }

    /// Ready once a limit has passed that ends the attempt.
    fn poll_passed(&mut self, cx: &Context<'_>, to: &Sender<'_>, evidence: &FailureEvidence) -> Poll<Ended> {
        if self.progress.has_changed() {
            if self.progress.client_has_ended() {
                self.deadlines.client_ended(self.worker.clock.now());
            }
            self.alarm.set(self.deadlines.next(&self.progress.signs()));
        }
        loop {
            ready!(self.alarm.poll_due(cx));
            let unheard = || !evidence.begun.get() && to.written() > 0 && to.acknowledged() == Some(0);
            let (signs, now) = (self.progress.signs(), self.worker.clock.now());
            self.deadlines.excuse(clock::last_freeze());
            match self.deadlines.passed(&signs, now) {
                Some(Which::Silence | Which::PerTry) if unheard() => {
                    return Poll::Ready(Ended::Died(End::Silent));
                }
                Some(Which::Silence) | None => self.alarm.set(self.deadlines.next(&signs)),
                Some(which) => return Poll::Ready(Ended::Late(which)),
            }
        }
    }
}

/// Writes all of the head but its end, and holds that back until the endpoint can have said that it
/// has closed: a close that is seen meanwhile met an incomplete head, which is proof. So does silence.
async fn two_step(worker: &Worker, upload: &mut Upload, to: &Sender<'_>, hold: Hold) -> Result<(), End> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionReset => End::Reset,
        io::ErrorKind::BrokenPipe => End::BrokenPipe,
        _ => End::Other,
    };
    upload.send_part_of_head(HELD_BACK, to).await.map_err(failed)?;
    let begun = worker.clock.now();
    let mut pause = hold.round_trip;
    loop {
        // In this order: what was acknowledged after a FIN shows the FIN as well.
        let acknowledged = to.acknowledged();
        if let Some(end) = end_of(to.transport) {
            return Err(end);
        }
        let waited = worker.clock.now().since(begun);
        let patient = waited >= hold.patience;
        match acknowledged {
            None if patient => return Ok(()),
            Some(0) if waited >= hold.heard_within() => return Err(End::Silent),
            Some(count) if count >= to.written() && (hold.endpoint_acknowledges || patient) => return Ok(()),
            Some(_) if waited >= hold.answered_within() && !hold.awaits_acknowledgement => return Ok(()),
            _ => {}
        }
        let readable = poll_fn(|cx| to.transport.poll_read_ready(cx));
        let nap = engine::sleep(pause.max(Duration::from_millis(1)));
        first(readable, pin!(nap)).await;
        pause = hold.round_trip / 8;
    }
}

/// Waits for the FIN behind a farewell: it proves more than the farewell, and is hardly behind it.
async fn await_fin(lease: &Lease<'_>) -> End {
    let nap = engine::sleep(lease.hold.patience);
    let ended = poll_fn(|cx| {
        // On the stack: what waits holds no room for what it throws away.
        let mut rest = [0; 1024];
        loop {
            match ready!(lease.transport.poll_read(cx, &mut rest)) {
                Ok(0) => return Poll::Ready(End::Farewell),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Poll::Ready(End::Reset);
                }
                Err(_) => return Poll::Ready(End::Stale),
            }
        }
    });
    match first(ended, pin!(nap)).await {
        First::A(end) => end,
        First::B(()) => End::Stale,
    }
}

/// Whether a connection has ended that nothing was to come on, and how.
fn end_of(transport: &Transport) -> Option<End> {
    match transport.peek(&mut [0]) {
        sys::Peek::Quiet => None,
        sys::Peek::Fin => Some(End::Eof),
        sys::Peek::Bytes(_) => Some(End::Stale),
        sys::Peek::Reset => Some(End::Reset),
        sys::Peek::Failed(_) => Some(End::Other),
    }
}

/// Sending and reading at the same time: an endpoint may answer before it has the whole request.
struct Conversation<'a, 'c> {
    upload: &'a mut Upload,
    to: &'a Sender<'a>,
    client: &'a mut RequestBodySource<'c>,
    input: &'a mut ReadBuffer,
    response: &'a mut ResponseHead,
    evidence: &'a FailureEvidence,
    /// What comes before that may have been on its way before the request.
    doubt_until: Moment,
    clock: Clock,
    sending: Sending,
    /// How far the next head was looked at.
    scan: Scan,
    /// What was mended in an interim response.
    mended: Option<Mend>,
    interims: u32,
    /// What the client has not taken yet of an interim response.
    interim: Vec<u8>,
}

/// What is waited for besides the response.
///
/// ```text
/// Request --sent--> Client --half-closed, or sends its next request--> Nothing
///    '--the endpoint takes no more-----------------------------------------^
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    /// The endpoint takes the request.
    Request,
    /// The client ends its connection, one way or both.
    Client,
    Nothing,
}

impl Conversation<'_, '_> {
    /// Ready with the final head, or with what ended the attempt.
    fn poll(&mut self, cx: &Context<'_>, progress: &ProgressCounter) -> Poll<Result<(), Ended>> {
        if self.sending == Sending::Request
            && let Poll::Ready(ended) = self.poll_send(cx, progress)
        {
            return Poll::Ready(Err(ended));
        }
        if let Poll::Ready(done) = self.poll_head(cx, progress) {
            return Poll::Ready(done);
        }
        // Once the answer has begun, writing it shows whether the client is there.
        if self.sending == Sending::Client && self.input.is_empty() {
            return self.poll_client(cx, progress).map(Err);
        }
        Poll::Pending
    }

    /// Ready if the client ends the attempt.
    fn poll_send(&mut self, cx: &Context<'_>, progress: &ProgressCounter) -> Poll<Ended> {
        let client = &mut *self.client;
        let from = (client.transport, &mut *client.input, client.limits);
        self.sending = match ready!(self.upload.poll_run(cx, self.to, from, progress)) {
            Ok(()) => Sending::Client,
            Err(UploadEnd::ClientLeft) => return Poll::Ready(Ended::ClientLeft),
            Err(UploadEnd::Bad(why)) => return Poll::Ready(Ended::BadBody(why)),
            Err(UploadEnd::Upstream(error)) => {
                // It may have answered all the same, and its reading side tells how it ended.
                self.evidence.note(&error);
                Sending::Nothing
            }
        };
        Poll::Pending
    }

    /// Ready once the client has reset its connection. An end of its sending side is no sure sign: for a
    /// while a client that half-closed is answered.
    fn poll_client(&mut self, cx: &Context<'_>, progress: &ProgressCounter) -> Poll<Ended> {
        let client = self.client.transport;
        loop {
            ready!(client.poll_read_ready_patiently(cx));
            match client.peek(&mut [0]) {
                sys::Peek::Reset | sys::Peek::Failed(_) => return Poll::Ready(Ended::ClientLeft),
                sys::Peek::Quiet => continue,
                sys::Peek::Fin => progress.client_ends(),
                sys::Peek::Bytes(_) => {}
            }
            self.sending = Sending::Nothing;
            return Poll::Pending;
        }
    }

    /// Reads heads until a final one; passes interim ones on.
    fn poll_head(&mut self, cx: &Context<'_>, progress: &ProgressCounter) -> Poll<Result<(), Ended>> {
        let limits = Limits::default();
        loop {
            ready!(self.poll_pass_on(cx));
            if !self.input.is_empty() {
                ready!(engine::poll_stage(cx.waker(), Stage::Process));
                let read = self
                    .response
                    .read(self.input.data(), &mut self.scan, &limits)
                    .map_err(Ended::NotHttp)?;
                if let Some(length) = read {
                    self.input.consume(length);
                    self.mended = self.mended.or(self.response.mended);
                    if self.response.status >= 200 || self.response.status == 101 {
                        self.response.mended = self.mended;
                        return Poll::Ready(Ok(()));
                    }
                    self.interims += 1;
                    if self.interims > INTERIM_MAX {
                        return Poll::Ready(Err(Ended::NotHttp(HeadError::TooManyInterims)));
                    }
                    if self.response.status == 100 {
                        self.upload.continues(progress);
                    }
                    if self.client.takes_interim {
                        super::interim::write(&mut self.interim, self.response);
                    }
                    continue;
                }
            }
            let most = limits.head_bytes + READ_SIZE;
            let acknowledged = self.acknowledged_before(cx);
            match ready!(poll_fill(cx, self.to.transport, self.input, most)) {
                Ok(0) => return Poll::Ready(Err(Ended::Died(self.evidence.meaning()))),
                Ok(_) if acknowledged.is_some_and(|count| self.answers_nothing(cx, count, most)) => {
                    return Poll::Ready(Err(Ended::Died(End::Stale)));
                }
                Ok(_) => {
                    self.evidence.begun.set(true);
                    progress.advance();
                }
                Err(error) => return Poll::Ready(Err(Ended::Died(self.evidence.note(&error)))),
            }
        }
    }

    /// What was acknowledged when the first bytes of a response are about to be read, if these may have been on their
    /// way before the request could have arrived. Asked for before they are read: so the read takes in all that came
    /// with the first acknowledgement, and a second response behind the first one is seen.
    fn acknowledged_before(&self, cx: &Context<'_>) -> Option<u64> {
        if self.evidence.begun.get() || self.clock.now() > self.doubt_until {
            return None;
        }
        let readable = self.to.transport.poll_read_ready(cx).is_ready();
        readable.then(|| self.to.acknowledged()).flatten()
    }

    /// Whether the first bytes that were read answer nothing, where so much had been acknowledged before.
    fn answers_nothing(&mut self, cx: &Context<'_>, before: u64, most: usize) -> bool {
        let mut acknowledged = Some(before);
        if is_stale(acknowledged) {
            // They may have come since, and their acknowledgement with them.
            acknowledged = self.to.acknowledged();
            if is_stale(acknowledged) {
                return true;
            }
            if let Poll::Ready(Err(error)) = poll_fill(cx, self.to.transport, self.input, most) {
                self.evidence.note(&error);
            }
        }
        let sent_whole = self.upload.sent_whole();
        let whole = sent_whole && acknowledged.is_none_or(|count| count >= self.to.written());
        self.evidence.early.set(!whole && !self.upload.expects_continue());
        false
    }

    /// Passes on what there is of an interim response.
    fn poll_pass_on(&mut self, cx: &Context<'_>) -> Poll<()> {
        while !self.interim.is_empty() {
            match ready!(self.client.transport.poll_write(cx, &self.interim)) {
                Ok(count) if count > 0 => drop(self.interim.drain(..count)),
                // A client that is gone shows when the final answer is written.
                _ => self.interim.clear(),
            }
        }
        Poll::Ready(())
    }
}
