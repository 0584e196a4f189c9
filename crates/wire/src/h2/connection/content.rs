//! DATA (RFC 9113, 6.1), which is handed on as it comes, however its frame is cut.

use super::*;

impl Connection {
    /// A DATA frame begins, and `rest` is what is there of its payload.
    pub(super) fn data(
        &mut self,
        header: &FrameHeader,
        rest: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let (mut head, mut padding) = (FrameHeader::LEN, 0);
        if header.has(flag::PADDED) {
            if header.len == 0 {
                return Err(Violation::BadFrameSize);
            }
            let Some(&length) = rest.first() else {
                return Ok(Step::WAIT);
            };
            padding = usize::from(length);
            if padding >= header.len {
                return Err(Violation::BadPadding);
            }
            head += 1;
        }
        let overhead = head - FrameHeader::LEN + padding;
        let content = header.len - overhead;
        let end = header.has(flag::END_STREAM);
        let id = header.stream;
        if self.is_idle(id) {
            return Err(Violation::IdleStream);
        }
        if self.receive_window.on_received(header.len).is_err() {
            return Err(Violation::WindowExceeded);
        }
        let over = self.streams.over.by_peer(id);
        let stream = self.streams.get_mut(id);
        let broken = match stream {
            Some(Stream { reset: Reset::No, .. }) => None,
            Some(Stream {
                reset: Reset::ByPeer, ..
            }) => return Err(Violation::StreamClosed),
            None if over == Some(true) => return Err(Violation::StreamClosed),
            // It was on its way when we reset the stream.
            _ => Some(None),
        };
        let broken = broken.or_else(|| self.receive_content(id, header.len, content, end).err().map(Some));
        if let Some(why) = broken {
            self.credit_connection(header.len, out);
            self.reading = skip(header.len - (head - FrameHeader::LEN));
            let mut step = match why {
                Some(why) => self.break_stream(id, why, out),
                None => Step::silent(0).at_cost(Cost::Late),
            };
            step.taken = head;
            return Ok(step);
        }
        if overhead > 0 {
            self.give_back(id, overhead, end, out);
        }
        let step = self.content(&rest[head - FrameHeader::LEN..], head, id, content, padding, end);
        Ok(match content {
            0 if !end => step.at_cost(Cost::EmptyData),
            1..SMALL if !end => step.at_cost(Cost::SmallData),
            _ => step,
        })
    }

    /// Hands on what is there of a DATA frame, whose first `before` bytes of `input` were read before.
    pub(super) fn content(
        &mut self,
        input: &[u8],
        before: usize,
        id: StreamId,
        left: usize,
        padding: usize,
        end: bool,
    ) -> Step {
        let content = left.min(input.len());
        let padded = padding.min(input.len() - content);
        let (left, padding) = (left - content, padding - padded);
        let is_whole = left == 0 && padding == 0;
        self.reading = if is_whole {
            Reading::Frame
        } else {
            Reading::Data {
                stream: id,
                left,
                padding,
                end,
            }
        };
        let end = end && is_whole;
        let mut step = Step::silent(before + content + padded);
        let stream = self.streams.get_mut(id);
        let Some(stream) = stream.filter(|stream| stream.reset == Reset::No) else {
            // It was reset or released since the frame began.
            return step;
        };
        if end {
            stream.receive = Half::Ended;
        }
        if content > 0 || end {
            step.event = Some(Event::Data {
                stream: id,
                data: before..before + content,
                end,
            });
        }
        step
    }

    /// Checks a frame's content against what its stream takes.
    fn receive_content(
        &mut self,
        id: StreamId,
        frame: usize,
        content: usize,
        end: bool,
    ) -> Result<(), StreamError> {
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(());
        };
        match stream.receive {
            Half::Head => return Err(StreamError::MissingHead),
            Half::Ended => return Err(StreamError::AfterEnd),
            Half::Body => {}
        }
        if stream.receive_window.on_received(frame).is_err() {
            return Err(StreamError::WindowExceeded);
        }
        if let Some(left) = stream.left {
            let left = left
                .checked_sub(content as u64)
                .ok_or(StreamError::LengthMismatch)?;
            if end && left > 0 {
                return Err(StreamError::LengthMismatch);
            }
            stream.left = Some(left);
        }
        stream.unconsumed += content;
        Ok(())
    }

    /// Gives credit back for bytes of a stream.
    pub(super) fn give_back(&mut self, id: StreamId, bytes: usize, ended: bool, out: &mut Vec<u8>) {
        self.credit_connection(bytes, out);
        let size = self.config.stream_window;
        let Some(stream) = self.streams.get_mut(id) else {
            return;
        };
        // No more comes on a stream that has ended.
        if ended || stream.receive == Half::Ended || stream.is_over() {
            return;
        }
        if let Some(credit) = stream.receive_window.on_consumed(bytes, size) {
            frame::write_window_update(out, id, credit);
        }
    }
}

/// Frames with less content are more work than they are worth.
const SMALL: usize = 256;
