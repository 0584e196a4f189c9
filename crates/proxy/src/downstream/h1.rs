//! A client that speaks HTTP/1: its connection becomes exchanges, one after the other.

use std::io;
use std::rc::Rc;

use policy::outcome::Failure;
use wire::h1::head::Scan;

use super::client::Client;
use super::clients::Clients;
use super::connection::Connection;
use super::idle::{ReadyConnection, Seat};
use crate::engine;
use crate::engine::wait::within;
use crate::exchange::fault::Fault;
use crate::exchange::reply;
use crate::exchange::route::OwnersFields;
use crate::exchange::{Exchange, Next, Scratch};
use crate::transport::buffer::{READ_SIZE, ReadBuffer};
use crate::transport::read_write::fill;

/// A request task: takes connections that are ready, one after the other, and serves what they
/// ask.
pub(crate) async fn serve(clients: Rc<Clients>) {
    let mut alarm = engine::alarm();
    let mut work = Scratch::default();
    let seat = Seat::new();
    while let Some(ready) = clients.idle.next(&seat).await {
        let mut client = Client::arrive(&clients, ready, alarm);
        let next = serve_connection(&clients, &mut client, &mut work).await;
        if next == Next::Close {
            client.close().await;
        }
        let connection;
        (connection, alarm) = client.leave();
        if next == Next::Request {
            clients.idle.enter(&clients, connection);
        }
    }
}

/// Closes a connection that nobody asks anything on.
pub(crate) async fn dismiss(clients: Rc<Clients>, connection: Box<Connection>) {
    let input = ReadBuffer::default();
    let ready = ReadyConnection {
        connection,
        input,
        heard: clients.worker.clock.now(),
    };
    Client::arrive(&clients, ready, engine::alarm()).close().await;
}

/// Serves what a client asks now.
async fn serve_connection(clients: &Rc<Clients>, client: &mut Client, work: &mut Scratch) -> Next {
    if let Some(why) = &client.connection.refused {
        // Whoever gets an alert or an answer has to read it.
        let is_told = matches!(
            why.failure,
            Failure::TlsHandshake { .. } | Failure::PlainHttpOnTls
        );
        if client.connection.transport.is_plain() {
            // The line has the head as far as it is here.
            let _ = client.receive();
        }
        // In a box, so that requests hold no room for it.
        Box::pin(one(clients, client, work)).await;
        return if is_told { Next::Close } else { Next::Drop };
    }
    if let Some(begun) = client.connection.begun.take() {
        begun.put_into(&mut client.input);
        (client.heard, client.shed) = (begun.heard, begun.shed);
    }
    if client.input.is_empty() {
        match client.receive() {
            // Whoever ends without asking anything has nothing to be told.
            Ok(0) => return Next::Drop,
            Ok(_) => {
                if leaves_begun(clients, client) {
                    return Next::Request;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Next::Request,
            Err(_) => return Next::Drop,
        }
    }
    loop {
        let next = one(clients, client, work).await;
        if next == Next::Close && client.expects_close && client.input.is_empty() {
            return Next::Drop;
        }
        if next != Next::Request || client.input.is_empty() {
            return next;
        }
        // Many requests in one piece are served as those of many clients would be.
        engine::budget().await;
        client.refresh();
        // It was read before, and waited behind what its client asked earlier.
        client.heard = clients.worker.clock.now();
        if leaves_begun(clients, client) {
            return Next::Request;
        }
    }
}

/// Leaves what has come of the next head with its connection, if the head is not whole.
fn leaves_begun(clients: &Clients, client: &mut Client) -> bool {
    let (connection, input) = (&mut client.connection, client.input.data());
    clients.idle.leave_begun(clients, connection, input, client.heard)
}

/// One exchange, from its head's first byte to its log line.
async fn one(clients: &Rc<Clients>, client: &mut Client, work: &mut Scratch) -> Next {
    let mut exchange = Exchange::open(&clients.worker, client, work);
    let fault = match read_head(&mut exchange).await {
        Ok(()) => None,
        // A connection that ends inside a head has no one to answer.
        Err(BadHead::Left) => Some(Failure::DownstreamLeft.into()),
        Err(BadHead::Refused(fault)) => Some(fault),
    };
    let next = match fault {
        None => exchange.run().await,
        Some(fault) => Box::pin(reply::refuse(&mut exchange, &fault, &OwnersFields::default())).await,
    };
    exchange.record.finish(exchange.worker.clock.now());
    next
}

/// Why there is no request.
enum BadHead {
    Left,
    Refused(Box<Fault>),
}

async fn read_head(exchange: &mut Exchange<'_>) -> Result<(), BadHead> {
    if std::mem::take(&mut exchange.client.shed) {
        return Err(BadHead::Refused(Failure::HeadShed.into()));
    }
    if let Some(fault) = exchange.client.connection.refused.take() {
        return Err(BadHead::Refused(fault));
    }
    let Exchange { client, work, .. } = exchange;
    let limits = client.snapshot.limits(client.listener);
    let mut scan = Scan::default();
    let mut timed = false;
    loop {
        match work.request.read(client.input.data(), &mut scan, limits) {
            Ok(Some(length)) => {
                client.input.consume(length);
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => {
                let fault = Fault::of_head(error, client.input.data());
                return Err(BadHead::Refused(fault.into()));
            }
        }
        if !timed {
            // Total, not per read: a trickle must not hold the connection.
            let settings = client.downstream();
            client.alarm.set(client.heard + settings.head_limit());
            timed = true;
        }
        let most = limits.head_bytes + READ_SIZE;
        let more = fill(&client.connection.transport, &mut client.input, most);
        match within(&client.alarm, more).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => return Err(BadHead::Left),
            Err(_) => return Err(BadHead::Refused(Failure::HeadTimeout.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, F>(_: fn(A) -> F) -> usize {
        std::mem::size_of::<F>()
    }

    /// Ten thousand requests may wait at a time; each holds a request task.
    #[test]
    fn a_request_task_is_small() {
        let bytes = size(serve);
        assert!(bytes <= 3000, "{bytes} bytes");
    }
}
