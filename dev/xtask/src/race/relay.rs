//! A TCP proxy beside the proxy under test, as stunnel, a port that is forwarded, or a sidecar is one: it
//! accepts at once, and whatever it accepts is acknowledged before the backend knows of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};

use clap::Args;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use super::ledger::ends_with_its_input;
use super::net::Namespace;
use crate::Fallible;

/// What a relay is told.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct RelayArgs {
    /// The port that it listens on, and that its backends listen on.
    #[arg(long)]
    port: u16,
}

/// Runs the relay until its standard input ends, which it does when the lab does.
///
/// # Errors
/// When it can not listen.
pub(crate) fn run(args: RelayArgs) -> Fallible<()> {
    ends_with_its_input();
    super::raise_descriptor_limit();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, args.port)).await?;
            loop {
                let (near, _) = listener.accept().await?;
                tokio::spawn(relay(near, args.port));
            }
        })
}

/// Carries bytes both ways until one side has ended and the other has been told so; closes both then.
async fn relay(mut near: TcpStream, port: u16) -> io::Result<()> {
    let IpAddr::V4(ip) = near.local_addr()?.ip() else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let mut far = TcpStream::connect(behind(SocketAddrV4::new(ip, port))).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}

/// The address at which the relay stands in for an endpoint: one of the loopback's.
pub(crate) fn in_front_of(endpoint: SocketAddrV4) -> SocketAddrV4 {
    let [_, net, high, low] = endpoint.ip().octets();
    SocketAddrV4::new(Ipv4Addr::new(127, net, high, low), endpoint.port())
}

fn behind(address: SocketAddrV4) -> SocketAddrV4 {
    let [_, net, high, low] = address.ip().octets();
    SocketAddrV4::new(Ipv4Addr::new(10, net, high, low), address.port())
}

/// A relay under way. Dropping it ends it.
pub(crate) struct Relay(Child);

impl Relay {
    /// Starts it on the proxy's side of the lab.
    ///
    /// # Errors
    /// When it can not be started.
    pub(crate) fn start(namespace: &Namespace, port: u16) -> Fallible<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["race-relay", "--port", &port.to_string()]);
        command.stdin(Stdio::piped());
        Ok(Self(namespace.run(|| command.spawn())??))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::net::lane_address;

    #[test]
    fn each_endpoint_has_an_address_in_front_of_it_that_leads_back() {
        for lane in [0, 1, 299, 2_999] {
            let endpoint = lane_address(lane, 9000);
            assert!(in_front_of(endpoint).ip().is_loopback());
            assert_eq!(behind(in_front_of(endpoint)), endpoint);
        }
    }
}
