//! Endpoints that do as they are told: work, stall, fail. A stall is the application's: the kernel takes
//! connections, the request is read, and no answer comes until the endpoint is well again.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::alarms::Alarms;
use crate::Fallible;
use crate::race::dice::Dice;
use crate::race::message::Wired;

/// One endpoint, and what it has seen.
pub(crate) struct Endpoint {
    address: SocketAddrV4,
    alarms: Rc<Alarms>,
    work: Work,
    dice: RefCell<Dice>,
    mood: Cell<Mood>,
    mood_changed: Notify,
    seen: RefCell<Seen>,
}

/// How an endpoint behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers 200 when its work is done.
    Serves,
    /// Answers nothing until the mood changes.
    Stalls,
    /// Answers 503 at once.
    Fails,
    /// Reads the request and closes the connection.
    Drops,
}

/// How long an answer takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Most answers.
    pub(crate) usual: Duration,
    /// One answer in a hundred, by chance.
    pub(crate) rare: Duration,
}

#[derive(Default)]
struct Seen {
    /// When requests came.
    arrivals: Vec<Instant>,
    /// How many it had from then on.
    busy: Vec<(Instant, usize)>,
    connections: usize,
    connections_peak: usize,
}

/// Counted down by its drop, so that a connection that ends at any await is, too.
struct Open<'a> {
    endpoint: &'a Endpoint,
    counts: bool,
}

/// A request that is worked on.
struct Busy<'a>(&'a Endpoint);

impl Work {
    /// Every answer takes as long.
    pub(crate) fn steady(millis: u64) -> Self {
        let span = Duration::from_millis(millis);
        Self {
            usual: span,
            rare: span,
        }
    }
}

impl Endpoint {
    /// Opens `count` endpoints that serve.
    ///
    /// # Errors
    /// When they can not listen.
    pub(crate) async fn open(count: usize, work: Work, alarms: &Rc<Alarms>) -> Fallible<Vec<Rc<Self>>> {
        let mut endpoints = Vec::new();
        for index in 0..count {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let SocketAddr::V4(address) = listener.local_addr()? else {
                return Err("an address of another family than asked for".into());
            };
            let endpoint = Rc::new(Self {
                address,
                alarms: Rc::clone(alarms),
                work,
                // Far apart, as neighbours throw the same, one throw later.
                dice: RefCell::new(Dice::new((index as u64) << 32 | 1)),
                mood: Cell::new(Mood::Serves),
                mood_changed: Notify::new(),
                seen: RefCell::default(),
            });
            tokio::task::spawn_local(Rc::clone(&endpoint).accept(listener));
            endpoints.push(endpoint);
        }
        Ok(endpoints)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Behaves like this from now on; what stalls is answered, or goes on stalling, by the new mood.
    pub(crate) fn turn(&self, mood: Mood) {
        self.mood.set(mood);
        self.mood_changed.notify_waiters();
    }

    /// When requests came from `from` on and before `until`.
    pub(crate) fn arrivals(&self, from: Instant, until: Instant) -> Vec<Instant> {
        let seen = self.seen.borrow();
        let within = seen.arrivals.iter().filter(|at| (from..until).contains(at));
        within.copied().collect()
    }

    /// The most connections that were open at once.
    pub(crate) fn connections_peak(&self) -> usize {
        self.seen.borrow().connections_peak
    }

    /// The longest time before `until` during which it had fewer than `full` requests, after it had as
    /// many for the first time; `None` if it never had.
    pub(crate) fn longest_below(&self, full: usize, until: Instant) -> Option<Duration> {
        longest_below(&self.seen.borrow().busy, full, until)
    }

    /// How many requests it has.
    pub(crate) fn busy(&self) -> usize {
        self.seen.borrow().busy.last().map_or(0, |(_, busy)| *busy)
    }

    async fn accept(self: Rc<Self>, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::task::spawn_local(Rc::clone(&self).serve(stream))),
                // Out of descriptors: those who wait are let in when others have left.
                Err(_) => self.alarms.after(Duration::from_millis(10)).await,
            }
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let mut open = Open::new(&self);
        let mut wire = Wired::new(stream);
        while let Ok(Some(head)) = wire.head().await {
            if wire.request_body(&head).await.is_err() {
                return;
            }
            // Health checks share the endpoint's mood; they, and their connections, are not counted.
            let is_check = head.start.contains(HEALTH_PATH);
            open.note(is_check);
            let busy = (!is_check).then(|| Busy::new(&self));
            let answer = tokio::select! {
                answer = self.answer(is_check) => answer,
                () = ended(&wire.stream) => None,
            };
            // Before the answer goes out: with it the proxy may send the next request.
            drop(busy);
            let Some(answer) = answer else {
                return;
            };
            if wire.write(answer).await.is_err() {
                return;
            }
        }
    }

    /// What is to be answered, when its time has come; `None` closes the connection.
    async fn answer(&self, is_check: bool) -> Option<&'static [u8]> {
        loop {
            let mood_changed = self.mood_changed.notified();
            match self.mood.get() {
                Mood::Serves => {
                    let work = self.draw();
                    if !is_check {
                        self.alarms.after(work).await;
                    }
                    return Some(GOOD);
                }
                Mood::Stalls => mood_changed.await,
                Mood::Fails => return Some(UNAVAILABLE),
                Mood::Drops => return None,
            }
        }
    }

    fn draw(&self) -> Duration {
        if self.dice.borrow_mut().between(1, 100) == 1 {
            self.work.rare
        } else {
            self.work.usual
        }
    }

    fn note_busy(&self, change: isize) {
        let busy = self.busy().saturating_add_signed(change);
        self.seen.borrow_mut().busy.push((Instant::now(), busy));
    }
}

impl<'a> Open<'a> {
    fn new(endpoint: &'a Endpoint) -> Self {
        endpoint.seen.borrow_mut().connections += 1;
        Self {
            endpoint,
            counts: true,
        }
    }

    /// Notes what a request on it shows it to be. Only then is the peak taken.
    fn note(&mut self, is_check: bool) {
        let mut seen = self.endpoint.seen.borrow_mut();
        if is_check && self.counts {
            self.counts = false;
            seen.connections -= 1;
        }
        if !is_check {
            seen.connections_peak = seen.connections_peak.max(seen.connections);
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.counts {
            self.endpoint.seen.borrow_mut().connections -= 1;
        }
    }
}

impl<'a> Busy<'a> {
    fn new(endpoint: &'a Endpoint) -> Self {
        endpoint.seen.borrow_mut().arrivals.push(Instant::now());
        endpoint.note_busy(1);
        Self(endpoint)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.note_busy(-1);
    }
}

/// Waits until the peer has ended the connection.
async fn ended(stream: &TcpStream) {
    if let Ok(1..) = stream.peek(&mut [0]).await {
        // A request behind this one: then an end can not be seen before it was read.
        std::future::pending::<()>().await;
    }
}

fn longest_below(busy: &[(Instant, usize)], full: usize, until: Instant) -> Option<Duration> {
    let first = busy.iter().position(|(_, busy)| *busy >= full)?;
    let ends = busy[first + 1..].iter().map(|(at, _)| *at).chain([until]);
    let (mut longest, mut below_since) = (Duration::ZERO, None);
    for ((at, busy), end) in busy[first..].iter().zip(ends) {
        if *busy >= full {
            below_since = None;
        } else {
            let since = *below_since.get_or_insert(*at);
            longest = longest.max(end.min(until).saturating_duration_since(since));
        }
    }
    Some(longest)
}

/// Where peers that check the health of endpoints ask.
pub(crate) const HEALTH_PATH: &str = "/health";
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 60\r\n\r\n\
    An answer of sixty bytes, as short as an answer can well be\n";
const UNAVAILABLE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(GOOD).unwrap();
        assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), 60);
    }

    #[test]
    fn idle_time_counts_from_the_first_moment_of_full_use_to_the_end() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let busy = [
            (at(0), 1),
            (at(50), 2),
            (at(60), 1),
            (at(62), 0),
            (at(65), 1),
            (at(66), 2),
            (at(90), 1),
        ];
        assert_eq!(longest_below(&busy, 2, at(91)), Some(Duration::from_millis(6)));
        assert_eq!(longest_below(&busy, 2, at(100)), Some(Duration::from_millis(10)));
        assert_eq!(longest_below(&busy, 3, at(100)), None);
    }
}
