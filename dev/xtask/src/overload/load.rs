//! The clients: an open loop, in which a request is sent when its time has come, whatever became of those
//! before it. Overload that waits for answers before it asks again is none.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::alarms::Alarms;
use super::shots::{Outcome, Shot, Shots};
use crate::Fallible;
use crate::race::message::Wired;

/// Clients of one proxy. Each holds one connection, and has one request at a time.
pub(crate) struct Load {
    proxy: SocketAddrV4,
    alarms: Rc<Alarms>,
    /// Connections without a request. Whoever has waited longest is next, so that all are used.
    idle: RefCell<VecDeque<Wired>>,
    shots: RefCell<Vec<Shot>>,
    under_way: Cell<usize>,
    ended: Notify,
    last_id: Cell<u64>,
}

/// Requests of one kind, evenly spaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    /// Its name, by which its [`Shots`] are found.
    pub(crate) name: &'static str,
    /// GET, or POST with a small body.
    pub(crate) method: &'static str,
    /// Where to.
    pub(crate) path: &'static str,
    /// How many per second.
    pub(crate) rate: u32,
}

impl Stream {
    /// GETs of `path`, by whose name the stream goes, too.
    pub(crate) fn get(path: &'static str, rate: u32) -> Self {
        Self {
            name: path,
            method: "GET",
            path,
            rate,
        }
    }
}

impl Load {
    /// Clients without a connection yet; they connect when they are needed.
    pub(crate) fn new(proxy: SocketAddrV4, alarms: Rc<Alarms>) -> Rc<Self> {
        Rc::new(Self {
            proxy,
            alarms,
            idle: RefCell::default(),
            shots: RefCell::default(),
            under_way: Cell::new(0),
            ended: Notify::new(),
            last_id: Cell::new(0),
        })
    }

    /// Connects this many clients beforehand.
    ///
    /// # Errors
    /// When the proxy does not take them.
    pub(crate) async fn connect(&self, clients: usize) -> Fallible<()> {
        for _ in 0..clients {
            let stream = TcpStream::connect(self.proxy).await?;
            self.idle.borrow_mut().push_back(Wired::new(stream));
        }
        Ok(())
    }

    /// Sends what is due from `from` on, for `span`. Returns when the last was sent.
    pub(crate) async fn offer(self: &Rc<Self>, stream: Stream, from: Instant, span: Duration) {
        let total = (span.as_secs_f64() * f64::from(stream.rate)).round() as u32;
        for index in 0..total {
            let due = from + Duration::from_secs_f64(f64::from(index) / f64::from(stream.rate));
            self.alarms.until(due).await;
            self.under_way.set(self.under_way.get() + 1);
            tokio::task::spawn_local(Rc::clone(self).fire(stream, due));
        }
    }

    /// How many requests wait for their answer.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.get()
    }

    /// Waits until every request has ended, and gives them all.
    pub(crate) async fn settle(&self) -> Shots {
        loop {
            let ended = self.ended.notified();
            if self.under_way.get() == 0 {
                return Shots::new(self.shots.take());
            }
            ended.await;
        }
    }

    async fn fire(self: Rc<Self>, stream: Stream, due: Instant) {
        let late = due.elapsed();
        let id = self.last_id.get() + 1;
        self.last_id.set(id);
        let outcome = tokio::time::timeout_at((due + PATIENCE).into(), self.exchange(stream, id))
            .await
            .unwrap_or(Outcome::GaveUp);
        self.shots.borrow_mut().push(Shot {
            stream: stream.name,
            id,
            due,
            late,
            took: due.elapsed(),
            outcome,
        });
        self.under_way.set(self.under_way.get() - 1);
        self.ended.notify_waiters();
    }

    async fn exchange(&self, stream: Stream, id: u64) -> Outcome {
        let idle = self.idle.borrow_mut().pop_front();
        let connection = match idle {
            Some(connection) => Ok(connection),
            None => TcpStream::connect(self.proxy).await.map(Wired::new),
        };
        let Ok(mut connection) = connection else {
            return Outcome::CutOff;
        };
        match attempt(&mut connection, stream, id).await {
            Ok((status, stays)) => {
                if stays {
                    self.idle.borrow_mut().push_back(connection);
                }
                Outcome::Status(status)
            }
            Err(_) => Outcome::CutOff,
        }
    }
}

/// Sends a request and reads its answer: the status, and whether the connection can be used again.
async fn attempt(connection: &mut Wired, stream: Stream, id: u64) -> std::io::Result<(u16, bool)> {
    let Stream { method, path, .. } = stream;
    let body = if method == "POST" { BODY } else { "" };
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: overload.test\r\n{ID_FIELD}: {id:x}\r\n");
    let request = format!("{head}Content-Length: {length}\r\n\r\n{body}");
    connection.write(request.as_bytes()).await?;
    loop {
        let head = connection
            .head()
            .await?
            .ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head.status().ok_or(std::io::ErrorKind::InvalidData)?;
        connection.response_body(&head).await?;
        if status >= 200 {
            return Ok((status, !head.closes()));
        }
    }
}

/// The field that carries a request's id.
pub(crate) const ID_FIELD: &str = "X-Overload-Id";
/// After this long a client gives up.
const PATIENCE: Duration = Duration::from_secs(15);
const BODY: &str = "an order, which must be applied once and not twice, whatever happens\n";
