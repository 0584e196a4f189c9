//! Networks: an address and the length of the prefix that counts.

use std::net::IpAddr;

use crate::mistake::{Code, Report};
use crate::units;

use super::view::Word;

/// Address and prefix length; bits past it are noted and taken for 0.
pub(super) fn masked_network(value: Word<'_>, report: &mut Report) -> Option<(IpAddr, u8)> {
    let (address, length) = units::network(value.text)?;
    let masked = masked(address, length);
    if masked != address {
        report
            .error(
                Code::Ignored,
                value.spot,
                format!("the bits past `/{length}` have no effect"),
            )
            .help(format!("write `{masked}/{length}`"));
    }
    Some((masked, length))
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    let kept = |width: u8| u32::from(width - length);
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(kept(32)).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(kept(128)).unwrap_or(0)).into()),
    }
}

/// Whether all of the first network is in the second.
pub(super) fn within(inner: (IpAddr, u8), outer: (IpAddr, u8)) -> bool {
    inner.0.is_ipv4() == outer.0.is_ipv4() && inner.1 >= outer.1 && masked(inner.0, outer.1) == outer.0
}
