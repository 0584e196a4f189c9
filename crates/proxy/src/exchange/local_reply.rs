//! Answers of our own: status, fields and body in one write.

use wire::h1::encode::{self, OutboundHead, Persistence};
use wire::h1::framing::BodyLength;
use wire::h1::head::{ResponseHead, standard_reason};

use crate::NAME;

/// An answer of our own.
#[derive(Debug, Default)]
pub(crate) struct LocalReply<'a> {
    pub(crate) status: u16,
    /// Fields besides `server`, `date`, `content-type` and the framing. Valid as they are.
    pub(crate) fields: &'a [(&'a str, &'a str)],
    pub(crate) content_type: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// The request was a HEAD: the body's length is told, the body is not sent.
    pub(crate) head_only: bool,
}

impl LocalReply<'_> {
    /// Appends the answer; `edit` has the last word on its head.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        date: &[u8],
        persistence: Persistence,
        edit: impl FnOnce(&mut ResponseHead),
    ) {
        let mut head = ResponseHead::default();
        head.start(self.status, standard_reason(self.status));
        head.fields.push(b"server", NAME.as_bytes());
        head.fields.push(b"date", date);
        for (name, value) in self.fields {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        if !self.body.is_empty() {
            head.fields.push(
                b"content-type",
                self.content_type.unwrap_or("text/plain").as_bytes(),
            );
        }
        edit(&mut head);
        let bodiless = self.status == 204 || self.status == 304;
        let body = if bodiless {
            BodyLength::None
        } else {
            BodyLength::Length(self.body.len() as u64)
        };
        encode::response(
            out,
            &head,
            &OutboundHead {
                body,
                persistence,
                ..OutboundHead::default()
            },
        );
        if !self.head_only && !bodiless {
            out.extend_from_slice(self.body);
        }
    }
}
