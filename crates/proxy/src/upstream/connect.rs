//! Dialling an endpoint.

use std::io;
use std::time::Duration;

use policy::cluster::Address;
use policy::plan::ClusterPlan;
use tokio::net::{TcpSocket, UnixStream};

use crate::transport::Transport;

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Not within the connect timeout.
    TimedOut(Duration),
    /// The kernel or the peer said no.
    Refused(io::Error),
}

impl ConnectError {
    /// The reason in words, for the local reply and the log.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::TimedOut(limit) => format!("no answer within {} ms", limit.as_millis()),
            Self::Refused(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                io::ErrorKind::NotFound => "the socket file does not exist".to_owned(),
                _ => error.to_string(),
            },
        }
    }
}

/// Opens a connection as the cluster's plan says.
pub(crate) async fn connect(address: &Address, plan: &ClusterPlan) -> Result<Transport, ConnectError> {
    let limit = plan.timeouts.connect;
    match tokio::time::timeout(limit, dial(address, plan)).await {
        Ok(Ok(transport)) => Ok(transport),
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => Err(ConnectError::TimedOut(limit)),
        Ok(Err(error)) => Err(ConnectError::Refused(error)),
        Err(_) => Err(ConnectError::TimedOut(limit)),
    }
}

async fn dial(address: &Address, plan: &ClusterPlan) -> io::Result<Transport> {
    match address {
        Address::Ip(address) => {
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()
            } else {
                TcpSocket::new_v6()
            }?;
            socket.set_nodelay(true)?;
            if let Some(probes) = plan.tcp_keepalive {
                sys::keep_alive(&socket, probes.idle, probes.interval, probes.probes)?;
            }
            Ok(socket.connect(*address).await?.into())
        }
        Address::Unix(path) => Ok(UnixStream::connect(path).await?.into()),
    }
}
