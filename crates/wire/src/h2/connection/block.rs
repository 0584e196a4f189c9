//! HEADERS and CONTINUATION (RFC 9113, 6.2 and 6.10). A block is decoded whatever becomes of it, since later ones
//! need its table.

use super::super::head::{RequestBuilder, ResponseBuilder, TrailersBuilder};
use super::*;
use crate::message::Size;

impl Connection {
    pub(super) fn headers(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let mut fragment = payload;
        if header.has(flag::PADDED) {
            let (&padding, rest) = fragment.split_first().ok_or(Violation::BadFrameSize)?;
            let len = rest
                .len()
                .checked_sub(usize::from(padding))
                .ok_or(Violation::BadPadding)?;
            fragment = &rest[..len];
        }
        let mut depends_on_itself = false;
        if header.has(flag::PRIORITY) {
            let (priority, rest) = fragment.split_first_chunk::<5>().ok_or(Violation::BadFrameSize)?;
            depends_on_itself = StreamId(frame::number(priority) & StreamId::MAX.0) == header.stream;
            fragment = rest;
        }
        let block = Block {
            stream: header.stream,
            end_stream: header.has(flag::END_STREAM),
            depends_on_itself,
            continuations: 0,
        };
        if header.has(flag::END_HEADERS) {
            return self.block(block, fragment, scratch, out);
        }
        self.add_to_block(fragment)?;
        self.reading = Reading::Block(block);
        Ok(Step::silent(0))
    }

    pub(super) fn continuation(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let Reading::Block(mut block) = self.reading else {
            return Err(Violation::BlockInterrupted);
        };
        block.continuations += 1;
        if block.continuations > CONTINUATIONS_MAX {
            return Err(Violation::TooManyContinuations);
        }
        self.add_to_block(payload)?;
        self.reading = Reading::Block(block);
        if !header.has(flag::END_HEADERS) {
            return Ok(Step::silent(0).at_cost(Cost::Continuation));
        }
        self.reading = Reading::Frame;
        let whole = std::mem::take(&mut self.block);
        let step = self.block(block, &whole, scratch, out)?;
        Ok(match step.cost {
            None => step.at_cost(Cost::Continuation),
            Some(_) => step,
        })
    }

    fn add_to_block(&mut self, fragment: &[u8]) -> Result<(), Violation> {
        if self.block.len() + fragment.len() > self.config.head_bytes as usize {
            return Err(Violation::BlockTooLarge);
        }
        self.block.extend_from_slice(fragment);
        Ok(())
    }

    /// A whole block came.
    fn block(
        &mut self,
        block: Block,
        fragment: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        if fragment.len() > self.config.head_bytes as usize {
            return Err(Violation::BlockTooLarge);
        }
        let id = block.stream;
        let Some(stream) = self.streams.get(id) else {
            return self.block_without_stream(block, fragment, scratch, out);
        };
        match (stream.reset, stream.receive) {
            (Reset::ByPeer, _) => Err(Violation::StreamClosed),
            // It was on its way when we reset the stream.
            (Reset::ByUs, _) => self.ignore(fragment, scratch),
            (Reset::No, Half::Ended) => {
                self.ignore(fragment, scratch)?;
                Ok(self.break_stream(id, StreamError::AfterEnd, out))
            }
            (Reset::No, Half::Head) => self.response(block, fragment, scratch, out),
            (Reset::No, Half::Body) => self.trailers(block, fragment, scratch, out),
        }
    }

    fn block_without_stream(
        &mut self,
        block: Block,
        fragment: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let id = block.stream;
        if self.role == Role::Server && id.0.is_multiple_of(2) {
            return Err(Violation::StreamIdReused);
        }
        match (self.role, self.is_idle(id), self.streams.over.by_peer(id)) {
            (Role::Server, true, _) => self.request(block, fragment, scratch, out),
            (Role::Client, true, _) => Err(Violation::IdleStream),
            (_, false, Some(true)) => Err(Violation::StreamClosed),
            (_, false, Some(false)) | (Role::Client, false, None) => self.ignore(fragment, scratch),
            (Role::Server, false, None) => Err(Violation::StreamIdReused),
        }
    }

    /// Decodes a block for its table alone.
    fn ignore(&mut self, fragment: &[u8], scratch: &mut Scratch) -> Result<Step, Violation> {
        self.decoder
            .decode(fragment, &mut scratch.strings, |_| {})
            .map_err(Violation::Hpack)?;
        Ok(Step::silent(0).at_cost(Cost::Late))
    }

    /// A client opens a stream.
    fn request(
        &mut self,
        block: Block,
        fragment: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let id = block.stream;
        self.highest = id;
        if matches!(self.leaving, Leaving::Left(last) if id > last) {
            return self.ignore(fragment, scratch);
        }
        if self.streams.counted() >= self.config.streams as usize {
            self.ignore(fragment, scratch)?;
            return Ok(self.break_stream(id, StreamError::TooManyStreams, out));
        }
        let (head, end) = (&mut scratch.request, block.end_stream);
        let mut priority = super::super::Priority::default();
        let mut builder = RequestBuilder::new(
            head,
            &mut scratch.texts,
            self.config.head_bytes,
            self.config.fields,
        );
        self.decoder
            .decode(fragment, &mut scratch.strings, |field| {
                if field.name == b"priority" {
                    priority = super::super::Priority::parse(field.value);
                }
                builder.take(&field);
            })
            .map_err(Violation::Hpack)?;
        let finished = builder.finish(end, self.config.connect_protocol);
        let broken = match finished {
            Ok(()) if block.depends_on_itself => Some(StreamError::BadPriority),
            Ok(()) => None,
            Err(why) if why.is_limit() => None,
            Err(why) => Some(why),
        };
        if let Some(why) = broken {
            return Ok(self.break_stream(id, why, out));
        }
        let mut stream = self.new_stream(id, scratch.request.method);
        stream.receive = if end { Half::Ended } else { Half::Body };
        stream.priority = priority;
        stream.left = match scratch.request.size {
            Size::Known(length) => Some(length),
            Size::None | Size::Unknown => None,
        };
        self.streams.add(stream);
        Ok(match finished {
            Ok(()) => Step::told(0, Event::Request { stream: id, end }),
            Err(why) => Step::told(0, Event::Broken { stream: id, why }).at_cost(Cost::OwnReset),
        })
    }

    /// A server answers.
    fn response(
        &mut self,
        block: Block,
        fragment: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let id = block.stream;
        let head = &mut scratch.response;
        let mut builder = ResponseBuilder::new(head, self.config.head_bytes, self.config.fields);
        self.decoder
            .decode(fragment, &mut scratch.strings, |field| builder.take(&field))
            .map_err(Violation::Hpack)?;
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(Step::silent(0));
        };
        let end = block.end_stream;
        if let Err(why) = builder.finish(end, stream.method) {
            return Ok(self.break_stream(id, why, out));
        }
        if head.status < 200 {
            stream.interims += 1;
            if stream.interims > INTERIMS_MAX {
                return Ok(self.break_stream(id, StreamError::BadInterim, out));
            }
            return Ok(Step::told(0, Event::Interim { stream: id }));
        }
        stream.receive = if end { Half::Ended } else { Half::Body };
        stream.left = match head.size {
            Size::Known(length) => Some(length),
            Size::None => Some(0),
            Size::Unknown => None,
        };
        Ok(Step::told(0, Event::Response { stream: id, end }))
    }

    fn trailers(
        &mut self,
        block: Block,
        fragment: &[u8],
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let id = block.stream;
        let mut builder = TrailersBuilder::new(
            &mut scratch.trailers,
            self.config.trailer_bytes,
            self.config.fields,
        );
        self.decoder
            .decode(fragment, &mut scratch.strings, |field| builder.take(&field))
            .map_err(Violation::Hpack)?;
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(Step::silent(0));
        };
        let is_tunnel = stream.method == Method::Connect;
        let broken = match builder.finish() {
            // RFC 9113, 8.5: a tunnel has only DATA.
            _ if !block.end_stream || is_tunnel => Some(StreamError::BadTrailers),
            _ if block.depends_on_itself => Some(StreamError::BadPriority),
            Ok(()) if stream.left.is_some_and(|left| left > 0) => Some(StreamError::LengthMismatch),
            Ok(()) => None,
            // A head was told of already, so there is nothing to answer.
            Err(why) if why.is_limit() => Some(StreamError::BadTrailers),
            Err(why) => Some(why),
        };
        if let Some(why) = broken {
            return Ok(self.break_stream(id, why, out));
        }
        stream.receive = Half::Ended;
        Ok(Step::told(0, Event::Trailers { stream: id }))
    }
}

/// With the HEADERS before them, 8 hold 144 KiB of block. Honest peers send none, or a few full ones.
const CONTINUATIONS_MAX: u8 = 8;
/// As of HTTP/1.
const INTERIMS_MAX: u8 = 32;
