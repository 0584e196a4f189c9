//! How urgent a response is to its client (RFC 9218).

use crate::bytes::trim;

/// What the client says of a response: for whoever decides which stream is written next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// 0 to 7; 0 is the most urgent.
    pub urgency: u8,
    /// Whether parts of it are of use, so that it may take turns with others of its urgency.
    pub incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self {
            urgency: 3,
            incremental: false,
        }
    }
}

impl Priority {
    /// Reads a `Priority` field or a PRIORITY_UPDATE. What is not understood is left out, as its section 4 asks.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let mut priority = Self::default();
        for member in value.split(|&byte| byte == b',') {
            // Parameters of a member mean nothing here.
            let member = member.split(|&byte| byte == b';').next().unwrap_or_default();
            match trim(member) {
                [b'u', b'=', urgency @ b'0'..=b'7'] => priority.urgency = urgency - b'0',
                b"i" | b"i=?1" => priority.incremental = true,
                b"i=?0" => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_and_what_is_not_understood_is_left_out() {
        let cases: [(&[u8], u8, bool); 9] = [
            (b"", 3, false),
            (b"u=0", 0, false),
            (b"u=5, i", 5, true),
            (b"i=?0,u=7", 7, false),
            (b" i ;x=1 , u=1;y", 1, true),
            (b"u=8, i=?1", 3, true),
            (b"u=-1", 3, false),
            (b"u=1, u=2, weight=9", 2, false),
            (b"\xff,=,u,u=,i=1", 3, false),
        ];
        for (value, urgency, incremental) in cases {
            let expected = Priority { urgency, incremental };
            assert_eq!(Priority::parse(value), expected, "{}", value.escape_ascii());
        }
    }
}
