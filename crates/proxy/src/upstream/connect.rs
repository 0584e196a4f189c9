//! Dialling an endpoint.

use std::io;
use std::pin::pin;

use policy::cluster::Address;
use policy::outcome::{ConnectFault, TlsFault};
use policy::plan::ClusterPlan;
use socket2::{SockAddr, SockRef};

use crate::engine;
use crate::engine::wait::within;
use crate::transport::Transport;
use crate::transport::tls::EndpointSide;
use crate::worker::context::Worker;

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Not within the connect timeout.
    TimedOut,
    /// The kernel or the peer said no.
    Refused(io::Error),
}

/// The TLS handshake failed. Inside an `io::Error`, so that every attempt has no more room for it than for others.
#[derive(Debug)]
struct TlsFailed {
    fault: TlsFault,
    words: String,
}

impl std::fmt::Display for TlsFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for TlsFailed {}

impl ConnectError {
    /// Why, in the system's words: what `/clusters` and the log show as the endpoint's last error.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::TimedOut => "the connection was not opened within the connect timeout".to_owned(),
            Self::Refused(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
                io::ErrorKind::NotFound => "the socket file does not exist".to_owned(),
                _ => error.to_string(),
            },
        }
    }

    /// Why, in words of the table of failures.
    pub(crate) fn fault(&self) -> ConnectFault {
        let error = match self {
            Self::Refused(error) => error,
            Self::TimedOut => return ConnectFault::Other,
        };
        let tls = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<TlsFailed>());
        if let Some(failed) = tls {
            return ConnectFault::Tls(failed.fault);
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectFault::Refused,
            io::ErrorKind::NotFound => ConnectFault::NoSocketFile,
            io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown => ConnectFault::Unreachable,
            io::ErrorKind::PermissionDenied => ConnectFault::Forbidden,
            io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => ConnectFault::OutOfResources,
            _ => match error.raw_os_error() {
                Some(EMFILE | ENFILE | ENOBUFS) => ConnectFault::OutOfResources,
                _ => ConnectFault::Other,
            },
        }
    }
}

/// What Linux calls being out of descriptors and buffers; `std` has no kind for it.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
const ENOBUFS: i32 = 105;

/// Opens a connection as the cluster's plan says.
pub(crate) async fn connect(
    worker: &Worker,
    address: &Address,
    plan: &ClusterPlan,
    tls: Option<&EndpointSide>,
) -> Result<Transport, ConnectError> {
    let limit = plan.timeouts.connect;
    let alarm = engine::alarm();
    alarm.set(worker.clock.now() + limit);
    let opening = async {
        let transport = dial(address, plan).await.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => ConnectError::TimedOut,
            _ => ConnectError::Refused(error),
        })?;
        match tls {
            None => Ok(transport),
            // In a box, so that connecting in plain text holds no room for it.
            Some(side) => Box::pin(shake_hands(transport, side)).await,
        }
    };
    match within(&alarm, pin!(opening)).await {
        Ok(opened) => opened,
        Err(_) => Err(ConnectError::TimedOut),
    }
}

/// The TLS handshake with an endpoint.
async fn shake_hands(mut transport: Transport, side: &EndpointSide) -> Result<Transport, ConnectError> {
    transport.connect_tls(side).map_err(ConnectError::Refused)?;
    loop {
        match transport.try_handshake() {
            Ok(()) => return Ok(transport),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                let failed = transport.tls().and_then(|tls| tls.fault());
                let closed = || {
                    let words =
                        format!("the endpoint ended the connection inside the TLS handshake: {error}");
                    (TlsFault::Closed, words)
                };
                let (fault, words) = failed.unwrap_or_else(closed);
                let failed = io::Error::new(io::ErrorKind::InvalidData, TlsFailed { fault, words });
                return Err(ConnectError::Refused(failed));
            }
        }
        std::future::poll_fn(|cx| transport.poll_handshake_ready(cx)).await;
    }
}

async fn dial(address: &Address, plan: &ClusterPlan) -> io::Result<Transport> {
    #[cfg(feature = "sim")]
    if let Some(dialling) = crate::transport::simulation::dial(address) {
        return Transport::of(dialling.await?);
    }
    let socket = match address {
        Address::Ip(address) => sys::connect(&SockAddr::from(*address), |socket| {
            socket.set_tcp_nodelay(true)?;
            plan.tcp_keepalive.map_or(Ok(()), |probes| {
                sys::keep_alive(socket, probes.idle, probes.interval, probes.probes)
            })
        }),
        Address::Unix(path) => sys::connect(&SockAddr::unix(path)?, |_| Ok(())),
    }?;
    let transport = Transport::of(socket)?;
    std::future::poll_fn(|cx| transport.poll_write_ready(cx)).await;
    match SockRef::from(&transport).take_error()? {
        Some(error) => Err(error),
        None => Ok(transport),
    }
}
