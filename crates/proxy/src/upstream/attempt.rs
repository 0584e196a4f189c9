//! One attempt: send, await the response's head; and if it dies, the facts of its death.

use std::cell::Cell;
use std::io;
use std::pin::{Pin, pin};
use std::time::Duration;

use policy::deadline::{Bounds, Deadlines, Which};
use policy::evidence::{End, Facts, Written};
use wire::h1::decode::DecodeError;
use wire::h1::head::{HeadError, Limits, ResponseHead, Scan};

use super::connection::Connection;
use super::lease::Lease;
use crate::body::{Pulse, Sender, Upload, UploadEnd};
use crate::buffer::{READ_SIZE, ReadBuffer};
use crate::downstream::client::Client;
use crate::engine;
use crate::io::{fill, write_all};
use crate::transport::Transport;
use crate::wait::{First, first, within};
use crate::worker::Worker;

/// Bytes of the head held back by a two-step write: without its last line ending no head is
/// complete (RFC 9112, 2.1), so no server can act on it.
const HELD_BACK: usize = 4;

/// A two-step write waits at most this long for its first part's fate, however slow the path.
const TWO_STEP_MAX: Duration = Duration::from_millis(50);

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
    /// The client's request body is malformed.
    ClientMalformed(DecodeError),
    /// A time limit passed.
    Late(Which),
}

/// Sends the request and reads the response's head into `response`.
pub(crate) async fn run(
    worker: &Worker,
    lease: &mut Lease<'_>,
    upload: &mut Upload,
    client: Speaker<'_>,
    response: &mut ResponseHead,
    bounds: Bounds,
) -> Attempted {
    let pulse = Pulse::default();
    let autopsy = Autopsy {
        head_len: upload.head_len(),
        first_error: Cell::new(None),
        begun: Cell::new(false),
    };
    let outcome = {
        let Connection {
            transport,
            input,
            written_before,
            writing,
            round_trip,
            ..
        } = &mut **lease;
        let sender = Sender {
            transport,
            written_before: *written_before,
        };
        let alarm = client.alarm;
        let work = async {
            if *writing == policy::cluster::Writing::TwoStep {
                two_step(worker, upload, &sender, *round_trip)
                    .await
                    .map_err(Ended::Died)?;
            }
            converse(upload, &sender, client, input, response, &autopsy, &pulse).await
        };
        under_limits(worker, alarm, bounds, &sender, &autopsy, &pulse, pin!(work)).await
    };
    match outcome {
        Ok(()) => Attempted::Response,
        Err(Ended::Died(end)) => Attempted::Dead(autopsy.facts(lease, end)),
        Err(Ended::NotHttp(error)) => Attempted::NotHttp(error),
        Err(Ended::ClientLeft) => Attempted::ClientLeft,
        Err(Ended::ClientMalformed(error)) => Attempted::ClientMalformed(error),
        Err(Ended::Late(limit)) => Attempted::Late(limit),
    }
}

/// The client, as far as an attempt needs it.
pub(crate) struct Speaker<'a> {
    pub(crate) transport: &'a Transport,
    /// What was received of it and not consumed.
    pub(crate) input: &'a mut ReadBuffer,
    pub(crate) limits: &'a Limits,
    /// The attempt's time limits are watched by it.
    pub(crate) alarm: &'a engine::Alarm,
    /// Whether it is told of interim responses; HTTP/1.0 knows none.
    pub(crate) takes_interim: bool,
}

impl<'a> Speaker<'a> {
    /// For the only attempt at its time.
    pub(crate) fn of(client: &'a mut Client) -> Self {
        Self {
            transport: &client.connection.transport,
            input: &mut client.input,
            limits: &client.limits,
            alarm: &client.alarm,
            takes_interim: !client.http_10,
        }
    }
}

/// What ended the work of an attempt early.
#[derive(Debug)]
enum Ended {
    Died(End),
    NotHttp(HeadError),
    ClientLeft,
    ClientMalformed(DecodeError),
    Late(Which),
}

/// What is remembered for the case that the attempt dies.
#[derive(Debug)]
struct Autopsy {
    head_len: usize,
    /// The first failing call's error. After a bare RST the first call says ECONNRESET and takes
    /// the error away; a read after it says end of file, like after a FIN.
    first_error: Cell<Option<io::ErrorKind>>,
    /// A byte of the response was received.
    begun: Cell<bool>,
}

impl Autopsy {
    fn facts(&self, lease: &Lease<'_>, end: End) -> Facts {
        let written = match lease.written() {
            0 => Written::Nothing,
            part if part < self.head_len as u64 => Written::PartOfHead,
            _ => Written::WholeHead,
        };
        // At once: an endpoint that half-closed and drains acknowledges what comes later.
        let acknowledged = lease.acknowledged();
        Facts {
            written,
            end,
            ended_before_write: false,
            head_bytes: self.head_len as u64,
            acknowledged,
            response_begun: self.begun.get(),
        }
    }

    /// Notes a failed call; says what it means for the connection.
    fn note(&self, error: &io::Error) -> End {
        if self.first_error.get().is_none() {
            self.first_error.set(Some(error.kind()));
        }
        self.meaning()
    }

    /// What the first failing call said, or an end of file with none before it.
    fn meaning(&self) -> End {
        match self.first_error.get() {
            None => End::Eof,
            Some(io::ErrorKind::BrokenPipe) => End::BrokenPipe,
            Some(io::ErrorKind::ConnectionReset) => End::Reset,
            Some(_) => End::Other,
        }
    }
}

/// Waits for `work` under every time limit of the attempt.
async fn under_limits(
    worker: &Worker,
    alarm: &engine::Alarm,
    bounds: Bounds,
    sender: &Sender<'_>,
    autopsy: &Autopsy,
    pulse: &Pulse,
    mut work: Pin<&mut impl Future<Output = Result<(), Ended>>>,
) -> Result<(), Ended> {
    let mut deadlines = Deadlines::begin(bounds, worker.clock.now());
    loop {
        alarm.set(deadlines.next());
        if let Ok(done) = within(alarm, work.as_mut()).await {
            return done;
        }
        let unheard = || !autopsy.begun.get() && sender.written() > 0 && sender.acknowledged() == Some(0);
        match deadlines.passed(pulse.beats(), pulse.awaits_client(), worker.clock.now()) {
            Some(Which::Silence | Which::PerTry) if unheard() => return Err(Ended::Died(End::Silent)),
            Some(Which::Silence) | None => {}
            Some(which) => return Err(Ended::Late(which)),
        }
    }
}

/// Writes all of the head but its end, and waits for about a round trip: a close that is seen
/// meanwhile met an incomplete head, which is proof.
async fn two_step(
    worker: &Worker,
    upload: &mut Upload,
    to: &Sender<'_>,
    round_trip: Duration,
) -> Result<(), End> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionReset => End::Reset,
        io::ErrorKind::BrokenPipe => End::BrokenPipe,
        _ => End::Other,
    };
    upload.send_part_of_head(HELD_BACK, to).await.map_err(failed)?;
    // A close that was on its way when the first part arrived is here a round trip after that was
    // sent. Waiting for the acknowledgement would be certain, but endpoints delay it, by 40 ms.
    let patience = round_trip + round_trip / 4 + Duration::from_millis(1);
    let until = worker.clock.now() + patience.min(TWO_STEP_MAX);
    loop {
        // In this order: what was acknowledged after a FIN shows the FIN as well.
        let acknowledged = to.acknowledged();
        match to.transport.peek(&mut [0]) {
            sys::Peek::Quiet => {}
            // Bytes that answer nothing (a 408, say): the connection is over.
            sys::Peek::Fin | sys::Peek::Bytes(_) => return Err(End::Eof),
            sys::Peek::Reset => return Err(End::Reset),
            sys::Peek::Failed(_) => return Err(End::Other),
        }
        let arrived = acknowledged.is_none_or(|count| count >= to.written());
        if arrived || worker.clock.now() >= until {
            return Ok(());
        }
        let readable = std::future::poll_fn(|cx| to.transport.poll_read_ready(cx));
        let pause = engine::sleep((round_trip / 4).max(Duration::from_millis(1)));
        first(readable, pin!(pause)).await;
    }
}

/// Sends and reads at the same time: an endpoint may answer before it has the whole request.
async fn converse(
    upload: &mut Upload,
    to: &Sender<'_>,
    client: Speaker<'_>,
    input: &mut ReadBuffer,
    response: &mut ResponseHead,
    autopsy: &Autopsy,
    pulse: &Pulse,
) -> Result<(), Ended> {
    let sending = async {
        match upload
            .run(to, client.transport, client.input, client.limits, pulse)
            .await
        {
            Ok(()) => watch_for_reset(client.transport).await,
            Err(UploadEnd::ClientLeft) => Ended::ClientLeft,
            Err(UploadEnd::Malformed(error)) => Ended::ClientMalformed(error),
            Err(UploadEnd::Upstream(error)) => {
                // It may have answered all the same, and its reading side tells how it ended.
                autopsy.note(&error);
                std::future::pending().await
            }
        }
    };
    let interim = client.takes_interim.then_some(client.transport);
    let reading = read_final_head(to.transport, input, response, autopsy, interim);
    match first(pin!(sending), pin!(reading)).await {
        First::A(ended) => Err(ended),
        First::B(done) => done,
    }
}

/// Waits for the client to reset its connection. An end of its sending side is no such sign: a
/// client that half-closed still wants its answer.
async fn watch_for_reset(client: &Transport) -> Ended {
    loop {
        std::future::poll_fn(|cx| client.poll_read_ready(cx)).await;
        match client.peek(&mut [0]) {
            sys::Peek::Reset | sys::Peek::Failed(_) => return Ended::ClientLeft,
            sys::Peek::Quiet => {}
            sys::Peek::Fin | sys::Peek::Bytes(_) => std::future::pending().await,
        }
    }
}

/// Waits for the client to leave while its request waits for a connection. Nothing was sent for it
/// yet, so an end of its sending side counts: clients that gave up look like this, and those that
/// half-close and then wait in a queue hardly exist.
pub(crate) async fn watch_for_leave(client: &Transport) {
    loop {
        std::future::poll_fn(|cx| client.poll_read_ready(cx)).await;
        match client.peek(&mut [0]) {
            sys::Peek::Fin | sys::Peek::Reset | sys::Peek::Failed(_) => return,
            sys::Peek::Quiet => {}
            sys::Peek::Bytes(_) => std::future::pending().await,
        }
    }
}

/// Reads heads until a final one; passes interim ones on.
async fn read_final_head(
    from: &Transport,
    input: &mut ReadBuffer,
    response: &mut ResponseHead,
    autopsy: &Autopsy,
    interim: Option<&Transport>,
) -> Result<(), Ended> {
    let limits = Limits::default();
    let mut out = Vec::new();
    let mut scan = Scan::default();
    let mut interims = 0;
    loop {
        if !input.is_empty() {
            let read = response
                .read(input.data(), &mut scan, &limits)
                .map_err(Ended::NotHttp)?;
            if let Some(length) = read {
                input.consume(length);
                scan = Scan::default();
                if response.status >= 200 || response.status == 101 {
                    return Ok(());
                }
                interims += 1;
                if interims > INTERIM_MAX {
                    return Err(Ended::NotHttp(HeadError::TooLarge));
                }
                if let Some(client) = interim {
                    out.clear();
                    crate::forward::interim(&mut out, response);
                    // A client that is gone shows when the final answer is written.
                    let _ = write_all(client, &out).await;
                }
                continue;
            }
        }
        match fill(from, input, limits.head_bytes + READ_SIZE).await {
            Ok(0) => return Err(Ended::Died(autopsy.meaning())),
            Ok(_) => autopsy.begun.set(true),
            Err(error) => return Err(Ended::Died(autopsy.note(&error))),
        }
    }
}
