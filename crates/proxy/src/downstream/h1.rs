//! A client that speaks HTTP/1: its connection becomes exchanges, one after the other.

use std::net::SocketAddr;
use std::rc::Rc;

use policy::outcome::Failure;
use tokio::net::TcpStream;
use wire::h1::head::{HeadError, Scan};

use super::client::{Client, Wake};
use crate::buffer::READ_SIZE;
use crate::exchange::{self, Next, Workspace};
use crate::io::fill;
use crate::record::Record;
use crate::wait::within;
use crate::worker::Worker;

/// Serves a client until one side closes.
pub(crate) async fn serve(worker: Rc<Worker>, address: SocketAddr, stream: TcpStream, peer: SocketAddr) {
    let mut client = Client::new(&worker, address, stream, peer);
    loop {
        match client.wait_for_request().await {
            Wake::Bytes => {}
            Wake::Over => return client.close().await,
        }
        let mut work = worker.workspace();
        let next = one(&worker, &mut client, &mut work).await;
        worker.give_workspace(work);
        match next {
            Next::Request => {}
            Next::Close => return client.close().await,
            Next::Drop => return,
        }
    }
}

/// One exchange, from its head's first byte to its log line.
async fn one(worker: &Rc<Worker>, client: &mut Client, work: &mut Workspace) -> Next {
    let start = worker.clock.now();
    let mut record = Record::open(&worker.log(), start, crate::clock::unix_nanos());
    record.downstream(client.peer, client.local);
    let next = match read_head(worker, client, work).await {
        Ok(()) => exchange::run(worker, client, work, &mut record, start).await,
        Err(BadHead::Left) => {
            // Nothing was asked for: a connection that ends inside a head has no one to answer.
            record.request(work.request.method_text(), work.request.target(), "HTTP/1.1", "");
            Next::Drop
        }
        Err(BadHead::Late) => {
            exchange::refuse(worker, client, work, &mut record, &Failure::HeadTimeout.into()).await
        }
        Err(BadHead::Malformed(error)) => {
            exchange::refuse(worker, client, work, &mut record, &error.into()).await
        }
    };
    record.finish(worker.clock.now());
    next
}

/// Why there is no request.
enum BadHead {
    Left,
    Late,
    Malformed(HeadError),
}

async fn read_head(worker: &Worker, client: &mut Client, work: &mut Workspace) -> Result<(), BadHead> {
    let limits = client.snapshot.limits;
    client.limits = limits;
    let mut scan = Scan::default();
    let mut timed = false;
    loop {
        match work.request.read(client.input.data(), &mut scan, &limits) {
            Ok(Some(length)) => {
                client.input.consume(length);
                return Ok(());
            }
            Ok(None) => {}
            Err(error) => return Err(BadHead::Malformed(error)),
        }
        if !timed {
            // Total, not per read: a trickle must not hold the connection.
            client
                .alarm
                .set(worker.clock.now() + client.snapshot.downstream().head_timeout);
            timed = true;
        }
        let most = limits.head_bytes + READ_SIZE;
        match within(&client.alarm, fill(&client.transport, &mut client.input, most)).await {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => return Err(BadHead::Left),
            Err(_) => return Err(BadHead::Late),
        }
    }
}
