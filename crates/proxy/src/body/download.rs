//! A response's body on its way to the client.

use std::io;
use std::ops::Range;

use policy::deadline::Turn;
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, DecodeError, Part, Step};
use wire::h1::encode;
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;
use wire::hop::Named;

use super::{Direction, IN_PLACE_MIN, Pulse, encode_data, encode_end};
use crate::buffer::{READ_SIZE, ReadBuffer};
use crate::io::{fill, flush, write_both};
use crate::splice::{self, SPLICE_MIN, Stopped};
use crate::transport::Transport;

/// Bodies up to this are copied behind the head, so that both go in one write.
const BEHIND_HEAD: usize = 8 * 1024;

/// One response body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    decoder: BodyDecoder,
    /// Its framing towards the client.
    length: BodyLength,
    trailers: Fields,
    /// Bytes of the body passed on, some of which may not have been sent yet.
    pub(crate) relayed: u64,
    /// Bytes that its framing adds to them.
    framing: u64,
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
    /// … by an RST.
    UpstreamReset,
    /// The endpoint's body is malformed.
    Malformed(DecodeError),
    /// The client takes no more bytes.
    ClientLeft,
}

impl Download {
    /// A body framed as `from` by the endpoint and as `to` for the client; `named` trailers end here.
    pub(crate) fn new((from, to): (BodyLength, BodyLength), named: Named) -> Self {
        Self {
            decoder: BodyDecoder::new(from).without(named),
            length: to,
            trailers: Fields::default(),
            relayed: 0,
            framing: 0,
        }
    }

    /// A body framed as `from` by the endpoint and as `to` for the client; taken at once if it has come
    /// whole with its head: a small one is copied into `out`, a large one taken as it is, `behind` that.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn begin(
        framing: (BodyLength, BodyLength),
        named: Named,
        (input, limits): (&mut ReadBuffer, &Limits),
        (out, behind): (&mut Vec<u8>, &mut ReadBuffer),
    ) -> Result<Begin, DownloadEnd> {
        let here = input.data().len();
        match framing {
            // Most have a known length, and nothing of them needs decoding.
            (BodyLength::Length(length), BodyLength::Length(_)) if length == here as u64 => {
                if here >= IN_PLACE_MIN {
                    *behind = std::mem::take(input);
                } else {
                    out.extend_from_slice(input.data());
                    input.consume(here);
                }
                Ok(Begin::Whole(length))
            }
            _ if here > BEHIND_HEAD => Ok(Begin::Rest(Self::new(framing, named))),
            _ => Self::new(framing, named).take_whole(input, out, limits),
        }
    }

    fn take_whole(
        mut self,
        input: &mut ReadBuffer,
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<Begin, DownloadEnd> {
        loop {
            let step = self.step(input, limits)?;
            match step.part {
                Part::Data(range) => {
                    self.count(range.len());
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
        pulse: &Pulse<'_>,
    ) -> Result<(), DownloadEnd> {
        let left = |_| DownloadEnd::ClientLeft;
        loop {
            let step = self.step(input, limits)?;
            match step.part {
                Part::Data(range) => {
                    self.count(range.len());
                    pulse.turn(Direction::Down, Turn::Client);
                    self.pass_on(input.data(), range, to, out).await.map_err(left)?;
                    pulse.turn(Direction::Down, Turn::Endpoint);
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
                    pulse.turn(Direction::Down, Turn::Client);
                    flush(to, out).await.map_err(left)?;
                    pulse.turn(Direction::Down, Turn::Endpoint);
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
                        Err(_) => return Err(DownloadEnd::UpstreamReset),
                    }
                }
            }
        }
    }

    /// Bytes that the body takes so far, as it is framed for the client.
    pub(crate) fn encoded(&self) -> u64 {
        self.relayed + self.framing
    }

    fn count(&mut self, data: usize) {
        self.relayed += data as u64;
        if self.length == BodyLength::Chunked {
            self.framing += encode::chunk_framing(data as u64);
        }
    }

    /// Bytes of the body among the `sent` bytes that the client's connection took, of which `head` are none
    /// of it.
    pub(crate) fn sent_of(&self, sent: u64, head: u64) -> u64 {
        let wire = sent.saturating_sub(head);
        match self.length {
            // What is left of a chunk's framing may count as body: some bytes.
            BodyLength::Chunked => wire.saturating_sub(self.framing).min(self.relayed),
            _ => wire,
        }
    }

    /// What comes next of the body in what was received.
    fn step(&mut self, input: &ReadBuffer, limits: &Limits) -> Result<Step, DownloadEnd> {
        let step = self.decoder.decode(input.data(), limits, &mut self.trailers);
        step.map_err(DownloadEnd::Malformed)
    }

    /// Whether so much follows that need not be looked at that it may pass inside the kernel.
    const fn splices(&self) -> bool {
        self.decoder.plain() >= SPLICE_MIN
            && matches!(self.length, BodyLength::Length(_) | BodyLength::UntilClose)
    }

    /// Passes what need not be looked at; false if there is no pipe to be had.
    async fn splice(
        &mut self,
        from: &Transport,
        to: &Transport,
        pulse: &Pulse<'_>,
    ) -> Result<bool, DownloadEnd> {
        let mut passed = 0;
        let result = splice::pass(from, to, self.decoder.plain(), &mut passed, pulse).await;
        self.decoder.passed(passed);
        self.relayed += passed;
        match result {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(Stopped::Source)) => Err(DownloadEnd::Upstream),
            Some(Err(Stopped::SourceReset)) => Err(DownloadEnd::UpstreamReset),
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
