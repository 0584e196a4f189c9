//! What the wire saw: every connection and every request that crossed it, as facts by request id.
//! Time is an argument, so the stories below need no network.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use super::backend::UNASKED;
use super::packet::{ACK, FIN, RST, SYN, Segment};

/// Which end of the wire a packet came in at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The proxy's.
    Proxy,
    /// The backend's.
    Backend,
}

/// How a backend ended a connection, by the first packet that said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    /// FIN.
    Fin,
    /// RST.
    Reset,
    /// Not at all, but with a message that answers nothing: whatever is written then has met it.
    Unasked,
    /// Not at all: the wire has forgotten the connection.
    Silence,
}

/// One request head on one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// It was the connection's first request.
    pub(crate) fresh: bool,
    /// The backend's close was on the wire before the request was delivered.
    pub(crate) met: Option<Closing>,
    /// The head's end was on the wire.
    pub(crate) whole: bool,
    /// The backend received it and then ended the connection instead of answering.
    pub(crate) cut: Option<Closing>,
}

/// What a lane's address has seen in this run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LaneFacts {
    /// Connections opened.
    pub(crate) opened: u64,
    /// Request heads whose end was held back.
    pub(crate) two_steps: u64,
    /// Connections that the backend closed, idle or instead of an answer.
    pub(crate) closes: u64,
    /// When the last byte of an answer last went on the wire.
    pub(crate) last_answer: Option<Instant>,
    /// Request heads on connections that had fallen silent.
    pub(crate) silent_heads: u64,
    /// Connections that are open and wait for a request.
    pub(crate) idle: u64,
    /// The most of them at once.
    pub(crate) most_idle: u64,
}

impl LaneFacts {
    fn mark_idle(&mut self, flow: &mut Flow, idle: bool) {
        match (flow.idle, idle) {
            (false, true) => self.idle += 1,
            (true, false) => self.idle -= 1,
            _ => return,
        }
        flow.idle = idle;
        self.most_idle = self.most_idle.max(self.idle);
    }
}

/// What becomes of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Carriage {
    /// Carry it; report its delivery if it bears a note.
    Carry(Option<Note>),
    /// Carry it, and deliver it so much later than what follows it.
    Late(Duration),
    /// Drop it.
    Drop,
    /// Drop it, and send this back to where it came from.
    Return(Vec<u8>),
}

/// What the delivery of a packet means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    flow: FlowKey,
    news: News,
}

/// All flows of a run, by the proxy's and the backend's socket address.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: HashMap<FlowKey, Flow>,
    lanes: HashMap<SocketAddrV4, LaneFacts>,
    sightings: HashMap<u64, Vec<Sighting>>,
    forged: HashSet<u64>,
    idle_closes: Vec<(SocketAddrV4, Duration)>,
    fin_delay: Duration,
}

impl Flows {
    /// From now on the backend's FINs are on their way so much longer than everything else.
    pub(crate) fn delay_fins(&mut self, fin_delay: Duration) {
        self.fin_delay = fin_delay;
    }

    /// How much longer the backend's FINs are on their way.
    pub(crate) fn fin_delay(&self) -> Duration {
        self.fin_delay
    }

    /// Takes note of a packet that comes in at `side`, and says what becomes of it.
    pub(crate) fn on_enter(&mut self, side: Side, packet: &[u8], now: Instant) -> Carriage {
        let Some(segment) = Segment::parse(packet) else {
            return Carriage::Carry(None);
        };
        match side {
            Side::Proxy => self.on_segment_of_proxy(&segment),
            Side::Backend => self.on_segment_of_backend(&segment, now),
        }
    }

    /// Takes note of a delivery at the backend's side.
    pub(crate) fn on_delivered(&mut self, note: Note) {
        let Some(flow) = self.flows.get_mut(&note.flow) else {
            return;
        };
        match note.news {
            News::Closing => flow.proxy_closed = true,
            News::Request { id, first_seq } => match flow.closed {
                None => flow.outstanding = Some((id, first_seq)),
                closed => {
                    if let Some(sighting) = self.sightings.get_mut(&id).and_then(|seen| seen.last_mut()) {
                        sighting.met = closed;
                    }
                }
            },
        }
    }

    /// From now on no packet of the lane's present connections arrives; new ones are not concerned.
    pub(crate) fn silence(&mut self, lane: SocketAddrV4) {
        for (_, flow) in self.flows.iter_mut().filter(|(key, _)| key.backend == lane) {
            flow.silent = true;
        }
    }

    /// The next head with this id is answered by a forged RST instead of being delivered.
    pub(crate) fn forge_reset(&mut self, id: u64) {
        self.forged.insert(id);
    }

    /// What was seen of a request. Forgets it.
    pub(crate) fn take(&mut self, id: u64) -> Vec<Sighting> {
        self.sightings.remove(&id).unwrap_or_default()
    }

    /// What was seen of a lane.
    pub(crate) fn lane(&self, lane: SocketAddrV4) -> LaneFacts {
        self.lanes.get(&lane).copied().unwrap_or_default()
    }

    /// The idle ages at which backends closed, oldest first, with the lane's address.
    pub(crate) fn idle_closes(&self) -> &[(SocketAddrV4, Duration)] {
        &self.idle_closes
    }

    fn on_segment_of_proxy(&mut self, segment: &Segment<'_>) -> Carriage {
        let key = FlowKey {
            proxy: segment.from,
            backend: segment.to,
        };
        if segment.has(SYN)
            && self
                .flows
                .get(&key)
                .is_none_or(|flow| flow.first_seq != segment.seq)
        {
            self.lanes.entry(key.backend).or_default().opened += 1;
            self.flows.insert(key, Flow::opened(segment.seq));
        }
        let Some(flow) = self.flows.get_mut(&key) else {
            return Carriage::Carry(None);
        };
        let lane = self.lanes.entry(key.backend).or_default();
        if segment.has(FIN | RST) {
            lane.mark_idle(flow, false);
            let note = Note {
                flow: key,
                news: News::Closing,
            };
            return flow.carry(Some(note));
        }
        let unseen = flow.advance(segment);
        let Some(id) = unseen.then(|| race_id(segment.payload)).flatten() else {
            let ended = flow.open_head.take_if(|_| unseen);
            if let Some(sighting) = ended.and_then(|id| self.sightings.get_mut(&id)?.last_mut()) {
                sighting.whole = true;
            }
            return flow.carry(None);
        };
        flow.heads += 1;
        lane.mark_idle(flow, false);
        let sighting = Sighting {
            fresh: flow.heads == 1,
            met: flow.silent.then_some(Closing::Silence),
            whole: segment.payload.windows(4).any(|window| window == b"\r\n\r\n"),
            cut: None,
        };
        flow.open_head = (!sighting.whole).then_some(id);
        lane.silent_heads += u64::from(flow.silent);
        lane.two_steps += u64::from(!sighting.whole);
        self.sightings.entry(id).or_default().push(sighting);
        if self.forged.remove(&id) {
            // The backend's own end must learn nothing either: it is the middlebox that forgot the flow.
            flow.silent = true;
            return Carriage::Return(segment.forged_reset());
        }
        flow.carry(Some(Note {
            flow: key,
            news: News::Request {
                id,
                first_seq: segment.seq,
            },
        }))
    }

    fn on_segment_of_backend(&mut self, segment: &Segment<'_>, now: Instant) -> Carriage {
        let key = FlowKey {
            proxy: segment.to,
            backend: segment.from,
        };
        let Some(flow) = self.flows.get_mut(&key) else {
            return Carriage::Carry(None);
        };
        if flow.silent {
            return Carriage::Drop;
        }
        let lane = self.lanes.entry(key.backend).or_default();
        let unasked = is_unasked(segment.payload);
        if !segment.payload.is_empty() && !unasked {
            flow.last_answer = Some(now);
            lane.last_answer = Some(now);
            lane.mark_idle(flow, flow.closed.is_none() && !flow.proxy_closed);
        }
        let closing = match (segment.has(RST), segment.has(FIN)) {
            _ if unasked => Some(Closing::Unasked),
            (true, _) => Some(Closing::Reset),
            (false, true) => Some(Closing::Fin),
            (false, false) => None,
        };
        if let Some(closing) = closing
            && flow.closed.is_none()
            && !flow.proxy_closed
        {
            flow.closed = Some(closing);
            lane.mark_idle(flow, false);
            lane.closes += 1;
            match (flow.outstanding.take(), flow.last_answer) {
                (Some((id, first_seq)), _) => {
                    // The close may have been on its way out of the backend's kernel when the request came
                    // in: what it acknowledges says which was first.
                    let was_received = is_after(segment.ack, first_seq);
                    if let Some(sighting) = self.sightings.get_mut(&id).and_then(|seen| seen.last_mut()) {
                        let place = if was_received {
                            &mut sighting.cut
                        } else {
                            &mut sighting.met
                        };
                        *place = Some(closing);
                    }
                }
                (None, Some(answered)) => self.idle_closes.push((key.backend, now - answered)),
                (None, None) => {}
            }
        } else if !segment.payload.is_empty() {
            flow.outstanding = None;
        }
        if segment.has(FIN) && !self.fin_delay.is_zero() {
            return Carriage::Late(self.fin_delay);
        }
        Carriage::Carry(None)
    }
}

/// A connection: the proxy's end and the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FlowKey {
    proxy: SocketAddrV4,
    backend: SocketAddrV4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Request { id: u64, first_seq: u32 },
    Closing,
}

#[derive(Debug)]
struct Flow {
    first_seq: u32,
    /// The sequence number behind the last byte seen of the proxy's, to tell a retransmission.
    next_seq: u32,
    heads: u32,
    /// Delivered, and neither answered nor cut: its id, and the sequence number of its first byte.
    outstanding: Option<(u64, u32)>,
    last_answer: Option<Instant>,
    closed: Option<Closing>,
    proxy_closed: bool,
    silent: bool,
    idle: bool,
    /// The id of a head whose end was not seen yet.
    open_head: Option<u64>,
}

impl Flow {
    fn opened(first_seq: u32) -> Self {
        Self {
            first_seq,
            next_seq: first_seq.wrapping_add(1),
            heads: 0,
            outstanding: None,
            last_answer: None,
            closed: None,
            proxy_closed: false,
            silent: false,
            idle: false,
            open_head: None,
        }
    }

    fn carry(&self, note: Option<Note>) -> Carriage {
        if self.silent {
            Carriage::Drop
        } else {
            Carriage::Carry(note)
        }
    }

    /// Whether the segment brings bytes that were not seen before.
    fn advance(&mut self, segment: &Segment<'_>) -> bool {
        let end = segment
            .seq
            .wrapping_add(u32::try_from(segment.payload.len()).unwrap_or(0));
        let unseen = is_after(end, self.next_seq);
        if unseen {
            self.next_seq = end;
        }
        unseen && segment.has(ACK)
    }
}

/// Sequence numbers wrap: "after" is a distance below half their circle (RFC 9293 section 3.4).
fn is_after(later: u32, earlier: u32) -> bool {
    (later.wrapping_sub(earlier) as i32) > 0
}

/// The request id in a segment that begins with a request head.
fn race_id(payload: &[u8]) -> Option<u64> {
    // Bodies of the lab hold none of these words, so a segment that starts so is a head.
    if ![&b"GET "[..], b"POST ", b"PUT ", b"DELETE "]
        .iter()
        .any(|word| payload.starts_with(word))
    {
        return None;
    }
    let at = payload
        .windows(FIELD.len())
        .position(|window| window.eq_ignore_ascii_case(FIELD))?;
    let digits = payload[at + FIELD.len()..].trim_ascii_start().get(..16)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Whether a segment is a message of the lab's backend that answers nothing.
fn is_unasked(payload: &[u8]) -> bool {
    let head = &payload[..payload.len().min(UNASKED_WITHIN)];
    head.windows(UNASKED.len())
        .any(|window| window == UNASKED.as_bytes())
}

const FIELD: &[u8] = b"x-race-id:";
/// Where the field is found in such a message.
const UNASKED_WITHIN: usize = 128;

#[cfg(test)]
mod tests;
