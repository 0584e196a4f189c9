use super::super::packet::tests::packet;
use super::*;

const PROXY: &str = "10.0.0.1:4000";
const BACKEND: &str = "10.0.0.2:80";

struct World {
    flows: Flows,
    start: Instant,
}

impl World {
    fn with_one_connection() -> Self {
        let mut world = Self {
            flows: Flows::default(),
            start: Instant::now(),
        };
        world.send(0, 99, SYN, b"");
        world
    }

    fn send(&mut self, ms: u64, seq: u32, flags: u8, payload: &[u8]) -> Carriage {
        let at = self.start + Duration::from_millis(ms);
        self.flows
            .on_enter(Side::Proxy, &packet(PROXY, BACKEND, seq, flags, payload), at)
    }

    fn answer(&mut self, ms: u64, flags: u8, payload: &[u8]) -> Carriage {
        self.answer_acknowledging(ms, u32::MAX, flags, payload)
    }

    fn answer_acknowledging(&mut self, ms: u64, ack: u32, flags: u8, payload: &[u8]) -> Carriage {
        let at = self.start + Duration::from_millis(ms);
        let mut packet = packet(BACKEND, PROXY, 1, flags, payload);
        packet[28..32].copy_from_slice(&ack.to_be_bytes());
        self.flows.on_enter(Side::Backend, &packet, at)
    }

    fn deliver(&mut self, carriage: Carriage) {
        let Carriage::Carry(Some(note)) = carriage else {
            panic!("nothing to deliver: {carriage:?}")
        };
        self.flows.on_delivered(note);
    }

    fn lane(&self) -> LaneFacts {
        self.flows.lane(BACKEND.parse().unwrap())
    }
}

fn head(id: u64) -> Vec<u8> {
    format!("POST /lane/1 HTTP/1.1\r\nhost: a\r\nX-Race-Id: {id:016x}\r\n\r\n").into_bytes()
}

#[test]
fn a_request_that_crosses_a_fin_has_met_the_close() {
    let mut world = World::with_one_connection();
    let first = world.send(1, 100, ACK, &head(1));
    world.deliver(first);
    world.answer(2, ACK, b"HTTP/1.1 200 OK\r\n\r\n");
    let raced = world.send(398, 200, ACK, &head(2));
    world.answer(402, FIN | ACK, b"");
    world.deliver(raced);

    let (first, raced) = (world.flows.take(1), world.flows.take(2));
    assert!(first[0].fresh && first[0].met.is_none());
    assert!(!raced[0].fresh && raced[0].met == Some(Closing::Fin) && raced[0].cut.is_none());
    assert_eq!((world.lane().opened, world.lane().closes), (1, 1));
    assert_eq!(world.flows.idle_closes()[0].1, Duration::from_millis(400));
}

#[test]
fn a_request_delivered_before_the_reset_was_cut_and_met_nothing() {
    let mut world = World::with_one_connection();
    let request = world.send(1, 100, ACK, &head(7));
    world.deliver(request);
    world.answer_acknowledging(2, 180, RST | ACK, b"");

    let seen = world.flows.take(7);
    assert_eq!((seen[0].met, seen[0].cut), (None, Some(Closing::Reset)));
    assert!(world.flows.idle_closes().is_empty());
}

#[test]
fn a_retransmitted_head_is_one_sighting() {
    let mut world = World::with_one_connection();
    world.send(1, 100, ACK, &head(3));
    assert_eq!(world.send(200, 100, ACK, &head(3)), Carriage::Carry(None));
    assert_eq!(world.flows.take(3).len(), 1);
}

#[test]
fn a_close_that_the_proxy_began_is_none_of_the_backends() {
    let mut world = World::with_one_connection();
    let closing = world.send(1, 100, FIN | ACK, b"");
    world.deliver(closing);
    world.answer(2, FIN | ACK, b"");
    assert_eq!(world.lane().closes, 0);
}

#[test]
fn silence_drops_both_ways_and_spares_the_next_connection() {
    let mut world = World::with_one_connection();
    world.flows.silence(BACKEND.parse().unwrap());
    assert_eq!(world.send(1, 100, ACK, &head(4)), Carriage::Drop);
    assert_eq!(world.answer(2, ACK, b"HTTP/1.1 200 OK\r\n\r\n"), Carriage::Drop);
    world.send(3, 5_000, SYN, b"");
    assert!(matches!(
        world.send(4, 5_001, ACK, &head(4)),
        Carriage::Carry(Some(_))
    ));
}

#[test]
fn a_forged_reset_takes_the_requests_place_once() {
    let mut world = World::with_one_connection();
    world.flows.forge_reset(5);
    assert!(matches!(world.send(1, 100, ACK, &head(5)), Carriage::Return(_)));
    world.send(3, 5_000, SYN, b"");
    assert!(matches!(
        world.send(4, 5_001, ACK, &head(5)),
        Carriage::Carry(Some(_))
    ));
    assert_eq!(world.flows.take(5).len(), 2);
}

#[test]
fn a_close_that_acknowledges_nothing_of_a_delivered_request_came_first() {
    let mut world = World::with_one_connection();
    let request = world.send(1, 100, ACK, &head(8));
    world.deliver(request);
    world.answer_acknowledging(2, 100, FIN | ACK, b"");

    let seen = world.flows.take(8);
    assert_eq!((seen[0].met, seen[0].cut), (Some(Closing::Fin), None));
}

#[test]
fn a_head_whose_end_is_held_back_is_counted_once() {
    let mut world = World::with_one_connection();
    let (head, at) = (head(1), head(1).len() - 4);
    world.send(1, 100, ACK, &head[..at]);
    world.send(2, 100, ACK, &head[..at]);
    world.send(3, 100 + at as u32, ACK, &head[at..]);
    world.send(4, 100 + head.len() as u32, ACK, &head);
    assert_eq!(world.lane().two_steps, 1);
}

#[test]
fn a_request_after_an_answer_that_nobody_asked_for_has_met_it() {
    let mut world = World::with_one_connection();
    let first = world.send(1, 100, ACK, &head(1));
    world.deliver(first);
    world.answer(2, ACK, b"HTTP/1.1 200 OK\r\n\r\n");
    let raced = world.send(399, 200, ACK, &head(2));
    world.answer(
        402,
        ACK,
        b"HTTP/1.1 408 Request Timeout\r\nX-Race-Unasked: 1\r\n\r\n",
    );
    world.answer(402, FIN | ACK, b"");
    world.deliver(raced);

    assert_eq!(world.flows.take(2)[0].met, Some(Closing::Unasked));
    assert_eq!(world.lane().closes, 1);
    assert_eq!(world.flows.idle_closes()[0].1, Duration::from_millis(400));
}

#[test]
fn only_fins_are_late_and_only_where_asked_for() {
    let mut world = World::with_one_connection();
    world.flows.delay_fins(Duration::from_millis(50));
    assert_eq!(
        world.answer(1, ACK, b"HTTP/1.1 200 OK\r\n\r\n"),
        Carriage::Carry(None)
    );
    assert_eq!(
        world.answer(2, FIN | ACK, b""),
        Carriage::Late(Duration::from_millis(50))
    );
    assert_eq!(world.answer(3, RST, b""), Carriage::Carry(None));
}

#[test]
fn a_head_in_two_steps_is_whole_once_its_end_was_sent() {
    let mut world = World::with_one_connection();
    let whole = head(6);
    let (first, end) = whole.split_at(whole.len() - 4);
    world.flows.silence(BACKEND.parse().unwrap());
    world.send(1, 100, ACK, first);
    let seen = world.flows.sightings[&6][0];
    assert!(!seen.whole && seen.met == Some(Closing::Silence));
    world.send(2, 100 + first.len() as u32, ACK, end);
    assert!(world.flows.take(6)[0].whole);
}

#[test]
fn connections_are_idle_from_an_answer_to_the_next_request_or_their_end() {
    let mut world = World::with_one_connection();
    assert_eq!(world.lane().idle, 0);
    world.send(1, 100, ACK, &head(1));
    world.answer(2, ACK, b"HTTP/1.1 200 OK\r\n\r\n");
    world.answer(2, ACK, b"more of it");
    assert_eq!((world.lane().idle, world.lane().most_idle), (1, 1));
    world.send(3, 200, ACK, &head(2));
    assert_eq!(world.lane().idle, 0);
    world.answer(4, ACK, b"HTTP/1.1 200 OK\r\n\r\n");
    world.answer(5, FIN | ACK, b"");
    assert_eq!((world.lane().idle, world.lane().most_idle), (0, 1));
}
