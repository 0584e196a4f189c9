//! Which families of a name's addresses are of use: happy eyeballs (RFC 8305), once for each
//! resolution instead of for each connection.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// A connect that takes longer tells nothing: then all addresses stay.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long the slower family has, once the faster has a connection (RFC 8305, 8: the delay between
/// attempts).
const HEAD_START: Duration = Duration::from_millis(250);

/// So many addresses of a family speak for it.
const TRIED_MAX: usize = 4;

/// The addresses to be used of `all`. Where there are both families, one is tried beside the other,
/// and one of which no address takes a connection is left out, if the other's do. If none takes one,
/// it is the endpoint and not the network that is down, and all are kept.
pub(super) async fn reachable(all: &[IpAddr], port: u16) -> Vec<IpAddr> {
    let [old, new]: [Vec<IpAddr>; 2] = [IpAddr::is_ipv4, IpAddr::is_ipv6]
        .map(|family: fn(&IpAddr) -> bool| all.iter().copied().filter(family).take(TRIED_MAX).collect());
    if old.is_empty() || new.is_empty() {
        return all.to_vec();
    }
    let mut tries = JoinSet::new();
    for address in old.into_iter().chain(new) {
        tries.spawn(async move {
            let connected = TcpStream::connect(SocketAddr::new(address, port)).await.is_ok();
            connected.then_some(address.is_ipv4())
        });
    }
    let mut end = tokio::time::Instant::now() + PATIENCE;
    let mut found = None;
    while let Ok(Some(tried)) = tokio::time::timeout_at(end, tries.join_next()).await {
        match (found, tried.ok().flatten()) {
            (_, None) => {}
            (None, Some(is_old)) => {
                found = Some(is_old);
                end = end.min(tokio::time::Instant::now() + HEAD_START);
            }
            (Some(first), Some(is_old)) if first != is_old => return all.to_vec(),
            (Some(_), Some(_)) => {}
        }
    }
    let kept = all.iter().copied();
    kept.filter(|address| found.is_none_or(|is_old| address.is_ipv4() == is_old))
        .collect()
}
