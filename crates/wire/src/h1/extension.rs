//! The grammar of chunk extensions, a byte at a time.

use crate::bytes::{is_token_byte, is_value_byte};

/// Where in a chunk's extensions (RFC 9112, 7.1.1): `*( ";" name [ "=" ( token / quoted-string ) ] )`, with
/// spaces around `=` and before `;`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExtensionPart {
    /// Behind a `;`.
    Start,
    Name,
    AfterName,
    /// Behind a `=`.
    Equals,
    Value,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    /// Behind closing quotes.
    Unquoted,
    /// Behind spaces after a value.
    AfterValue,
}

impl ExtensionPart {
    /// Where the next byte leads, if it may stand here.
    pub(super) fn then(self, byte: u8) -> Option<Self> {
        let token = is_token_byte(byte);
        Some(match (self, byte) {
            (Self::Quoted, b'"') => Self::Unquoted,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, _) if is_value_byte(byte) => Self::Quoted,
            (Self::Start | Self::Equals, b' ' | b'\t') => self,
            (Self::Name | Self::AfterName, b' ' | b'\t') => Self::AfterName,
            (Self::Value | Self::Unquoted | Self::AfterValue, b' ' | b'\t') => Self::AfterValue,
            (Self::Start | Self::Name, _) if token => Self::Name,
            (Self::Name | Self::AfterName, b'=') => Self::Equals,
            (Self::Equals, b'"') => Self::Quoted,
            (Self::Equals | Self::Value, _) if token => Self::Value,
            (Self::Name | Self::AfterName | Self::Value | Self::Unquoted | Self::AfterValue, b';') => {
                Self::Start
            }
            _ => return None,
        })
    }

    /// Whether the line may end here.
    pub(super) fn is_complete(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::Unquoted)
    }
}
