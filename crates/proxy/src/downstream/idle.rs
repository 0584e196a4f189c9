//! Idle connections: where client connections wait between requests. Each holds a slot here, and nothing else.
//!
//! ```text
//!   accepted --> idle --readable--> ready --> a request task takes it, serves its requests --> idle
//!                  '--idle too long, or leaving--> closed
//! ```
//! A task with all that a request needs is some kilobytes; most connections of a gateway ask for
//! nothing most of the time. So there are as many *request tasks* as there are requests. A head that is
//! not whole is no request yet: its bytes wait with its connection, in as much memory as they take.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use policy::time::Moment;
use slab::Slab;
use wire::h1::head::RequestHead;

use super::begun::{BegunHeads, is_unfinished};
use super::clients::Clients;
use super::connection::Connection;
use super::h1;
use crate::engine::{self, Alarm, Spawned, Stage};
use crate::transport::buffer::{READ_SIZE, ReadBuffer};
use crate::worker::context::WorkerSnapshot;

/// While draining, a connection that stays idle this long is closed.
const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// Request tasks without work that are kept for the next request.
const SPARE_TASKS: usize = 256;

/// Ready connections hold memory for what was read of them; past so many, the next are read only when a
/// request task has them.
const HEARD_MAX: usize = 128;

/// A worker's waiting connections.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    places: RefCell<Slab<Place>>,
    /// Those that became ready, for the next free request task.
    ready: RefCell<VecDeque<ReadyConnection>>,
    /// What is added to a place's number where the engine watches it.
    slots: Cell<u32>,
    /// Request tasks without work, each once.
    free: RefCell<Vec<Rc<Seat>>>,
    /// When to look whether a place's connection has been idle too long.
    looks: RefCell<BinaryHeap<Reverse<(Moment, u32)>>>,
    /// For a look whether a head is whole.
    head: RefCell<RequestHead>,
    /// The memory of those that are not.
    begun: BegunHeads,
    /// Goes off at the first look.
    alarm: Alarm,
}

/// A connection that has something to say, and what was read of it already.
#[derive(Debug)]
pub(super) struct ReadyConnection {
    pub(super) connection: Box<Connection>,
    pub(super) input: ReadBuffer,
    /// When it was read, or when there was something to be read.
    pub(super) heard: Moment,
}

/// A request task's place among those without work.
#[derive(Debug)]
pub(super) struct Seat {
    task: Spawned,
    /// It is on the list, once.
    listed: Cell<bool>,
}

/// While this lives, a request task may be on the list of those without work; whoever takes it off calls it.
struct Listing<'a> {
    idle: &'a IdleConnections,
    seat: &'a Rc<Seat>,
}

/// What a connection has to say.
enum Heard {
    Ready(ReadyConnection),
    Nothing(Box<Connection>),
    /// It has ended without asking anything.
    End,
}

/// A connection's place, from its opening to its end.
#[derive(Debug)]
struct Place {
    /// `None` while a request of it is served.
    waiting: Option<Box<Connection>>,
    /// The look that counts. It stays as it is while the connection comes and goes, and moves on
    /// when its time comes.
    look: Moment,
}

impl IdleConnections {
    /// An empty one, for this thread's engine, whose unfinished heads may take so many bytes.
    pub(crate) fn new(begun_most: usize) -> Self {
        Self {
            places: RefCell::default(),
            ready: RefCell::default(),
            slots: Cell::new(0),
            free: RefCell::default(),
            looks: RefCell::default(),
            head: RefCell::default(),
            begun: BegunHeads::up_to(begun_most),
            alarm: engine::alarm(),
        }
    }

    /// Its worker is told from now on which slots have become readable.
    pub(crate) fn open(&self, clients: &Rc<Clients>) {
        let clients = clients.clone();
        self.slots.set(engine::keep_slots(move |slot| {
            clients.idle.on_readable(&clients, slot)
        }));
    }

    /// A place for a new connection.
    pub(super) fn slot(&self) -> u32 {
        let place = Place {
            waiting: None,
            look: Moment::NEVER,
        };
        let slot = self.places.borrow_mut().insert(place);
        assert!(
            slot <= engine::SLOT_MAX as usize,
            "more connections than descriptors"
        );
        slot as u32
    }

    /// The connection has ended.
    pub(super) fn give_back(&self, slot: u32) {
        self.places.borrow_mut().try_remove(slot as usize);
    }

    /// The connection waits for its next request.
    pub(crate) fn enter(&self, clients: &Rc<Clients>, mut connection: Box<Connection>) {
        let slot = connection.slot;
        connection.since = clients.worker.clock.now();
        let due = due(clients, &connection);
        let readable = connection.transport.watch_slot(self.slots.get() + slot);
        if let Some(place) = self.places.borrow_mut().get_mut(slot as usize) {
            place.waiting = Some(connection);
        }
        self.look_at(slot, due);
        self.shed_begun(clients);
        if readable {
            self.on_readable(clients, slot);
        }
    }

    /// A connection has just been opened: most say at once what they want.
    pub(crate) fn on_accept(&self, clients: &Rc<Clients>, connection: Box<Connection>) {
        match self.read_first(clients, connection) {
            Heard::Ready(ready) => self.dispatch(clients, ready),
            Heard::Nothing(connection) => self.enter(clients, connection),
            Heard::End => {}
        }
    }

    /// A connection that waits has become readable: bytes, or an end.
    pub(crate) fn on_readable(&self, clients: &Rc<Clients>, slot: u32) {
        let mut places = self.places.borrow_mut();
        let place = places.get_mut(slot as usize);
        let Some(connection) = place.and_then(|place| place.waiting.take()) else {
            return;
        };
        drop(places);
        match self.read_first(clients, connection) {
            Heard::Ready(ready) => self.dispatch(clients, ready),
            Heard::Nothing(connection) => {
                let due = due(clients, &connection);
                if let Some(place) = self.places.borrow_mut().get_mut(slot as usize) {
                    place.waiting = Some(connection);
                }
                self.look_at(slot, due);
                self.shed_begun(clients);
            }
            Heard::End => {}
        }
    }

    /// Hands a ready connection to a request task.
    pub(super) fn dispatch(&self, clients: &Rc<Clients>, ready: ReadyConnection) {
        self.ready.borrow_mut().push_back(ready);
        let free = self.free.borrow_mut().pop();
        match free {
            Some(seat) => {
                seat.listed.set(false);
                seat.task.wake_at(Stage::Process);
            }
            None => {
                engine::spawn(h1::serve(clients.clone()));
            }
        }
    }

    /// Reads what a connection has to say.
    fn read_first(&self, clients: &Clients, mut connection: Box<Connection>) -> Heard {
        let mut input = ReadBuffer::default();
        let mut heard = clients.worker.clock.now();
        if connection.begun.is_none() && self.ready.borrow().len() >= HEARD_MAX {
            return Heard::Ready(ReadyConnection {
                connection,
                input,
                heard,
            });
        }
        let read = connection.transport.try_read(input.space(READ_SIZE));
        match read {
            Ok(count) if count > 0 => input.filled(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Heard::Nothing(connection),
            _ if connection.begun.is_none() => return Heard::End,
            // A request task meets the end, and tells of it.
            _ => {
                return Heard::Ready(ReadyConnection {
                    connection,
                    input: ReadBuffer::default(),
                    heard,
                });
            }
        }
        if let Some(mut begun) = connection.begun.take() {
            let goes_on = {
                let current = connection.current(clients);
                let limits = current.limits(current.listener(*connection.address));
                begun.goes_on(input.data(), &mut self.head.borrow_mut(), limits)
            };
            if goes_on {
                connection.begun = Some(begun);
                return Heard::Nothing(connection);
            }
            heard = begun.heard;
            input.consume(input.data().len());
            begun.put_into(&mut input);
        } else if self.leave_begun(clients, &mut connection, input.data(), heard) {
            return Heard::Nothing(connection);
        }
        Heard::Ready(ReadyConnection {
            connection,
            input,
            heard,
        })
    }

    /// Leaves what has come of a head with its connection, if the head is not whole; otherwise, or if it is
    /// malformed, it is a request task's.
    pub(super) fn leave_begun(
        &self,
        clients: &Clients,
        connection: &mut Connection,
        bytes: &[u8],
        heard: Moment,
    ) -> bool {
        // Most requests end with their heads. Where a body's beginning is there, too, the search ends before it.
        let whole =
            |bytes: &[u8]| bytes.ends_with(b"\r\n\r\n") || bytes.windows(4).any(|four| four == b"\r\n\r\n");
        if bytes.is_empty() || !bytes.starts_with(b"\r\n") && whole(bytes) {
            return false;
        }
        let current = connection.current(clients);
        let limits = current.limits(current.listener(*connection.address));
        if bytes.len() >= limits.head_bytes || !is_unfinished(bytes, &mut self.head.borrow_mut(), limits) {
            return false;
        }
        connection.begun = Some(Box::new(self.begun.begin(bytes, heard)));
        let is_waiting = |heard, slot: u32| {
            let places = self.places.borrow();
            let waiting = places.get(slot as usize).and_then(|place| place.waiting.as_ref());
            waiting.is_some_and(|connection| connection.began_at(heard))
        };
        self.begun.waits_at(heard, connection.slot, is_waiting);
        true
    }

    /// Sheds the oldest unfinished heads, while all of them together take more memory than they may.
    fn shed_begun(&self, clients: &Rc<Clients>) {
        while self.begun.is_full()
            && let Some((heard, slot)) = self.begun.take_oldest()
        {
            let mut places = self.places.borrow_mut();
            let place = places.get_mut(slot as usize);
            let waiting = place.and_then(|place| place.waiting.take_if(|other| other.began_at(heard)));
            drop(places);
            let Some(mut connection) = waiting else { continue };
            if let Some(begun) = &mut connection.begun {
                begun.make_room();
            }
            self.begun.note_shed(clients);
            self.dispatch(
                clients,
                ReadyConnection {
                    connection,
                    input: ReadBuffer::default(),
                    heard,
                },
            );
        }
    }

    /// The next connection that has something to say, for the free request task that has this seat; `None` if
    /// enough others are free.
    pub(super) async fn next(&self, seat: &Rc<Seat>) -> Option<ReadyConnection> {
        let listing = Listing { idle: self, seat };
        poll_fn(|_| {
            let ready = self.ready.borrow_mut().pop_front();
            if ready.is_some() {
                return Poll::Ready(ready);
            }
            // Whoever is on the list may be polled in vain. Whoever was called may come too late, and is free still.
            if listing.enter() {
                Poll::Pending
            } else {
                Poll::Ready(None)
            }
        })
        .await
    }

    /// The configuration changed from `old`, or a drain began: every waiting connection is looked
    /// at, and those that nobody listens for any more keep what they had.
    pub(crate) fn look_around(&self, clients: &Rc<Clients>, old: &Rc<WorkerSnapshot>) {
        let current = clients.worker.snapshot();
        let mut looks = Vec::new();
        for (slot, place) in &mut *self.places.borrow_mut() {
            let Some(connection) = &mut place.waiting else {
                continue;
            };
            if connection.last.is_none() && current.listener(*connection.address).is_none() {
                connection.last = Some(old.clone());
            }
            looks.push((slot as u32, due(clients, connection)));
        }
        for (slot, due) in looks {
            self.look_at(slot, due);
        }
        for ReadyConnection { connection, .. } in &mut *self.ready.borrow_mut() {
            if connection.last.is_none() && current.listener(*connection.address).is_none() {
                connection.last = Some(old.clone());
            }
        }
    }

    /// Closes connections that were idle too long, for as long as the worker lives.
    pub(crate) async fn keep(clients: Rc<Clients>) {
        loop {
            poll_fn(|cx| clients.idle.alarm.poll_due(cx)).await;
            let now = clients.worker.clock.now();
            while let Some(connection) = clients.idle.overdue(&clients, now) {
                if connection.begun.is_some() {
                    // A request task says that its time is up.
                    let ready = ReadyConnection {
                        connection,
                        input: ReadBuffer::default(),
                        heard: now,
                    };
                    clients.idle.dispatch(&clients, ready);
                    continue;
                }
                if clients.worker.is_leaving(*connection.address) {
                    clients.worker.stats.cx_drain_close.inc();
                } else {
                    clients.worker.stats.cx_idle_timeout.inc();
                }
                engine::spawn(h1::dismiss(clients.clone(), connection));
            }
        }
    }

    /// Closes whatever still waits.
    pub(crate) fn clear(&self) {
        drop(self.ready.take());
        loop {
            let mut places = self.places.borrow_mut();
            let waiting = places.iter_mut().find_map(|(_, place)| place.waiting.take());
            drop(places);
            if waiting.is_none() {
                return;
            }
        }
    }

    #[cfg(test)]
    fn free_tasks(&self) -> usize {
        self.free.borrow().len()
    }

    fn look_at(&self, slot: u32, at: Moment) {
        let mut places = self.places.borrow_mut();
        let Some(place) = places.get_mut(slot as usize).filter(|place| at < place.look) else {
            return;
        };
        place.look = at;
        let mut looks = self.looks.borrow_mut();
        looks.push(Reverse((at, slot)));
        if looks.peek() == Some(&Reverse((at, slot))) {
            self.alarm.set(at);
        }
    }

    /// Takes out the next connection that has been idle too long; sets the alarm if there is none.
    fn overdue(&self, clients: &Clients, now: Moment) -> Option<Box<Connection>> {
        loop {
            let first = self.looks.borrow().peek().map(|&Reverse(first)| first);
            let (at, slot) = first.unwrap_or((Moment::NEVER, 0));
            if at > now {
                self.alarm.set(at);
                return None;
            }
            self.looks.borrow_mut().pop();
            let mut places = self.places.borrow_mut();
            let Some(place) = places.get_mut(slot as usize).filter(|place| place.look == at) else {
                continue; // its connection has ended, or an earlier look counts
            };
            place.look = Moment::NEVER;
            // One that is being served is looked at again when it comes back.
            let Some(connection) = &place.waiting else {
                continue;
            };
            let due = due(clients, connection);
            if due <= now {
                return place.waiting.take();
            }
            drop(places);
            self.look_at(slot, due);
        }
    }
}

impl Seat {
    /// One for the task that is being polled.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            task: Spawned::running(),
            listed: Cell::new(false),
        })
    }
}

impl Listing<'_> {
    /// Puts the request task on the list, unless it is there; false if enough others are.
    fn enter(&self) -> bool {
        let mut free = self.idle.free.borrow_mut();
        if !self.seat.listed.get() {
            if free.len() >= SPARE_TASKS {
                return false;
            }
            self.seat.listed.set(true);
            free.push(self.seat.clone());
        }
        true
    }
}

impl Drop for Listing<'_> {
    /// A request task that took another's connection, or is gone, must not be called for the next one.
    fn drop(&mut self) {
        if self.seat.listed.take() {
            self.idle
                .free
                .borrow_mut()
                .retain(|other| !Rc::ptr_eq(other, self.seat));
        }
    }
}

/// When a waiting connection has been idle too long, or its head has taken too long.
fn due(clients: &Clients, connection: &Connection) -> Moment {
    let current = clients.worker.snapshot();
    let listener = current.listener(*connection.address);
    let settings = match &connection.last {
        None => current.downstream(listener),
        Some(last) => last.downstream(last.listener(*connection.address)),
    };
    if let Some(begun) = &connection.begun {
        return begun.heard + settings.head_limit();
    }
    let idle = settings.idle_timeout;
    if clients.worker.draining.get() || listener.is_none() {
        return connection.since + idle.min(DRAIN_IDLE);
    }
    connection.since + idle
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;
    use crate::engine::clock::Clock;

    fn with_idle(test: impl AsyncFnOnce(IdleConnections) + 'static) {
        engine::run(Clock::start(), async {
            test(IdleConnections::new(1 << 20)).await
        })
        .expect("an engine");
    }

    #[test]
    fn a_request_task_polled_in_vain_is_on_the_list_once() {
        with_idle(async |idle| {
            let seat = Seat::new();
            let mut next = pin!(idle.next(&seat));
            poll_fn(|cx| {
                for _ in 0..3 {
                    assert!(next.as_mut().poll(cx).is_pending());
                    assert_eq!(idle.free_tasks(), 1);
                }
                Poll::Ready(())
            })
            .await;
        });
    }

    #[test]
    fn a_request_task_that_was_called_too_late_is_on_the_list_again() {
        with_idle(async |idle| {
            let seat = Seat::new();
            let mut next = pin!(idle.next(&seat));
            poll_fn(|cx| {
                assert!(next.as_mut().poll(cx).is_pending());
                // Called for a connection that another request task has taken since.
                idle.free.take()[0].listed.set(false);
                assert!(next.as_mut().poll(cx).is_pending());
                assert_eq!(idle.free_tasks(), 1);
                Poll::Ready(())
            })
            .await;
        });
    }

    #[test]
    fn a_request_task_that_waits_no_more_is_not_on_the_list() {
        with_idle(async |idle| {
            let seat = Seat::new();
            {
                let mut next = pin!(idle.next(&seat));
                poll_fn(|cx| {
                    assert!(next.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
            assert_eq!(idle.free_tasks(), 0);
        });
    }

    #[test]
    fn past_so_many_free_tasks_the_next_one_ends() {
        with_idle(async |idle| {
            let seats: Vec<_> = (0..=SPARE_TASKS).map(|_| Seat::new()).collect();
            let mut waiting: Vec<_> = seats.iter().map(|seat| Box::pin(idle.next(seat))).collect();
            poll_fn(|cx| {
                let pending: usize = waiting
                    .iter_mut()
                    .map(|w| usize::from(w.as_mut().poll(cx).is_pending()))
                    .sum();
                assert_eq!(pending, SPARE_TASKS);
                Poll::Ready(())
            })
            .await;
        });
    }
}
