//! Bodies in bounded memory: towards the endpoint with a copy for replay, towards the client
//! without.

mod again;

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, DecodeError, Part};
use wire::h1::encode;
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;

use crate::buffer::{READ_SIZE, ReadBuffer};
use crate::engine::{self, Alarm};
use crate::io::{fill, flush, poll_fill, write_both};
use crate::splice::{self, SPLICE_MIN, Stopped};
use crate::transport::Transport;

/// Bodies up to this are copied behind the head, so that both go in one write.
const BEHIND_HEAD: usize = 8 * 1024;

/// Encoded bytes held at most while streaming, once no copy is kept any more.
const WINDOW: usize = 64 * 1024;

/// Reads of one body before the other tasks have a turn.
const TURN: u32 = 32;

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
    outgoing: Vec<u8>,
    base: u64,
    head_len: usize,
    sent: u64,
    copy_max: usize,
    whole: bool,
    finished: bool,
    trailers: Fields,
    /// Ends when it is time to ask again what was acknowledged.
    pause: Option<Alarm>,
    /// Bytes of the body that the client sent.
    pub(crate) received: u64,
}

/// Why an upload stopped.
#[derive(Debug)]
pub(crate) enum UploadEnd {
    /// The endpoint takes no more bytes.
    Upstream(io::Error),
    /// The client's connection ended inside the body.
    ClientLeft,
    /// The client's body is malformed.
    Malformed(DecodeError),
}

/// Signs of life of one exchange, for whoever watches its time limits.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    beats: Cell<u64>,
    awaiting_client: Cell<bool>,
    client_ended: Cell<bool>,
}

impl Pulse {
    /// Something moved.
    pub(crate) fn beat(&self) {
        self.beats.set(self.beats.get() + 1);
    }

    /// How often something moved so far.
    pub(crate) fn beats(&self) -> u64 {
        self.beats.get()
    }

    /// It is the client's turn from now on, or not any more.
    pub(crate) fn awaits_client_now(&self, awaits: bool) {
        self.awaiting_client.set(awaits);
    }

    /// The client has ended its sending side.
    pub(crate) fn client_ends(&self) {
        self.client_ended.set(true);
    }

    /// Whether the client has ended its sending side since this was last asked.
    pub(crate) fn client_has_ended(&self) -> bool {
        self.client_ended.take()
    }

    /// Whether it is the client's turn: more of its body is to come.
    pub(crate) fn awaits_client(&self) -> bool {
        self.awaiting_client.get()
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
        // The SYN of a connection that we opened counts as one byte.
        let before = self.written_before + 1;
        self.transport
            .tcp_facts()
            .map(|facts| facts.bytes_acknowledged.saturating_sub(before))
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.transport.poll_write(cx, bytes)).await
    }
}

impl Upload {
    /// A request whose head is encoded in `outgoing` already and whose body follows.
    pub(crate) fn new(outgoing: Vec<u8>, length: BodyLength, replay_bytes: usize) -> Self {
        let head_len = outgoing.len();
        Self {
            decoder: BodyDecoder::new(length),
            length,
            outgoing,
            base: 0,
            head_len,
            sent: 0,
            copy_max: head_len + replay_bytes,
            whole: true,
            finished: length == BodyLength::None,
            trailers: Fields::default(),
            pause: None,
            received: 0,
        }
    }

    /// Whether the whole request is still here, so that it can be sent again.
    pub(crate) fn can_rewind(&self) -> bool {
        self.whole
    }

    /// Whether the client's body was read to its end.
    pub(crate) fn received_whole(&self) -> bool {
        self.finished
    }

    /// Whether all of the request has been written.
    pub(crate) fn sent_whole(&self) -> bool {
        self.finished && self.sent == self.end()
    }

    /// Length of the encoded head.
    pub(crate) fn head_len(&self) -> usize {
        self.head_len
    }

    /// The encoded request, if it is whole and complete.
    pub(crate) fn complete(&self) -> Option<&[u8]> {
        (self.whole && self.finished).then_some(&self.outgoing)
    }

    /// Gives the buffer back.
    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.outgoing
    }

    /// Starts again for another attempt.
    pub(crate) fn rewind(&mut self) {
        assert!(self.whole, "a request whose copy was dropped is never sent again");
        self.sent = 0;
    }

    fn end(&self) -> u64 {
        self.base + self.outgoing.len() as u64
    }

    /// Writes the head but for its last `held_back` bytes.
    pub(crate) async fn send_part_of_head(&mut self, held_back: usize, to: &Sender<'_>) -> io::Result<()> {
        let until = self.head_len - held_back;
        while (self.sent as usize) < until {
            self.sent += to.write(&self.outgoing[self.sent as usize..until]).await? as u64;
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
        pulse: &Pulse,
    ) -> Poll<Result<(), UploadEnd>> {
        loop {
            let room = self.take_in(input, limits).map_err(UploadEnd::Malformed)?;
            let start = usize::try_from(self.sent - self.base).unwrap_or(usize::MAX);
            if start < self.outgoing.len() {
                let written = to.transport.poll_write(cx, &self.outgoing[start..]);
                let count = ready!(written).map_err(UploadEnd::Upstream)?;
                self.sent += count as u64;
                pulse.beat();
                continue;
            }
            if self.finished {
                return Poll::Ready(Ok(()));
            }
            if !room {
                ready!(self.poll_make_room(cx, to));
                continue;
            }
            pulse.awaiting_client.set(true);
            let came = ready!(poll_fill(cx, from, input, READ_SIZE));
            pulse.awaiting_client.set(false);
            match came {
                Ok(count) if count > 0 => pulse.beat(),
                _ => return Poll::Ready(Err(UploadEnd::ClientLeft)),
            }
        }
    }

    /// Encodes what was received; false if there is no room for more.
    fn take_in(&mut self, input: &mut ReadBuffer, limits: &Limits) -> Result<bool, DecodeError> {
        while !self.finished {
            let most = if self.whole { self.copy_max } else { WINDOW };
            if self.outgoing.len() >= most {
                return Ok(false);
            }
            // What is decoded may exceed the room by one read at most, which bounds it as well.
            let step = self.decoder.decode(input.data(), limits, &mut self.trailers)?;
            match step.part {
                Part::Data(range) => {
                    let data = &input.data()[range];
                    self.received += data.len() as u64;
                    encode_data(&mut self.outgoing, self.length, data);
                }
                Part::End => {
                    encode_end(&mut self.outgoing, self.length, &self.trailers);
                    self.finished = true;
                }
                Part::NeedMore => {
                    input.consume(step.consumed);
                    break;
                }
            }
            input.consume(step.consumed);
        }
        Ok(true)
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
        self.base += self.outgoing.len() as u64;
        self.outgoing.clear();
        Poll::Ready(())
    }
}

/// One response body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    decoder: BodyDecoder,
    /// Its framing towards the client.
    length: BodyLength,
    trailers: Fields,
    /// Bytes of the body sent on.
    pub(crate) relayed: u64,
}

/// How a download began.
#[derive(Debug)]
pub(crate) enum Begin {
    /// All of it was here already, and is to be sent behind the head: so many bytes.
    Whole(u64),
    /// More is to come; [`Download::run`] goes on.
    Rest(Download),
}

/// Why a download stopped before its end.
#[derive(Debug)]
pub(crate) enum DownloadEnd {
    /// The endpoint's connection ended inside the body.
    Upstream,
    /// The endpoint's body is malformed.
    Malformed(DecodeError),
    /// The client takes no more bytes.
    ClientLeft,
}

impl Download {
    /// A body framed as `from` by the endpoint and as `to` for the client.
    pub(crate) fn new((from, to): (BodyLength, BodyLength)) -> Self {
        Self {
            decoder: BodyDecoder::new(from),
            length: to,
            trailers: Fields::default(),
            relayed: 0,
        }
    }

    /// A body framed as `from` by the endpoint and as `to` for the client; taken at once if it has come
    /// whole with its head: a small one is copied into `out`, a large one taken as it is, `behind` that.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn begin(
        framing: (BodyLength, BodyLength),
        input: &mut ReadBuffer,
        out: &mut Vec<u8>,
        behind: &mut ReadBuffer,
        limits: &Limits,
    ) -> Result<Begin, DownloadEnd> {
        let here = input.data().len();
        match framing {
            // Most have a known length, and nothing of them needs decoding.
            (BodyLength::Length(length), BodyLength::Length(_)) if length == here as u64 => {
                if here > BEHIND_HEAD {
                    *behind = std::mem::take(input);
                } else {
                    out.extend_from_slice(input.data());
                    input.consume(here);
                }
                Ok(Begin::Whole(length))
            }
            _ if here > BEHIND_HEAD => Ok(Begin::Rest(Self::new(framing))),
            _ => Self::new(framing).take_whole(input, out, limits),
        }
    }

    fn take_whole(
        mut self,
        input: &mut ReadBuffer,
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Begin, DownloadEnd> {
        loop {
            let step = self
                .decoder
                .decode(input.data(), limits, &mut self.trailers)
                .map_err(DownloadEnd::Malformed)?;
            match step.part {
                Part::Data(range) => {
                    self.relayed += range.len() as u64;
                    encode_data(out, self.length, &input.data()[range]);
                    input.consume(step.consumed);
                }
                Part::End => {
                    input.consume(step.consumed);
                    encode_end(out, self.length, &self.trailers);
                    return Ok(Begin::Whole(self.relayed));
                }
                Part::NeedMore => {
                    input.consume(step.consumed);
                    return Ok(Begin::Rest(self));
                }
            }
        }
    }

    /// Relays to the end. What is left in `out` then is the caller's to flush: the connection to
    /// the endpoint is free before the client has taken the last bytes.
    pub(crate) async fn run(
        &mut self,
        from: &Transport,
        input: &mut ReadBuffer,
        to: &Transport,
        out: &mut Vec<u8>,
        limits: &Limits,
        pulse: &Pulse,
    ) -> Result<(), DownloadEnd> {
        let left = |_| DownloadEnd::ClientLeft;
        let mut reads: u32 = 0;
        loop {
            let step = self
                .decoder
                .decode(input.data(), limits, &mut self.trailers)
                .map_err(DownloadEnd::Malformed)?;
            match step.part {
                Part::Data(range) => {
                    self.relayed += range.len() as u64;
                    pulse.awaiting_client.set(true);
                    self.pass_on(input.data(), range, to, out).await.map_err(left)?;
                    pulse.awaiting_client.set(false);
                    input.consume(step.consumed);
                    pulse.beat();
                }
                Part::End => {
                    input.consume(step.consumed);
                    encode_end(out, self.length, &self.trailers);
                    return Ok(());
                }
                Part::NeedMore => {
                    input.consume(step.consumed);
                    pulse.awaiting_client.set(true);
                    flush(to, out).await.map_err(left)?;
                    pulse.awaiting_client.set(false);
                    if self.splices() && self.splice(from, to, pulse).await? {
                        continue;
                    }
                    match fill(from, input, READ_SIZE).await {
                        Ok(0) => {
                            let decoder =
                                std::mem::replace(&mut self.decoder, BodyDecoder::new(BodyLength::None));
                            decoder.finish_at_eof().map_err(|_| DownloadEnd::Upstream)?;
                            encode_end(out, self.length, &self.trailers);
                            return Ok(());
                        }
                        Ok(_) => pulse.beat(),
                        Err(_) => return Err(DownloadEnd::Upstream),
                    }
                    reads += 1;
                    if reads.is_multiple_of(TURN) {
                        engine::yield_now().await;
                    }
                }
            }
        }
    }

    /// Whether so much follows that need not be looked at that it may pass inside the kernel.
    const fn splices(&self) -> bool {
        self.decoder.plain() >= SPLICE_MIN
            && matches!(self.length, BodyLength::Length(_) | BodyLength::UntilClose)
    }

    /// Passes what need not be looked at; false if there is no pipe to be had.
    async fn splice(&mut self, from: &Transport, to: &Transport, pulse: &Pulse) -> Result<bool, DownloadEnd> {
        let mut passed = 0;
        let result = splice::pass(from, to, self.decoder.plain(), &mut passed, pulse).await;
        self.decoder.passed(passed);
        self.relayed += passed;
        match result {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(Stopped::Source)) => Err(DownloadEnd::Upstream),
            Some(Err(Stopped::Sink)) => Err(DownloadEnd::ClientLeft),
        }
    }

    async fn pass_on(
        &self,
        data: &[u8],
        range: Range<usize>,
        to: &Transport,
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        let data = &data[range];
        if out.len() + data.len() <= BEHIND_HEAD {
            encode_data(out, self.length, data);
            return Ok(());
        }
        if self.length == BodyLength::Chunked {
            encode::chunk_header(out, data.len() as u64);
        }
        write_both(to, out, data).await?;
        out.clear();
        if self.length == BodyLength::Chunked {
            out.extend_from_slice(encode::CHUNK_END);
        }
        Ok(())
    }
}

fn encode_data(out: &mut Vec<u8>, length: BodyLength, data: &[u8]) {
    if length == BodyLength::Chunked {
        encode::chunk_header(out, data.len() as u64);
        out.extend_from_slice(data);
        out.extend_from_slice(encode::CHUNK_END);
    } else {
        out.extend_from_slice(data);
    }
}

fn encode_end(out: &mut Vec<u8>, length: BodyLength, trailers: &Fields) {
    if length == BodyLength::Chunked {
        encode::last_chunk(out, trailers);
    }
}
