//! The two network namespaces of the lab, and threads inside them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use super::wire::Wire;
use crate::Fallible;

/// Two namespaces joined by a wire. Dropping it removes both.
pub(crate) struct Lab {
    /// Carries the packets between them, and knows what it saw.
    pub(crate) wire: Wire,
    /// Where clients and the proxy live.
    pub(crate) proxy_side: Namespace,
    /// Where backends live.
    pub(crate) backend_side: Namespace,
}

impl Lab {
    /// Builds the namespaces and starts the wire with a one-way `delay`.
    ///
    /// # Errors
    /// Says what is missing when this is not root, or the kernel lacks namespaces or TUN.
    pub(crate) fn new(delay: Duration) -> Fallible<Self> {
        if !nix::unistd::geteuid().is_root() {
            return Err(
                "the lab makes network namespaces and needs root: run it as root or with sudo".into(),
            );
        }
        remove_left_behind()?;
        let proxy_side = Namespace::new("p")?;
        let backend_side = Namespace::new("b")?;
        let near = proxy_side.run(tun_device)??;
        let far = backend_side.run(tun_device)??;
        for namespace in [&proxy_side, &backend_side] {
            namespace.ip(&["link", "set", "lo", "up"])?;
            namespace.ip(&["link", "set", DEVICE, "up", "txqueuelen", QUEUE_PACKETS])?;
        }
        proxy_side.ip(&["addr", "add", &format!("{PROXY_ADDRESS}/32"), "dev", DEVICE])?;
        proxy_side.ip(&["route", "add", LANES_NETWORK, "dev", DEVICE])?;
        // Every address of the network is local there, so one listener serves as many endpoints as asked for.
        backend_side.ip(&["route", "add", "local", LANES_NETWORK, "dev", "lo"])?;
        backend_side.ip(&["route", "add", &format!("{PROXY_ADDRESS}/32"), "dev", DEVICE])?;
        // Some servers listen only where an address is that is not loopback's (AI_ADDRCONFIG).
        backend_side.ip(&["addr", "add", &format!("{BACKEND_ADDRESS}/32"), "dev", DEVICE])?;
        let wire = Wire::start(near, far, delay)?;
        Ok(Self {
            wire,
            proxy_side,
            backend_side,
        })
    }
}

/// The address of lane `index`, with the port that its backend listens on. Each lane has its own address,
/// so that each is an endpoint of its own, with its own pool and its own idle connection to aim at.
pub(crate) fn lane_address(index: usize, port: u16) -> SocketAddrV4 {
    let host = u16::try_from(index + 1).unwrap_or(u16::MAX).to_be_bytes();
    SocketAddrV4::new(Ipv4Addr::new(10, 98, host[0] & 0x7f, host[1]), port)
}

/// A named network namespace. Dropping it removes it.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    fn new(end: &str) -> Fallible<Self> {
        let name = format!("{PREFIX}{}-{end}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// Runs `work` on a thread inside the namespace; children that it starts stay inside.
    ///
    /// # Errors
    /// When the namespace can not be entered, or `work` panicked.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Fallible<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| -> Fallible<T> {
                self.door().enter()?;
                Ok(work())
            });
            inside.join().map_err(|_| "a thread of the lab panicked")?
        })
    }

    /// The way in, for threads that outlive a borrow of the namespace.
    pub(crate) fn door(&self) -> Door {
        Door(format!("/run/netns/{}", self.name))
    }

    fn ip(&self, arguments: &[&str]) -> Fallible<()> {
        ip(&[&["-n", &self.name], arguments].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "delete", &self.name]) {
            eprintln!("could not remove the namespace {}: {error}", self.name);
        }
    }
}

/// The way into a namespace.
#[derive(Clone)]
pub(crate) struct Door(String);

impl Door {
    /// Puts the calling thread, and children that it starts from now on, inside.
    ///
    /// # Errors
    /// When the namespace is gone.
    pub(crate) fn enter(&self) -> Fallible<()> {
        Ok(setns(File::open(&self.0)?, CloneFlags::CLONE_NEWNET)?)
    }
}

/// Removes the namespaces of a lab that was killed. Those of a lab that still runs stay.
fn remove_left_behind() -> Fallible<()> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return Ok(());
    };
    for name in entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
    {
        let owner = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !std::path::Path::new(&format!("/proc/{owner}")).exists()) {
            ip(&["netns", "delete", &name])?;
        }
    }
    Ok(())
}

fn tun_device() -> Fallible<tun_rs::SyncDevice> {
    let device = tun_rs::DeviceBuilder::new()
        .name(DEVICE)
        .mtu(MTU_BYTES)
        .enable(false)
        .build_sync()?;
    device.set_nonblocking(true)?;
    Ok(device)
}

fn ip(arguments: &[&str]) -> Fallible<()> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| format!("ip: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("ip {}: {}", arguments.join(" "), said.trim()).into());
    }
    Ok(())
}

const PREFIX: &str = "evenkeel-race-";
const DEVICE: &str = "wire";
/// The proxy's address as backends see it.
const PROXY_ADDRESS: &str = "10.98.255.1";
/// An address of the backends' side that nobody speaks to.
const BACKEND_ADDRESS: &str = "10.98.255.2";
/// The network of all lanes' endpoints.
const LANES_NETWORK: &str = "10.98.0.0/17";
/// Ethernet's, so that bodies travel in as many segments as they do elsewhere.
const MTU_BYTES: u16 = 1500;
/// Holds several 1 MB bodies: the lab must not lose packets that it did not mean to lose.
const QUEUE_PACKETS: &str = "20000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_its_own_address_inside_the_network() {
        let addresses: std::collections::HashSet<_> = (0..3_000).map(|lane| lane_address(lane, 80)).collect();
        assert_eq!(addresses.len(), 3_000);
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().octets()[..2] == [10, 98])
        );
        assert!(addresses.iter().all(|address| address.ip().octets()[2] < 128));
    }
}
