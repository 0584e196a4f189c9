//! A response's body on its way to the client.

mod reframe;
mod taken;

use std::future::poll_fn;
use std::mem::discriminant;

use policy::deadline::Turn;
use wire::field::Fields;
use wire::h1::decode::{BodyDecoder, Boundary, DecodeError, Step};
use wire::h1::framing::BodyLength;
use wire::h1::head::Limits;
use wire::hop::Named;

use super::{IN_PLACE_MIN, encode_end};
use crate::transport::Transport;
use crate::transport::buffer::{READ_SIZE, ReadBuffer};
use crate::transport::progress::{Direction, ProgressCounter};
use crate::transport::read_write::fill;
use crate::transport::splice::{self, SPLICE_MIN, Stopped};
pub(crate) use taken::Taken;

/// The last bytes of a body up to this go into the client's buffer, so that its connection is free for others before
/// the client has taken them.
const BEHIND_HEAD: usize = 8 * 1024;

/// One response body on its way to the client.
#[derive(Debug)]
pub(crate) struct Download {
    decoder: BodyDecoder,
    /// Its framing as it comes …
    from: BodyLength,
    /// … and towards the client.
    to: BodyLength,
    trailers: Fields,
    /// Bytes of the body passed on, some of which may not have been sent yet.
    relayed: u64,
    /// What the client took of them.
    taken: Taken,
    /// Bytes that pass inside the kernel.
    spliced: u64,
    /// The client has had a byte of the response.
    has_begun: bool,
}

/// How a download began.
#[derive(Debug)]
pub(crate) enum Begin {
    /// All of it was here already, and is to be sent behind the head: so many bytes.
    Whole(u64),
    /// More is to come; [`Download::run`] goes on.
    Pending(Box<Download>),
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
    /// A body framed as `from` by the endpoint and as `to` for the client, behind a head of so many bytes; `named`
    /// trailers end here.
    pub(crate) fn new((from, to): (BodyLength, BodyLength), named: Named, head: usize) -> Self {
        Self {
            decoder: BodyDecoder::new(from).without(named),
            from,
            to,
            trailers: Fields::default(),
            relayed: 0,
            taken: Taken::nothing(to, head),
            spliced: 0,
            has_begun: false,
        }
    }

    /// A body framed as `from` by the endpoint and as `to` for the client; taken at once if it has come
    /// whole with its head: a small one is copied into `out`, a large one taken as it is, `body_tail` that.
    ///
    /// # Errors
    /// It is malformed.
    pub(crate) fn begin(
        framing: (BodyLength, BodyLength),
        named: Named,
        (input, limits): (&mut ReadBuffer, &Limits),
        (out, body_tail): (&mut Vec<u8>, &mut ReadBuffer),
    ) -> Result<Begin, DownloadEnd> {
        let here = input.data().len();
        let mut in_part = here == 0 || here > BEHIND_HEAD;
        let whole = match framing {
            // Most have a known length, and nothing of them needs decoding.
            (BodyLength::Length(length), BodyLength::Length(_)) => (length == here as u64).then_some(length),
            (BodyLength::Chunked, BodyLength::Chunked) => {
                let mut decoder = BodyDecoder::new(BodyLength::Chunked);
                let run = decoder.run(input.data());
                // What can go on from where it is, does.
                in_part |= run.bytes > 0 && !decoder.has_ended();
                (decoder.has_ended() && run.bytes == here).then_some(run.data)
            }
            _ => None,
        };
        if let Some(length) = whole {
            if here >= IN_PLACE_MIN {
                *body_tail = std::mem::take(input);
            } else {
                out.extend_from_slice(input.data());
                input.consume(here);
            }
            return Ok(Begin::Whole(length));
        }
        let mut download = Self::new(framing, named, out.len());
        if in_part && !download.decoder.has_ended() {
            return Ok(Begin::Pending(Box::new(download)));
        }
        download.reframe(input, out, limits)?;
        Ok(match download.decoder.has_ended() {
            true => Begin::Whole(download.relayed),
            false => Begin::Pending(Box::new(download)),
        })
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
        progress: &ProgressCounter,
    ) -> Result<(), DownloadEnd> {
        loop {
            self.take_in((input, limits), to, out, progress).await?;
            if self.decoder.has_ended() {
                return Ok(());
            }
            input.release();
            self.write(to, out, &[], progress).await?;
            if self.splices() && from.is_plain() && to.is_plain() && self.splice(from, to, progress).await? {
                continue;
            }
            match fill(from, input, READ_SIZE).await {
                Ok(0) => {
                    let decoder = std::mem::replace(&mut self.decoder, BodyDecoder::new(BodyLength::None));
                    // Without `close_notify`, somebody on the path may have cut the rest off.
                    if from.was_cut() {
                        return Err(DownloadEnd::Upstream);
                    }
                    decoder.finish_at_eof().map_err(|_| DownloadEnd::Upstream)?;
                    encode_end(out, self.to, &self.trailers);
                    return Ok(());
                }
                Ok(_) => progress.advance(),
                Err(_) => return Err(DownloadEnd::UpstreamReset),
            }
        }
    }

    /// Passes on what was received, but for the end of what goes into `out`.
    async fn take_in(
        &mut self,
        (input, limits): (&mut ReadBuffer, &Limits),
        to: &Transport,
        out: &mut Vec<u8>,
        progress: &ProgressCounter,
    ) -> Result<(), DownloadEnd> {
        while !input.is_empty() && !self.decoder.has_ended() {
            if discriminant(&self.from) == discriminant(&self.to) {
                let run = self.decoder.run(input.data());
                self.relayed += run.data;
                if run.bytes > 0 {
                    let (piece, body_tail) = input.data().split_at(run.bytes);
                    if !self.has_begun {
                        self.refuse_malformed(body_tail)?;
                    }
                    if self.decoder.has_ended() && out.len() + run.bytes <= BEHIND_HEAD {
                        out.extend_from_slice(piece);
                    } else {
                        self.write(to, out, piece, progress).await?;
                    }
                    input.consume(run.bytes);
                    continue;
                }
            }
            self.reframe(input, out, limits)?;
        }
        Ok(())
    }

    /// A client whose response has not begun can still be told if what follows is malformed.
    fn refuse_malformed(&self, body_tail: &[u8]) -> Result<(), DownloadEnd> {
        if body_tail.is_empty() || self.decoder.has_ended() {
            return Ok(());
        }
        let mut ahead = BodyDecoder::from_boundary(self.decoder.boundary());
        let step = ahead.decode(body_tail, &Limits::default(), &mut Fields::default());
        step.map(drop).map_err(DownloadEnd::Malformed)
    }

    /// Writes `out`, and `piece` behind it.
    async fn write(
        &mut self,
        to: &Transport,
        out: &mut Vec<u8>,
        piece: &[u8],
        progress: &ProgressCounter,
    ) -> Result<(), DownloadEnd> {
        let (head, whole) = (out.len(), out.len() + piece.len());
        let mut done = 0;
        progress.turn(Direction::Down, Turn::Client);
        while done < whole {
            let (first, second) = (&out[done.min(head)..], &piece[done.saturating_sub(head)..]);
            let count = match poll_fn(|cx| to.poll_write_both(cx, first, second)).await {
                Ok(count) if count > 0 => count,
                _ => return Err(DownloadEnd::ClientLeft),
            };
            done += count;
            progress.advance();
            if done < whole {
                self.has_begun = true;
                self.taken.part(&first[..count.min(first.len())]);
                self.taken.part(&second[..count.saturating_sub(first.len())]);
            }
        }
        progress.turn(Direction::Down, Turn::Endpoint);
        self.all_taken(out);
        Ok(())
    }

    /// The client has taken all there was.
    fn all_taken(&mut self, out: &mut Vec<u8>) {
        out.clear();
        self.has_begun = true;
        let whole = match self.from {
            BodyLength::Chunked => self.decoder.boundary(),
            _ => Boundary::beginning(self.to),
        };
        self.taken.all(self.relayed - self.spliced, whole);
    }

    /// The client's connection took these bytes of what was left in its buffer.
    pub(crate) fn note_taken(&mut self, (first, second): (&[u8], &[u8])) {
        self.taken.part(first);
        self.taken.part(second);
    }

    /// Bytes of the body that the client's connection has taken.
    pub(crate) fn sent(&self) -> u64 {
        self.taken.data() + self.spliced
    }

    /// Bytes of the body passed on, some of which may not have been sent yet.
    pub(crate) fn relayed(&self) -> u64 {
        self.relayed
    }

    /// What comes next of the body in what was received.
    fn step(&mut self, input: &[u8], limits: &Limits) -> Result<Step, DownloadEnd> {
        let step = self.decoder.decode(input, limits, &mut self.trailers);
        step.map_err(DownloadEnd::Malformed)
    }

    /// Whether so much follows that need not be looked at that it may pass inside the kernel.
    const fn splices(&self) -> bool {
        self.decoder.plain() >= SPLICE_MIN
            && matches!(self.to, BodyLength::Length(_) | BodyLength::UntilClose)
    }

    /// Passes what need not be looked at; false if there is no pipe to be had.
    async fn splice(
        &mut self,
        from: &Transport,
        to: &Transport,
        progress: &ProgressCounter,
    ) -> Result<bool, DownloadEnd> {
        let before = self.spliced;
        let end = before + self.decoder.plain();
        let result = splice::pass(from, to, end, &mut self.spliced, progress).await;
        let passed = self.spliced - before;
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
}
