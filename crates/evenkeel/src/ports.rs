//! Addresses that cannot be listened on, explained: who has them, and what to do.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::complaint::Complaint;

/// Ports that a look for a free one tries above the wished one.
const NEXT_PORTS: u16 = 100;

/// Whether `address` can be listened on, and if not, why and what to do. The workers share their
/// port (SO_REUSEPORT), so a second process would join silently and steal every other client: this
/// plain bind tells.
pub(crate) fn ensure_free(address: SocketAddr, change_it_with: &str) -> Result<(), Complaint> {
    TcpListener::bind(address)
        .map(drop)
        .map_err(|why| explain(address, &why, change_it_with))
}

/// `wished`, or the next free port above it.
pub(crate) fn free_from(wished: SocketAddr) -> Result<SocketAddr, Complaint> {
    let candidates = (0..NEXT_PORTS)
        .filter_map(|more| Some(SocketAddr::new(wished.ip(), wished.port().checked_add(more)?)));
    for candidate in candidates {
        match TcpListener::bind(candidate) {
            Ok(_) => return Ok(candidate),
            Err(why) if why.kind() == ErrorKind::AddrInUse => {}
            Err(why) => return Err(explain(candidate, &why, "--listen")),
        }
    }
    Err(Complaint::new(
        format!("{wished}: this port and the {NEXT_PORTS} after it are taken"),
        "choose another with --listen",
    ))
}

fn explain(address: SocketAddr, why: &std::io::Error, change_it_with: &str) -> Complaint {
    let next = match why.kind() {
        ErrorKind::AddrInUse => match holder(address.port()) {
            Some(who) => {
                format!("{who} listens there: stop it, or choose another address with {change_it_with}")
            }
            None => format!(
                "stop what listens there (`ss -ltnp 'sport = :{}'` names it), or choose another address with {change_it_with}",
                address.port()
            ),
        },
        ErrorKind::PermissionDenied if address.port() < 1024 => format!(
            "ports below 1024 need a right: `setcap cap_net_bind_service=+ep` on the binary, \
             AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit, or a port above 1023 with {change_it_with}"
        ),
        ErrorKind::AddrNotAvailable => {
            format!(
                "no interface of this machine has {}: `ip addr` lists those it has",
                address.ip()
            )
        }
        _ => format!("choose another address with {change_it_with}"),
    };
    Complaint::new(format!("cannot listen on {address}: {why}"), next)
}

/// The process that listens on `port`, as `name (pid N)`, where this user may see it.
fn holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| listening_inode(&table, port))?;
    let socket = format!("socket:[{inode}]");
    // `self` and `thread-self` are in there too, and are no numbers.
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let descriptors = std::fs::read_dir(process.path().join("fd")).ok()?;
        descriptors
            .flatten()
            .any(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|to| to == Path::new(&socket)))
            .then(|| {
                let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                format!("{} (pid {id})", name.trim())
            })
    })
}

/// The socket's inode in a table as `/proc/net/tcp`: local address second, state fourth (0A is
/// LISTEN), inode tenth.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    let wanted = format!(":{port:04X}");
    table.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        (columns.get(1)?.ends_with(&wanted) && *columns.get(3)? == "0A")
            .then(|| columns.get(9).map(|&inode| inode.to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_blamed_on_the_process_that_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        let said = ensure_free(address, "--listen").expect_err("taken").to_string();
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    }

    #[test]
    fn a_taken_port_gives_way_to_the_next() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("bound");
        let found = free_from(address).expect("one of a hundred");
        assert!(found.port() > address.port());
    }

    #[test]
    fn only_listening_sockets_hold_a_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 41 1\n\
             1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1\n";
        assert_eq!(listening_inode(table, 8080), Some("42".to_owned()));
        assert_eq!(listening_inode(table, 8081), None);
    }
}
