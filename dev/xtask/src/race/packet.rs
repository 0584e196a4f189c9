//! What the wire reads of a packet: IPv4 and TCP, and no more of either than the lab asks about.

use std::net::{Ipv4Addr, SocketAddrV4};

/// TCP flag FIN.
pub(crate) const FIN: u8 = 0x01;
/// TCP flag SYN.
pub(crate) const SYN: u8 = 0x02;
/// TCP flag RST.
pub(crate) const RST: u8 = 0x04;
/// TCP flag ACK.
pub(crate) const ACK: u8 = 0x10;

/// One TCP segment, as ranges into its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    /// Where it comes from.
    pub(crate) from: SocketAddrV4,
    /// Where it goes.
    pub(crate) to: SocketAddrV4,
    /// Sequence number of its first byte.
    pub(crate) seq: u32,
    /// Acknowledgement number.
    pub(crate) ack: u32,
    /// Flag bits.
    pub(crate) flags: u8,
    /// Its bytes.
    pub(crate) payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// The segment in `packet`, or `None` if it is not whole TCP over IPv4.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let version_and_length = *packet.first()?;
        let ip_bytes = usize::from(version_and_length & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
        if version_and_length >> 4 != 4 || *packet.get(9)? != PROTOCOL_TCP || ip_bytes < IP_BYTES {
            return None;
        }
        let source = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(12..16)?).ok()?);
        let target = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?);
        let tcp = packet.get(ip_bytes..total)?;
        let tcp_bytes = usize::from(*tcp.get(12)? >> 4) * 4;
        let u16_at = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let u32_at = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            from: SocketAddrV4::new(source, u16_at(0)?),
            to: SocketAddrV4::new(target, u16_at(2)?),
            seq: u32_at(4)?,
            ack: u32_at(8)?,
            flags: *tcp.get(13)?,
            payload: tcp.get(tcp_bytes..)?,
        })
    }

    /// Whether any of `flags` is set.
    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// The packet by which a middlebox that lost this flow would answer: an RST in the peer's name,
    /// acceptable to the sender by RFC 9293 section 3.5.3 (it carries the sequence number expected next).
    pub(crate) fn forged_reset(&self) -> Vec<u8> {
        let mut tcp = [0_u8; TCP_BYTES];
        tcp[0..2].copy_from_slice(&self.to.port().to_be_bytes());
        tcp[2..4].copy_from_slice(&self.from.port().to_be_bytes());
        tcp[4..8].copy_from_slice(&self.ack.to_be_bytes());
        let next = self
            .seq
            .wrapping_add(u32::try_from(self.payload.len()).unwrap_or(u32::MAX));
        tcp[8..12].copy_from_slice(&next.to_be_bytes());
        tcp[12] = 5 << 4;
        tcp[13] = RST | ACK;
        let (source, target) = (self.to.ip().octets(), self.from.ip().octets());
        let pseudo = [
            &source[..],
            &target[..],
            &[0, PROTOCOL_TCP, 0, TCP_BYTES as u8],
            &tcp,
        ]
        .concat();
        tcp[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());

        let mut ip = [0_u8; IP_BYTES];
        ip[0] = 0x45;
        ip[2..4].copy_from_slice(&((IP_BYTES + TCP_BYTES) as u16).to_be_bytes());
        ip[8] = 64;
        ip[9] = PROTOCOL_TCP;
        ip[12..16].copy_from_slice(&source);
        ip[16..20].copy_from_slice(&target);
        let sum = checksum(&ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        [&ip[..], &tcp].concat()
    }
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

const PROTOCOL_TCP: u8 = 6;
/// An IPv4 header without options.
const IP_BYTES: usize = 20;
/// A TCP header without options.
const TCP_BYTES: usize = 20;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A packet with `payload`; its checksums are left out, as nobody here reads them.
    pub(crate) fn packet(from: &str, to: &str, seq: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
        let (from, to): (SocketAddrV4, SocketAddrV4) = (from.parse().unwrap(), to.parse().unwrap());
        let mut bytes = vec![0_u8; IP_BYTES + TCP_BYTES];
        bytes[0] = 0x45;
        bytes[2..4].copy_from_slice(&((IP_BYTES + TCP_BYTES + payload.len()) as u16).to_be_bytes());
        bytes[9] = PROTOCOL_TCP;
        bytes[12..16].copy_from_slice(&from.ip().octets());
        bytes[16..20].copy_from_slice(&to.ip().octets());
        bytes[20..22].copy_from_slice(&from.port().to_be_bytes());
        bytes[22..24].copy_from_slice(&to.port().to_be_bytes());
        bytes[24..28].copy_from_slice(&seq.to_be_bytes());
        bytes[32] = 5 << 4;
        bytes[33] = flags;
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn a_forged_reset_is_a_whole_packet_in_the_peers_name() {
        let request = packet("10.0.0.1:4000", "10.0.0.2:80", 100, ACK, b"GET /");
        let forged = Segment::parse(&request).unwrap().forged_reset();
        let reset = Segment::parse(&forged).unwrap();
        assert_eq!(
            (reset.from.to_string(), reset.to.to_string()),
            ("10.0.0.2:80".into(), "10.0.0.1:4000".into())
        );
        assert_eq!((reset.flags, reset.seq, reset.ack), (RST | ACK, 0, 105));
        assert_eq!(checksum(&forged[..IP_BYTES]), 0);
    }

    #[test]
    fn what_is_not_whole_tcp_over_ipv4_is_nothing() {
        let whole = packet("10.0.0.1:1", "10.0.0.2:2", 1, SYN, b"");
        assert!((0..whole.len()).all(|cut| Segment::parse(&whole[..cut]).is_none()));
        let mut udp = whole.clone();
        udp[9] = 17;
        assert_eq!(Segment::parse(&udp), None);
    }
}
