//! Clients: they ask, read at their pace, sometimes leave, and look closely at what they get.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use policy::time::{Dice, Moment};
use proxy::sim::{Proxy, Stream, now, sleep, spawn};

use crate::ledger::{End, Ledger};
use crate::message::{Framing, Head, Method, Request, body};
use crate::signal::{Signal, unless, within};

/// A request that has not ended by then hangs: longer than all timeouts together.
const HANGS_AFTER: Duration = Duration::from_secs(600);

/// A connection is used again within this.
const REUSED_WITHIN: Duration = Duration::from_secs(600);

/// All clients of a world.
#[derive(Debug)]
pub(crate) struct Clients {
    pub(crate) proxy: Rc<Proxy>,
    pub(crate) ledger: Rc<Ledger>,
    pub(crate) dice: RefCell<Dice>,
    idle: RefCell<Vec<(Moment, Stream)>>,
    /// Requests that have not ended.
    under_way: Cell<u32>,
    /// Everybody who still waits leaves.
    dismissed: Cell<u64>,
    changed: Signal,
}

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    /// It takes what it gets, at once.
    Good,
    /// It may be slow, leave early, pipeline.
    Any,
}

/// How one client goes about one connection's requests.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// It leaves after this.
    patience: Option<Duration>,
    /// Before each read, and between the parts of a body it sends.
    pause: Duration,
}

/// Whether a connection may carry another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    Yes,
    No,
}

impl Clients {
    pub(crate) fn new(proxy: Rc<Proxy>, ledger: Rc<Ledger>, dice: Dice) -> Rc<Self> {
        Rc::new(Self {
            proxy,
            ledger,
            dice: RefCell::new(dice),
            idle: RefCell::default(),
            under_way: Cell::new(0),
            dismissed: Cell::new(0),
            changed: Signal::default(),
        })
    }

    /// Requests of chance, `per_second` on average, for `span`, whether answers come or not.
    pub(crate) async fn ask_openly(self: &Rc<Self>, clusters: usize, per_second: u64, span: Duration) {
        let end = now() + span;
        loop {
            let gap = Duration::from_nanos(2_000_000_000 / per_second.max(1));
            let gap = self.dice.borrow_mut().up_to(gap);
            sleep(gap).await;
            if now() >= end {
                return;
            }
            let cluster = self.below(clusters as u64) as usize;
            let several = if self.below(10) == 0 { 1 + self.below(3) } else { 1 };
            // Whoever asks several things at once takes the answers only then: they must be small.
            let manners = if several > 1 { Manners::Good } else { Manners::Any };
            let requests = (0..several).map(|_| self.request(cluster, manners)).collect();
            let (clients, pace) = (self.clone(), self.pace());
            spawn(async move {
                clients.converse(requests, pace).await;
            });
        }
    }

    /// One request of a client with good manners; how it ended.
    pub(crate) async fn ask(self: &Rc<Self>, cluster: usize) -> End {
        let request = self.request(cluster, Manners::Good);
        self.converse(vec![request], Pace::default()).await
    }

    /// Whoever still waits leaves; nobody is under way afterwards.
    pub(crate) async fn dismiss(&self) {
        self.dismissed.set(self.dismissed.get() + 1);
        self.changed.raise();
        self.all_ended().await;
    }

    pub(crate) async fn all_ended(&self) {
        self.changed
            .until(|| (self.under_way.get() == 0).then_some(()))
            .await;
    }

    /// Closes the connections that are not in use.
    pub(crate) fn close_idle(&self) {
        self.idle.take();
    }

    fn below(&self, limit: u64) -> u64 {
        self.dice.borrow_mut().below(limit)
    }

    fn pace(&self) -> Pace {
        let mut dice = self.dice.borrow_mut();
        Pace {
            patience: (dice.below(12) == 0).then(|| dice.up_to(Duration::from_secs(3))),
            pause: match dice.below(20) {
                0 => dice.up_to(Duration::from_millis(500)),
                _ => Duration::ZERO,
            },
        }
    }

    fn request(&self, cluster: usize, manners: Manners) -> Request {
        let mut dice = self.dice.borrow_mut();
        let method = match dice.below(10) {
            0..6 => Method::Get,
            6..7 => Method::Put,
            _ => Method::Post,
        };
        let mut size = |large: u64| match (manners, dice.below(40)) {
            (Manners::Any, 0) => dice.below(large) as usize,
            _ => dice.below(2000) as usize,
        };
        let request = Request {
            id: self.ledger.id(),
            cluster,
            method,
            answer: size(600_000),
            body: if method == Method::Get { 0 } else { size(200_000) },
        };
        self.ledger.note("asked", request.id, method as u64);
        request
    }

    /// Sends `requests` on one connection, at once, and reads their answers; how the last ended.
    async fn converse(self: &Rc<Self>, requests: Vec<Request>, pace: Pace) -> End {
        let count = requests.len() as u32;
        self.under_way.set(self.under_way.get() + count);
        self.ledger.count(|tally| tally.sent += u64::from(count));
        let answered = Cell::new(0);
        let last = Cell::new(End::Closed);
        let dismissed = self.dismissed.get();
        let leaves = async {
            let asked = self
                .changed
                .until(|| (self.dismissed.get() != dismissed).then_some(()));
            match pace.patience {
                Some(patience) => within(patience, asked).await.unwrap_or_default(),
                None => asked.await,
            }
        };
        let stream = self.connection();
        let talk = async {
            for request in &requests {
                let framing = if self.below(3) == 0 {
                    Framing::Chunked
                } else {
                    Framing::Length
                };
                if send(&stream, &request.encode(framing), pace).await.is_err() {
                    break; // it may have been answered all the same
                }
            }
            let mut input = Vec::new();
            for request in &requests {
                let (end, keep) = self.answer(&stream, request, &mut input, pace).await;
                self.ledger.ended(request, end);
                answered.set(answered.get() + 1);
                last.set(end);
                if keep == Keep::No {
                    return keep;
                }
            }
            Keep::Yes
        };
        let kept = match within(HANGS_AFTER, unless(talk, leaves)).await {
            Some(Some(kept)) => kept,
            Some(None) => {
                last.set(End::Left);
                Keep::No
            }
            None => {
                let hangs = &requests[answered.get()..];
                self.ledger
                    .violated(format!("no end after {HANGS_AFTER:?}: {hangs:?}"));
                Keep::No
            }
        };
        // Behind a connection that ended nobody waits.
        let rest = if last.get() == End::Left {
            End::Left
        } else {
            End::Closed
        };
        for request in &requests[answered.get()..] {
            self.ledger.ended(request, rest);
        }
        if kept == Keep::Yes {
            self.idle.borrow_mut().push((now(), stream));
        }
        self.under_way.set(self.under_way.get() - count);
        self.changed.raise();
        last.get()
    }

    fn connection(&self) -> Stream {
        while let Some((since, stream)) = self.idle.borrow_mut().pop() {
            if now().since(since) < REUSED_WITHIN {
                return stream;
            }
        }
        self.proxy.connect().expect("the proxy listens")
    }

    /// Reads the answer to `request`, and looks at it.
    async fn answer(
        &self,
        stream: &Stream,
        request: &Request,
        input: &mut Vec<u8>,
        pace: Pace,
    ) -> (End, Keep) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            if let Some(head) = Head::decode(input)
                && let Some((content, length)) = head.body(input)
            {
                let status = head
                    .first_line
                    .split(' ')
                    .nth(1)
                    .and_then(|word| word.parse().ok());
                let status = status.expect("a status line");
                if status == 100 {
                    input.drain(..length);
                    continue;
                }
                self.check(request, &head, &content);
                let keep = match head.field("connection") {
                    Some("close") => Keep::No,
                    _ => Keep::Yes,
                };
                input.drain(..length);
                return (End::Answered(status), keep);
            }
            if pace.pause > Duration::ZERO {
                sleep(pace.pause).await;
            }
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => input.extend_from_slice(&buffer[..count]),
                _ if input.is_empty() => return (End::Closed, Keep::No),
                _ => return (End::Cut, Keep::No),
            }
        }
    }

    /// An endpoint's answer is this request's, whole, and nobody else's.
    fn check(&self, request: &Request, head: &Head<'_>, content: &[u8]) {
        let Some(id) = head.field("x-id") else {
            return; // the proxy's own
        };
        if id != request.id.to_string() {
            self.ledger
                .violated(format!("{request:?} was given the answer of {id}"));
        } else if content != body(request.id, request.answer) {
            self.ledger.violated(format!(
                "{request:?} was given another body, of {} bytes",
                content.len()
            ));
        }
    }
}

/// Sends a request, in parts if the client has little to hurry.
async fn send(stream: &Stream, bytes: &[u8], pace: Pace) -> std::io::Result<()> {
    if pace.pause == Duration::ZERO {
        return stream.write_all(bytes).await;
    }
    for part in bytes.chunks(bytes.len() / 4 + 1) {
        stream.write_all(part).await?;
        sleep(pace.pause).await;
    }
    Ok(())
}
