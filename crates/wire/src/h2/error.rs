//! Why a connection or a message is refused, and what each party is told about it.

use super::frame::ErrorCode;
use super::hpack::HpackError;
use crate::shown_by_its_sentence;

/// What a peer did that ends the connection (RFC 9113, 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A client that does not begin with the connection preface, or a peer whose first frame is no SETTINGS.
    BadPreface,
    /// A frame above 16 KiB, which is what we allow.
    FrameTooLarge,
    /// A frame whose payload is shorter or longer than its type has it.
    BadFrameSize,
    /// A frame on stream 0 that belongs to a stream, or the other way round.
    BadStreamId,
    /// Padding that is longer than its frame.
    BadPadding,
    /// A frame on a stream that nobody opened.
    IdleStream,
    /// DATA or HEADERS on a stream that the peer has ended.
    StreamClosed,
    /// A stream's number that is not above those before, or not of the peer's half.
    StreamIdReused,
    /// A frame among a header block's frames that is none of them, or CONTINUATION without a block.
    BlockInterrupted,
    /// A header block above the limit on a head's bytes, in its compressed form.
    BlockTooLarge,
    /// A header block in more than 8 CONTINUATION frames.
    TooManyContinuations,
    /// A header block that cannot be decoded.
    Hpack(HpackError),
    /// A setting with a value that it cannot have.
    BadSetting,
    /// An initial window above 2^31 - 1, or one that takes a stream's window there.
    WindowSetting,
    /// More DATA than the connection's window allows.
    WindowExceeded,
    /// A WINDOW_UPDATE of 0 for the connection.
    ZeroWindowUpdate,
    /// A WINDOW_UPDATE that takes the connection's window above 2^31 - 1.
    WindowOverflow,
    /// PUSH_PROMISE, which we do not allow.
    Push,
    /// A PRIORITY that makes an idle stream depend on itself, or a PRIORITY_UPDATE where none may be.
    BadPriority,
    /// Settings that are acknowledged though none were sent.
    UnknownAcknowledgement,
}

impl Violation {
    /// What GOAWAY says.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::FrameTooLarge | Self::BadFrameSize => ErrorCode::FRAME_SIZE_ERROR,
            Self::WindowExceeded | Self::WindowOverflow | Self::WindowSetting => {
                ErrorCode::FLOW_CONTROL_ERROR
            }
            Self::StreamClosed => ErrorCode::STREAM_CLOSED,
            Self::Hpack(_) => ErrorCode::COMPRESSION_ERROR,
            Self::BlockTooLarge | Self::TooManyContinuations => ErrorCode::ENHANCE_YOUR_CALM,
            _ => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::BlockTooLarge | Self::TooManyContinuations => "http2.too_many_headers",
            _ => "http2.codec_error",
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadPreface => "The connection does not begin as HTTP/2 does.",
            Self::FrameTooLarge => "A frame is larger than 16 KiB.",
            Self::BadFrameSize => "A frame's length does not fit its type.",
            Self::BadStreamId => "A frame names a stream though its type has none, or names none.",
            Self::BadPadding => "A frame's padding is longer than the frame.",
            Self::IdleStream => "A frame belongs to a stream that was never opened.",
            Self::StreamClosed => "A frame came on a stream after the peer had ended it.",
            Self::StreamIdReused => {
                "A stream was opened with a number that is used or not the peer's to use."
            }
            Self::BlockInterrupted => "The frames of a header block do not follow one another.",
            Self::BlockTooLarge => "A header block is larger than the limit on head bytes.",
            Self::TooManyContinuations => "A header block has more than 8 CONTINUATION frames.",
            Self::Hpack(error) => error.sentence(),
            Self::BadSetting => "A setting has a value that it cannot have.",
            Self::WindowSetting => "A setting makes a stream's window larger than any can be.",
            Self::WindowExceeded => "More data came than the connection's window allows.",
            Self::ZeroWindowUpdate => "A window update adds nothing.",
            Self::WindowOverflow => "A window update makes the connection's window larger than any can be.",
            Self::Push => "The peer pushes, which it was told not to do.",
            Self::BadPriority => "A priority names a stream that it cannot name.",
            Self::UnknownAcknowledgement => "Settings are acknowledged that were never sent.",
        }
    }
}

shown_by_its_sentence!(Violation);

/// What is wrong with one message, or with what its sender does on its stream (RFC 9113, 5.4.2 and 8.1.1). Only
/// its stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// A head above [`Config::head_bytes`](super::Config::head_bytes), or trailers above their limit.
    TooLarge,
    /// More fields than [`Config::fields`](super::Config::fields).
    TooManyFields,
    /// A byte in a field name that no token has, a capital letter, or no name at all.
    InvalidName,
    /// A control character in a value, or white space at one of its ends.
    InvalidValue,
    /// A pseudo field behind another field.
    PseudoBehindField,
    /// A pseudo field twice.
    RepeatedPseudo,
    /// A pseudo field that this message does not have: unknown, of responses, or not announced.
    UnknownPseudo,
    /// A pseudo field that this message must have is absent or empty.
    MissingPseudo,
    /// `:method` is no token.
    InvalidMethod,
    /// `:scheme` is neither `http` nor `https`.
    BadScheme,
    /// `:path` does not begin with `/` (nor is it `*` of OPTIONS), or has a byte that no target has.
    InvalidPath,
    /// `:authority` or `Host` is neither a name nor an address, or a CONNECT's has no port.
    BadAuthority,
    /// `:authority` and `Host` name different hosts, or there are several `Host`.
    ConflictingHost,
    /// `:protocol` is no token, or is not of a CONNECT.
    BadProtocol,
    /// `:status` is not three digits, below 100, or 101, which HTTP/2 does not have.
    BadStatus,
    /// A field that concerns an HTTP/1 connection (RFC 9113, 8.2.2), or a `TE` other than `trailers`.
    ConnectionField,
    /// More than one `Content-Length`, or one that is no number.
    BadLength,
    /// Content that is shorter or longer than `Content-Length` says.
    LengthMismatch,
    /// Content where there may be none: of a TRACE, or in a response to HEAD, a 204, a 304.
    BodyNotAllowed,
    /// More than 32 interim responses (1xx), or one that ends its stream.
    BadInterim,
    /// DATA before a head.
    MissingHead,
    /// Trailers that do not end their stream, that have pseudo fields, or that state framing.
    BadTrailers,
    /// DATA or HEADERS behind the end of a message.
    AfterEnd,
    /// More DATA than the stream's window allows.
    WindowExceeded,
    /// A WINDOW_UPDATE of 0.
    ZeroWindowUpdate,
    /// A WINDOW_UPDATE that takes the stream's window above 2^31 - 1.
    WindowOverflow,
    /// A stream that depends on itself, or a PRIORITY of the wrong size.
    BadPriority,
    /// More streams at a time than [`Config::streams`](super::Config::streams).
    TooManyStreams,
}

impl StreamError {
    /// What RST_STREAM says.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::AfterEnd => ErrorCode::STREAM_CLOSED,
            Self::WindowExceeded | Self::WindowOverflow => ErrorCode::FLOW_CONTROL_ERROR,
            Self::TooManyStreams => ErrorCode::REFUSED_STREAM,
            _ => ErrorCode::PROTOCOL_ERROR,
        }
    }

    /// Whether the message only passes a limit: its stream stays, for an answer of [`StreamError::status`].
    #[must_use]
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::TooLarge | Self::TooManyFields)
    }

    /// Envoy's response code details.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooManyFields => "http2.too_many_headers",
            Self::InvalidName | Self::InvalidValue => "http2.invalid.header.field",
            Self::TooManyStreams => "http2.remote_refuse",
            _ => "http2.violation.of.messaging.rule",
        }
    }

    /// What stands in the log for a client that sent it, and what it is answered where it is answered. (An
    /// endpoint's is a 502 to the client, always.)
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::TooManyStreams => 503,
            _ => 400,
        }
    }

    /// What a person is told.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TooLarge => "The head is larger than the limit on head bytes.",
            Self::TooManyFields => "The head has more fields than the limit allows.",
            Self::InvalidName => "A field name has a character that names may not have.",
            Self::InvalidValue => "A field value has a character that values may not have there.",
            Self::PseudoBehindField => "A pseudo field stands behind another field.",
            Self::RepeatedPseudo => "A pseudo field stands twice.",
            Self::UnknownPseudo => "The message has a pseudo field that it may not have.",
            Self::MissingPseudo => "A pseudo field that the message must have is absent or empty.",
            Self::InvalidMethod => "The method has a character that methods may not have.",
            Self::BadScheme => "The scheme is neither http nor https.",
            Self::InvalidPath => {
                "The path does not begin with a slash, or has a character that paths may not have."
            }
            Self::BadAuthority => "The host is neither a name nor an address, with or without a port.",
            Self::ConflictingHost => "The authority and the Host field do not agree.",
            Self::BadProtocol => "The protocol that is asked for cannot be asked for.",
            Self::BadStatus => "The status is not one that HTTP/2 has.",
            Self::ConnectionField => "The message has a field that only HTTP/1 connections have.",
            Self::BadLength => "Content-Length is not one number.",
            Self::LengthMismatch => "The content is not as long as Content-Length says.",
            Self::BodyNotAllowed => "The message has content, which it may not have.",
            Self::BadInterim => "An interim response ends its stream, or is one too many.",
            Self::MissingHead => "Data came before a head.",
            Self::BadTrailers => "The trailers do not end the message, or have what only heads may have.",
            Self::AfterEnd => "A frame came behind the message's end.",
            Self::WindowExceeded => "More data came than the stream's window allows.",
            Self::ZeroWindowUpdate => "A window update adds nothing.",
            Self::WindowOverflow => "A window update makes the stream's window larger than any can be.",
            Self::BadPriority => "A stream's priority depends on itself.",
            Self::TooManyStreams => "The peer has more streams open than it may.",
        }
    }
}

shown_by_its_sentence!(StreamError);
