//! A request on its way to an endpoint, with the copy of it that a replay needs.

mod again;

use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use policy::deadline::{Arrival, Turn};
use policy::time::Moment;
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, DecodeError, Part};
use wire::h1::encode::{self, CHUNK_END};
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;
use wire::hop::Named;

use super::copy::{self, CopyReceiver, CopySender, NoCopy};
use super::outgoing::Outgoing;
use super::{IN_PLACE_MIN, encode_data, encode_end};
use crate::engine::{self, Alarm};
use crate::transport::Transport;
use crate::transport::buffer::{READ_SIZE, ReadBuffer, SMALL_READ_SIZE};
use crate::transport::progress::{Direction, ProgressCounter};
use crate::transport::read_write::poll_fill;

/// What one read takes while streaming, once no copy is kept any more: all that an upload in flight holds
/// while its endpoint is slow.
const STREAM_READ: usize = SMALL_READ_SIZE;

/// While streaming, chunks below this are gathered into one write; others are sent from where they came.
const GATHERED_CHUNK: usize = 2 * 1024;

/// Bytes that are gathered at most.
const GATHERED: usize = 8 * 1024;

/// Room that a chunk's framing takes at most.
const FRAMING_MAX: usize = 24;

/// One request on its way to an endpoint: everything that was or will be written, head first.
///
/// ```text
/// Whole --buffer full, a byte acknowledged--> Streaming     (can no longer be sent again)
/// ```
/// What is written is what is kept: while the copy is whole, sending again is rewinding.
#[derive(Debug)]
pub(crate) struct Upload {
    decoder: BodyDecoder,
    length: BodyLength,
    /// The encoded request from `base` on.
    outgoing: Outgoing,
    base: u64,
    head_len: usize,
    sent: u64,
    copy_max: usize,
    /// While streaming: so many bytes of the body are at the front of what was received, to be sent from
    /// there behind what is encoded.
    direct: u32,
    whole: bool,
    /// When its last byte had come from the client; [`Moment::NEVER`] while more is to come.
    finished_at: Moment,
    /// The client waits for the endpoint's word before it sends its body (RFC 9110, 10.1.1).
    expects_continue: bool,
    /// How much of it had come when the last attempt ended.
    arrival: Arrival,
    trailers: Fields,
    /// Ends when it is time to ask again what was acknowledged.
    pause: Option<Alarm>,
    /// Bytes of the body that the client sent.
    pub(crate) received: u64,
    /// Most bytes that it may have.
    most: u64,
    /// Somebody waits for a copy of it.
    copy: Option<CopySender>,
}

/// Why an upload stopped.
#[derive(Debug)]
pub(crate) enum UploadEnd {
    /// The endpoint takes no more bytes.
    Upstream(io::Error),
    /// The client's connection ended inside the body.
    ClientLeft,
    /// The client's body is not one to forward.
    Bad(BadBody),
}

/// Why a client's body is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadBody {
    /// It is malformed.
    Malformed(DecodeError),
    /// It has more bytes than its owner takes.
    TooLarge,
}

impl From<DecodeError> for BadBody {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

/// The sending half of a lease.
#[derive(Debug)]
pub(crate) struct Sender<'a> {
    pub(crate) transport: &'a Transport,
    /// Bytes that earlier requests wrote on the connection.
    pub(crate) written_before: u64,
}

impl Sender<'_> {
    /// Bytes that this attempt wrote.
    pub(crate) fn written(&self) -> u64 {
        self.transport.sent() - self.written_before
    }

    /// Bytes of this attempt that the peer has acknowledged; `None` where nobody can tell.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        let acknowledged = self.transport.acknowledged()?;
        Some(acknowledged.saturating_sub(self.written_before))
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.transport.poll_write(cx, bytes)).await
    }
}

impl Upload {
    /// A request whose head, which had come at `now`, is encoded in `outgoing` already and whose body
    /// follows.
    pub(crate) fn new(outgoing: Vec<u8>, length: BodyLength, replay_bytes: usize, now: Moment) -> Self {
        let head_len = outgoing.len();
        let finished_at = if length == BodyLength::None {
            now
        } else {
            Moment::NEVER
        };
        Self {
            decoder: BodyDecoder::new(length),
            length,
            outgoing: outgoing.into(),
            base: 0,
            head_len,
            sent: 0,
            copy_max: head_len + replay_bytes,
            direct: 0,
            whole: true,
            finished_at,
            expects_continue: false,
            arrival: Arrival::Coming,
            trailers: Fields::default(),
            pause: None,
            received: 0,
            most: u64::MAX,
            copy: None,
        }
    }

    /// No more than so many bytes of the body are taken. To be said before any of it is read.
    pub(crate) fn at_most(&mut self, bytes: Option<u64>) {
        self.most = bytes.unwrap_or(u64::MAX);
    }

    /// Leaves out the trailers that the request's `Connection` names. To be said before any of the body is read.
    pub(crate) fn without(&mut self, named: Named) {
        if self.length == BodyLength::Chunked {
            self.decoder = BodyDecoder::new(self.length).without(named);
        }
    }

    /// Takes the body from `input` as it is there, if it is there whole, nothing is behind it, and it may be kept:
    /// then nothing of it is copied.
    pub(crate) fn reuse_receive_buffer(&mut self, input: &mut ReadBuffer, now: Moment) {
        let here = input.data().len();
        let whole = self.length == BodyLength::Length(here as u64);
        if whole
            && here >= IN_PLACE_MIN
            && here <= self.copy_max - self.head_len
            && self.outgoing.reuse_receive_buffer(input)
        {
            (self.received, self.finished_at) = (here as u64, now);
        }
    }

    /// The client sends its body once the endpoint has asked for it, or after a while.
    pub(crate) fn expect_continue(&mut self) {
        self.expects_continue = true;
    }

    /// Whether the client waits for the endpoint's word.
    pub(crate) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The endpoint has asked for the body.
    pub(crate) fn continues(&mut self, progress: &ProgressCounter) {
        if std::mem::take(&mut self.expects_continue) && !self.received_whole() {
            progress.turn(Direction::Up, Turn::Client);
        }
    }

    /// When the request's last byte had come from the client; `None` while more is to come.
    pub(crate) fn finished_at(&self) -> Option<Moment> {
        (self.finished_at != Moment::NEVER).then_some(self.finished_at)
    }

    /// An attempt has ended.
    pub(crate) fn note_arrival(&mut self, arrival: Arrival) {
        self.arrival = arrival;
    }

    /// How much of the request had come when the last attempt ended.
    pub(crate) fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// Whether the whole request is still here, so that it can be sent again.
    pub(crate) fn can_rewind(&self) -> bool {
        self.whole
    }

    /// Whether the client's body was read to its end.
    pub(crate) fn received_whole(&self) -> bool {
        self.finished_at != Moment::NEVER
    }

    /// Whether all of the request has been written.
    pub(crate) fn sent_whole(&self) -> bool {
        self.received_whole() && self.sent == self.end()
    }

    /// How the request's body is framed.
    pub(crate) fn length(&self) -> BodyLength {
        self.length
    }

    /// Length of the encoded head.
    pub(crate) fn head_len(&self) -> usize {
        self.head_len
    }

    /// The encoded request, if it is whole and complete.
    pub(crate) fn complete(&self) -> Option<&[u8]> {
        (self.whole && self.received_whole()).then(|| self.outgoing.bytes())
    }

    /// Promises a copy of the encoded request, which has not come whole: it is left as soon as it has.
    pub(crate) fn promise_copy(&mut self) -> CopyReceiver {
        let (sender, receiver) = copy::copy();
        self.copy = Some(sender);
        receiver
    }

    /// Gives the buffer back.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.outgoing.into_buffer()
    }

    /// Starts again for another attempt.
    pub(crate) fn rewind(&mut self) {
        assert!(self.whole, "a request whose copy was dropped is never sent again");
        self.sent = 0;
    }

    fn end(&self) -> u64 {
        self.base + self.outgoing.len() as u64 + u64::from(self.direct)
    }

    /// Writes the head but for its last `held_back` bytes.
    pub(crate) async fn send_part_of_head(&mut self, held_back: usize, to: &Sender<'_>) -> io::Result<()> {
        let until = self.head_len - held_back;
        while (self.sent as usize) < until {
            self.sent += to
                .write(&self.outgoing.bytes()[self.sent as usize..until])
                .await? as u64;
        }
        Ok(())
    }

    /// Sends what there is, and the client's body as it comes: by its transport, behind what was
    /// received already, under its limits. Can be left at any point and called again.
    pub(crate) fn poll_run(
        &mut self,
        cx: &Context<'_>,
        to: &Sender<'_>,
        (from, input, limits): (&Transport, &mut ReadBuffer, &Limits),
        progress: &ProgressCounter,
    ) -> Poll<Result<(), UploadEnd>> {
        loop {
            let room = self
                .take_in(input, limits, || progress.request_is_whole())
                .map_err(UploadEnd::Bad)?;
            if self.sent < self.end() {
                ready!(self.poll_write(cx, to, input)).map_err(UploadEnd::Upstream)?;
                progress.advance();
                continue;
            }
            if self.received_whole() {
                return Poll::Ready(Ok(()));
            }
            if !room {
                ready!(self.poll_make_room(cx, to));
                continue;
            }
            if !self.expects_continue {
                progress.turn(Direction::Up, Turn::Client);
            }
            let most = if self.whole { READ_SIZE } else { STREAM_READ };
            let came = match poll_fill(cx, from, input, most) {
                Poll::Ready(came) => came,
                Poll::Pending => {
                    if !self.whole {
                        *self.outgoing.own() = Vec::new();
                    }
                    return Poll::Pending;
                }
            };
            progress.turn(Direction::Up, Turn::Endpoint);
            self.expects_continue = false;
            match came {
                Ok(count) if count > 0 => progress.advance(),
                _ => return Poll::Ready(Err(UploadEnd::ClientLeft)),
            }
        }
    }

    /// Writes what is encoded, and then what is sent from where it was received.
    fn poll_write(
        &mut self,
        cx: &Context<'_>,
        to: &Sender<'_>,
        input: &mut ReadBuffer,
    ) -> Poll<io::Result<()>> {
        let start = usize::try_from(self.sent - self.base).unwrap_or(usize::MAX);
        let encoded = &self.outgoing.bytes()[start..];
        let (rest, direct) = (encoded.len(), &input.data()[..self.direct as usize]);
        let count = ready!(match (encoded, direct) {
            (all, []) | ([], all) => to.transport.poll_write(cx, all),
            (first, second) => to.transport.poll_write_both(cx, first, second),
        })?;
        self.sent += count as u64;
        if self.whole || count < rest {
            return Poll::Ready(Ok(()));
        }
        self.outgoing.own().clear();
        self.base = self.sent;
        if self.direct > 0 {
            input.consume(count - rest);
            self.direct -= (count - rest) as u32;
            if self.direct == 0 && self.length == BodyLength::Chunked {
                self.outgoing.own().extend_from_slice(CHUNK_END);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Encodes what was received; false if there is no room for more. `now` is asked for at the end.
    fn take_in(
        &mut self,
        input: &mut ReadBuffer,
        limits: &Limits,
        now: impl Fn() -> Moment,
    ) -> Result<bool, BadBody> {
        while !self.received_whole() && self.direct == 0 {
            if self.received > self.most {
                return Err(BadBody::TooLarge);
            }
            let room = self.room();
            if room == 0 {
                return Ok(!self.whole);
            }
            let here = input.data().len();
            let seen = &input.data()[..here.min(room)];
            let step = self.decoder.decode(seen, limits, &mut self.trailers)?;
            match step.part {
                Part::Data(range) => {
                    self.received += range.len() as u64;
                    if self.received > self.most {
                        return Err(BadBody::TooLarge);
                    }
                    self.take_data(input, range);
                    if self.decoder.has_ended() {
                        self.finish(now());
                    }
                }
                Part::End => {
                    encode_end(self.outgoing.own(), self.length, &self.trailers);
                    self.finish(now());
                    input.consume(step.consumed);
                }
                Part::NeedMore => {
                    input.consume(step.consumed);
                    if input.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(true)
    }

    /// The request has come whole.
    fn finish(&mut self, now: Moment) {
        self.finished_at = now;
        if let Some(copy) = self.copy.take() {
            copy.leave(self.complete().ok_or(NoCopy::TooLarge));
        }
    }

    /// How much of the body may be encoded now.
    fn room(&self) -> usize {
        let held = self.outgoing.len();
        let framing = match self.length {
            BodyLength::Chunked => FRAMING_MAX,
            _ => 0,
        };
        match self.whole {
            true => self.copy_max.saturating_sub(held + framing),
            false if held >= GATHERED => 0,
            false => usize::MAX,
        }
    }

    /// Takes data that is at `range` of what was received.
    fn take_data(&mut self, input: &mut ReadBuffer, range: Range<usize>) {
        let count = range.len();
        let chunked = self.length == BodyLength::Chunked;
        let own = self.outgoing.own();
        if self.whole || chunked && count < GATHERED_CHUNK {
            let needed = own.len() + count + FRAMING_MAX;
            if self.whole && own.capacity() < needed {
                let rest = match self.length {
                    BodyLength::Length(length) => {
                        self.head_len + usize::try_from(length).unwrap_or(usize::MAX)
                    }
                    _ => needed.max(2 * own.capacity()),
                };
                own.reserve_exact(rest.min(self.copy_max).max(needed) - own.len());
            }
            encode_data(own, self.length, &input.data()[range.clone()]);
            input.consume(range.end);
            return;
        }
        if chunked {
            encode::chunk_header(own, count as u64);
        }
        input.consume(range.start);
        self.direct = count as u32;
    }

    /// The buffer is full and sent. As long as TCP has acknowledged nothing of it, the request may
    /// still turn out unreceived, so the copy is kept and the client waits: one round trip at most.
    fn poll_make_room(&mut self, cx: &Context<'_>, to: &Sender<'_>) -> Poll<()> {
        const LOOK_AGAIN: Duration = Duration::from_millis(1);
        while self.whole && to.acknowledged() == Some(0) {
            let pause = self.pause.get_or_insert_with(|| engine::alarm_in(LOOK_AGAIN));
            ready!(pause.poll_due(cx));
            self.pause = None;
        }
        self.pause = None;
        self.whole = false;
        if let Some(copy) = self.copy.take() {
            copy.leave(Err(NoCopy::TooLarge));
        }
        self.base += self.outgoing.len() as u64;
        // The copy's memory is given back with it.
        *self.outgoing.own() = Vec::new();
        Poll::Ready(())
    }
}
