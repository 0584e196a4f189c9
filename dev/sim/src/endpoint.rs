//! An endpoint: what it does with requests, when it closes idle connections, and what befalls it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use policy::time::Dice;
use proxy::sim::{sleep, spawn};

use crate::ledger::Ledger;
use crate::link::Link;
use crate::message::{Framing, Request, body, encode_body};
use crate::network::Seats;
use crate::signal::{Signal, unless, within};

/// An endpoint of a world.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    /// From the proxy, one way.
    pub(crate) distance: Duration,
    pub(crate) seats: Seats,
    pub(crate) cluster: Rc<Seats>,
    /// Its cluster's owner asked for retries of every method.
    pub(crate) may_repeat: bool,
    pub(crate) habits: Habits,
    mood: Cell<Mood>,
    /// Counts its processes: the connections of those before have ended.
    process: Cell<u64>,
    changed: Signal,
    dice: RefCell<Dice>,
    ledger: Rc<Ledger>,
}

/// What an endpoint is like as long as nothing befalls it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// It closes connections that have been idle for this long.
    pub(crate) keep_alive: Duration,
    /// It says so.
    pub(crate) hints: bool,
    /// It only ends its sending side, and throws away what comes later.
    pub(crate) half_closes: bool,
    /// Most that it takes to answer.
    pub(crate) service: Duration,
}

/// What befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// Each answer takes this much longer.
    Slow(Duration),
    /// It reads, and answers when this is over.
    Stalled,
    /// It answers 503.
    Failing,
    /// Nobody listens, and connections end after their request.
    Restarting,
    /// Nobody listens, and all connections have ended at once.
    Dead,
    /// Nobody is there: connections are not even refused.
    Unreachable,
    /// One request in so many dies: before it is read, after it was applied, or inside its answer.
    Erratic(u64),
}

/// What somebody finds who dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialled {
    Accepted,
    Refused,
}

/// How one request is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answer,
    Refuse,
    /// Applied, and the connection ends without an answer.
    Silence,
    /// The answer ends in its middle.
    Half,
    /// Applied, and the next bytes on the connection are answered by a reset.
    LastAnswer,
}

impl Endpoint {
    pub(crate) fn new(
        address: SocketAddr,
        (distance, habits): (Duration, Habits),
        (seats, cluster): (Seats, Rc<Seats>),
        may_repeat: bool,
        dice: Dice,
        ledger: Rc<Ledger>,
    ) -> Self {
        Self {
            address,
            distance,
            seats,
            cluster,
            may_repeat,
            habits,
            mood: Cell::new(Mood::Well),
            process: Cell::new(0),
            changed: Signal::default(),
            dice: RefCell::new(dice),
            ledger,
        }
    }

    /// Waits until somebody is there, and says whether he opens.
    pub(crate) async fn dialled(&self) -> Dialled {
        let found = || match self.mood.get() {
            Mood::Restarting | Mood::Dead => Some(Dialled::Refused),
            Mood::Unreachable => None,
            _ => Some(Dialled::Accepted),
        };
        self.changed.until(found).await
    }

    /// Something befalls it, or is over.
    pub(crate) fn feels(&self, mood: Mood) {
        if mood == Mood::Dead || self.mood.get() == Mood::Restarting {
            self.process.set(self.process.get() + 1);
        }
        self.mood.set(mood);
        self.changed.raise();
    }

    /// Serves a connection until it ends.
    pub(crate) fn accept(self: &Rc<Self>, link: Rc<Link>) {
        let (endpoint, process) = (self.clone(), self.process.get());
        spawn(async move {
            let killed = || (endpoint.process.get() != process).then_some(());
            unless(endpoint.serve(&link), endpoint.changed.until(killed)).await;
            link.close();
        });
    }

    async fn serve(&self, link: &Link) {
        let mut input = Vec::new();
        loop {
            let first = unless(
                within(self.habits.keep_alive, link.read()),
                self.changed
                    .until(|| (self.mood.get() == Mood::Restarting).then_some(())),
            );
            match first.await {
                Some(Some(bytes)) if !bytes.is_empty() => input.extend_from_slice(&bytes),
                Some(Some(_)) | None => return,
                Some(None) => {
                    self.ledger.count(|tally| tally.timers += 1);
                    self.ledger.note("timer", u64::from(self.address.port()), 0);
                    if self.habits.half_closes {
                        link.half_close();
                    }
                    return;
                }
            }
            let request = loop {
                if let Some((request, length)) = Request::decode(&input) {
                    assert_eq!(length, input.len(), "a proxy does not pipeline");
                    break request;
                }
                let more = link.read().await;
                if more.is_empty() {
                    return;
                }
                input.extend_from_slice(&more);
            };
            input.clear();
            if !self.answer(link, &request).await {
                return;
            }
        }
    }

    /// Acts on a request; whether the connection may carry another.
    async fn answer(&self, link: &Link, request: &Request) -> bool {
        let fate = self.fate();
        self.ledger.applied(request, self.may_repeat);
        let takes = self.dice.borrow_mut().up_to(self.habits.service);
        sleep(takes).await;
        if let Mood::Slow(more) = self.mood.get() {
            sleep(more).await;
        }
        self.changed
            .until(|| (!matches!(self.mood.get(), Mood::Stalled | Mood::Unreachable)).then_some(()))
            .await;
        let answer = self.encode(request, if fate == Fate::Refuse { 503 } else { 200 });
        match fate {
            Fate::Answer | Fate::Refuse => link.write(answer),
            Fate::Silence => return false,
            Fate::Half => {
                link.write(answer[..answer.len() - 1 - request.answer / 2].to_vec());
                return false;
            }
            Fate::LastAnswer => {
                link.write(answer);
                link.reset_next();
                let better = self
                    .changed
                    .until(|| (self.mood.get() == Mood::Well).then_some(()));
                within(self.habits.keep_alive, better).await;
                return false;
            }
        }
        self.mood.get() != Mood::Restarting
    }

    fn fate(&self) -> Fate {
        let mut dice = self.dice.borrow_mut();
        match self.mood.get() {
            Mood::Failing => Fate::Refuse,
            Mood::Erratic(one_in) if dice.below(one_in) == 0 => match dice.below(4) {
                0 => Fate::Refuse,
                1 => Fate::Silence,
                2 => Fate::Half,
                _ => Fate::LastAnswer,
            },
            _ => Fate::Answer,
        }
    }

    fn encode(&self, request: &Request, status: u16) -> Vec<u8> {
        let mut out = format!("HTTP/1.1 {status} So\r\nx-id: {}\r\n", request.id).into_bytes();
        if self.habits.hints {
            let seconds = self.habits.keep_alive.as_secs();
            out.extend_from_slice(format!("keep-alive: timeout={seconds}\r\n").as_bytes());
        }
        let framing = if request.answer < 20_000 && self.dice.borrow_mut().below(4) == 0 {
            Framing::Chunked
        } else {
            Framing::Length
        };
        encode_body(&mut out, &body(request.id, request.answer), framing);
        out
    }
}
