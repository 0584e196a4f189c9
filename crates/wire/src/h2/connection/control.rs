//! Frames that are neither head nor content.

use super::super::priority::Priority;
use super::super::settings::SETTING_LEN;
use super::super::window::WINDOW_MAX;
use super::*;

impl Connection {
    /// Acts on a whole frame.
    pub(super) fn control(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Violation> {
        let id = header.stream;
        match header.kind {
            Kind::Settings if header.has(flag::ACK) => self.settings_acknowledged(payload),
            Kind::Settings => self.settings(payload, out),
            Kind::Ping => Ok(self.ping_came(header, payload, out)),
            Kind::GoAway => Ok(self.go_away_came(payload)),
            Kind::RstStream => self.reset_came(id, ErrorCode(frame::number(payload))),
            Kind::WindowUpdate => self.window_update(id, frame::number(payload) & WINDOW_MAX, out),
            Kind::Priority => {
                if StreamId(frame::number(payload) & StreamId::MAX.0) != id {
                    return Ok(Step::silent(0).at_cost(Cost::Priority));
                }
                match self.streams.get(id) {
                    Some(stream) if stream.reset == Reset::No => {
                        Ok(self.break_stream(id, StreamError::BadPriority, out))
                    }
                    _ => Err(Violation::BadPriority),
                }
            }
            Kind::PriorityUpdate => self.priority_update(payload),
            // The others went elsewhere, or are refused by `check`.
            Kind::Data | Kind::Headers | Kind::Continuation | Kind::PushPromise | Kind::Unknown => {
                Ok(Step::silent(0))
            }
        }
    }

    fn settings(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Step, Violation> {
        if !payload.len().is_multiple_of(SETTING_LEN) {
            return Err(Violation::BadFrameSize);
        }
        let before = self.peer;
        self.peer.take_in(payload, self.role == Role::Server)?;
        self.encoder.on_peer_table_size(self.peer.table_size);
        let by = i64::from(self.peer.stream_window) - i64::from(before.stream_window);
        for stream in self.streams.iter_mut() {
            // RFC 9113, 6.9.2: windows of open streams change, and may become negative.
            stream
                .send_window
                .change(by)
                .map_err(|_| Violation::WindowSetting)?;
        }
        frame::write(out, Kind::Settings, flag::ACK, StreamId::CONNECTION, &[]);
        let is_first = !std::mem::replace(&mut self.peer_settings_came, true);
        let step = Step::told(0, Event::Settings);
        Ok(if is_first {
            step
        } else {
            step.at_cost(Cost::Settings)
        })
    }

    fn settings_acknowledged(&mut self, payload: &[u8]) -> Result<Step, Violation> {
        if !payload.is_empty() {
            return Err(Violation::BadFrameSize);
        }
        if std::mem::replace(&mut self.settings_acknowledged, true) {
            return Err(Violation::UnknownAcknowledgement);
        }
        self.decoder.on_announced(self.config.table_size);
        let by = i64::from(self.config.stream_window) - i64::from(WINDOW_DEFAULT);
        for stream in self.streams.iter_mut() {
            stream.receive_window.change(by);
        }
        Ok(Step::told(0, Event::SettingsAcknowledged))
    }

    fn ping_came(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<u8>) -> Step {
        if !header.has(flag::ACK) {
            frame::write(out, Kind::Ping, flag::ACK, StreamId::CONNECTION, payload);
            return Step::silent(0).at_cost(Cost::Ping);
        }
        if self.leaving == Leaving::Announced && payload == DRAIN {
            self.leave(ErrorCode::NO_ERROR, out);
            return Step::told(0, Event::Drained);
        }
        let payload = payload.first_chunk().copied().unwrap_or_default();
        Step::told(0, Event::Pong { payload })
    }

    fn go_away_came(&mut self, payload: &[u8]) -> Step {
        let said = StreamId(frame::number(payload) & StreamId::MAX.0);
        let last = self.peer_last.map_or(said, |last| last.min(said));
        self.peer_last = Some(last);
        let code = ErrorCode(frame::number(&payload[4..]));
        Step::told(0, Event::GoAway { last, code })
    }

    fn reset_came(&mut self, id: StreamId, code: ErrorCode) -> Result<Step, Violation> {
        if self.is_idle(id) {
            return Err(Violation::IdleStream);
        }
        let Some(stream) = self.streams.get_mut(id) else {
            return Ok(Step::silent(0).at_cost(Cost::Late));
        };
        if stream.is_over() {
            stream.reset = Reset::ByPeer;
            return Ok(Step::silent(0).at_cost(Cost::Late));
        }
        stream.reset = Reset::ByPeer;
        Ok(Step::told(0, Event::Reset { stream: id, code }).at_cost(Cost::PeerReset))
    }

    fn window_update(&mut self, id: StreamId, by: u32, out: &mut Vec<u8>) -> Result<Step, Violation> {
        let cost = |step: Step| {
            if by < SMALL {
                step.at_cost(Cost::SmallWindowUpdate)
            } else {
                step
            }
        };
        if id == StreamId::CONNECTION {
            if by == 0 {
                return Err(Violation::ZeroWindowUpdate);
            }
            self.send_window
                .change(i64::from(by))
                .map_err(|_| Violation::WindowOverflow)?;
            return Ok(cost(Step::told(0, Event::WindowOpened { stream: None })));
        }
        if self.is_idle(id) {
            return Err(Violation::IdleStream);
        }
        let stream = self.streams.get_mut(id);
        let Some(stream) = stream.filter(|stream| stream.reset == Reset::No) else {
            return Ok(Step::silent(0).at_cost(Cost::Late));
        };
        if by == 0 {
            return Ok(self.break_stream(id, StreamError::ZeroWindowUpdate, out));
        }
        if stream.send_window.change(i64::from(by)).is_err() {
            return Ok(self.break_stream(id, StreamError::WindowOverflow, out));
        }
        Ok(cost(Step::told(0, Event::WindowOpened { stream: Some(id) })))
    }

    fn priority_update(&mut self, payload: &[u8]) -> Result<Step, Violation> {
        let id = StreamId(frame::number(payload) & StreamId::MAX.0);
        // RFC 9218, 7.1: only clients send it, and only for streams that they open.
        if self.role == Role::Client || id.0.is_multiple_of(2) {
            return Err(Violation::BadPriority);
        }
        let Some(stream) = self.streams.get_mut(id) else {
            // It may come before its request; then it is lost, which costs order alone.
            return Ok(Step::silent(0).at_cost(Cost::Priority));
        };
        let priority = Priority::parse(&payload[4..]);
        stream.priority = priority;
        Ok(Step::told(0, Event::Priority { stream: id, priority }).at_cost(Cost::Priority))
    }

    /// Appends the last GOAWAY.
    pub(super) fn leave(&mut self, code: ErrorCode, out: &mut Vec<u8>) {
        let last = match self.leaving {
            // What was said may not be raised again (RFC 9113, 6.8).
            Leaving::Left(last) => last,
            Leaving::No | Leaving::Announced => self.highest,
        };
        self.leaving = Leaving::Left(last);
        frame::write_go_away(out, last, code);
    }
}

/// What the PING holds that follows the first GOAWAY.
pub(super) const DRAIN: &[u8; 8] = b"\0drain\0\0";
/// A window that is opened by less is hardly opened.
const SMALL: u32 = 256;
