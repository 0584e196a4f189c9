//! The little of TLS that tells whether a peer speaks it.

/// A whole ClientHello (RFC 8446, section 4.1.2) that offers TLS 1.2 and 1.3 with what nearly every server has.
/// Whoever speaks TLS answers it with a handshake record or an alert, which
/// [`Protocol::judge`](crate::h1::protocol::Protocol::judge) knows. Nothing is negotiated with it, so its
/// random and its key share are constants.
pub const CLIENT_HELLO: &[u8] = b"\
    \x16\x03\x01\x00\x94\x01\x00\x00\x90\x03\x03\
    evenkeel asks which protocol it \x00\
    \x00\x12\x13\x01\x13\x02\x13\x03\xc0\x2b\xc0\x2f\xc0\x2c\xc0\x30\x00\x9c\x00\x2f\x01\x00\
    \x00\x55\
    \x00\x0a\x00\x06\x00\x04\x00\x1d\x00\x17\
    \x00\x0b\x00\x02\x01\x00\
    \x00\x0d\x00\x0e\x00\x0c\x04\x03\x05\x03\x08\x04\x08\x05\x04\x01\x05\x01\
    \x00\x2b\x00\x05\x04\x03\x04\x03\x03\
    \x00\x33\x00\x26\x00\x24\x00\x1d\x00\x20\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\
    \x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_in_it_is_as_it_says() {
        let length = |at: usize| usize::from(CLIENT_HELLO[at]) << 8 | usize::from(CLIENT_HELLO[at + 1]);
        assert_eq!(CLIENT_HELLO[..3], [0x16, 3, 1], "a handshake record");
        assert_eq!(length(3), CLIENT_HELLO.len() - 5);
        assert_eq!(CLIENT_HELLO[5..7], [1, 0], "a ClientHello");
        assert_eq!(length(7), CLIENT_HELLO.len() - 9);
        let suites = 9 + 2 + 32 + 1;
        let extensions = suites + 2 + length(suites) + 2;
        assert_eq!(length(extensions), CLIENT_HELLO.len() - extensions - 2);
        let mut at = extensions + 2;
        while at < CLIENT_HELLO.len() {
            at += 4 + length(at + 2);
        }
        assert_eq!(at, CLIENT_HELLO.len(), "extensions one behind the other");
    }
}
