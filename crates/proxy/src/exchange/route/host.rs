//! The host that a request is for, remembered from one request to the next.

use std::num::NonZeroU64;
use std::ops::Deref;

use policy::route::{HostPlace, ListenerId};
use wire::field::Known;
use wire::h1::head::RequestHead;
use wire::host::{HostError, host_key, request_host};
use wire::path::Target;

use crate::snapshot::Snapshot;

/// What a client asked for: host, and port if it said one; empty if it said nothing. Most requests
/// are for the host of the one before, and then it is neither read nor looked up again.
#[derive(Debug, Default)]
pub(crate) struct AskedHost {
    authority: String,
    /// Where its routes are, and in whose table; forgotten with the authority.
    routes: Option<(Table, HostPlace)>,
}

/// What a place is found by besides the host: the snapshot, by its serial number, and the listener.
type Table = (NonZeroU64, ListenerId);

impl AskedHost {
    /// Takes the host of a request whose target is this one.
    pub(crate) fn read(&mut self, request: &RequestHead, target: &Target<'_>) -> Result<(), HostError> {
        // What is remembered is well-formed, and nothing is remembered where nothing was sent.
        let again = |sent: &[u8]| !sent.is_empty() && sent == self.authority.as_bytes();
        if target.authority.is_none() && request.fields.only(Known::Host).is_some_and(again) {
            return Ok(());
        }
        self.routes = None;
        self.authority.clear();
        let host = request_host(request, target)?.unwrap_or_default();
        self.authority.push_str(host);
        Ok(())
    }

    /// Where the routes of it are in a snapshot's table.
    pub(crate) fn place(&mut self, snapshot: &Snapshot, listener: ListenerId) -> Option<HostPlace> {
        let table = (snapshot.serial, listener);
        if let Some((_, place)) = self.routes.filter(|(found_in, _)| *found_in == table) {
            return Some(place);
        }
        let place = snapshot.routes().place(listener, &host_key(&self.authority))?;
        self.routes = Some((table, place));
        Some(place)
    }
}

impl Deref for AskedHost {
    type Target = str;

    fn deref(&self) -> &str {
        &self.authority
    }
}

#[cfg(test)]
mod tests {
    use wire::h1::head::{Limits, Scan};

    use super::*;

    fn read(host: &mut AskedHost, request: &str) -> Result<String, HostError> {
        let mut head = RequestHead::default();
        head.read(request.as_bytes(), &mut Scan::default(), &Limits::default())
            .unwrap()
            .unwrap();
        host.read(&head, &Target::of(&head).unwrap())?;
        Ok(host.to_string())
    }

    #[test]
    fn what_is_remembered_of_one_request_excuses_nothing_of_the_next() {
        let cases = [
            ("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n", Ok("a:1")),
            ("GET / HTTP/1.1\r\nHost: A:1\r\n\r\n", Ok("A:1")),
            ("GET http://b/ HTTP/1.1\r\nHost: a:1\r\n\r\n", Ok("b")),
            ("GET / HTTP/1.1\r\n\r\n", Err(HostError::Missing)),
            ("GET / HTTP/1.0\r\n\r\n", Ok("")),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Err(HostError::Malformed)),
            (
                "GET / HTTP/1.1\r\nHost: a:1\r\nHost: a:1\r\n\r\n",
                Err(HostError::Several),
            ),
            ("GET / HTTP/1.1\r\nHost: a/1\r\n\r\n", Err(HostError::Malformed)),
        ];
        for (before, _) in cases {
            for (request, expected) in cases {
                let mut host = AskedHost::default();
                let _ = read(&mut host, before);
                let found = read(&mut host, request);
                assert_eq!(
                    found.as_deref(),
                    expected.as_deref(),
                    "{request:?} after {before:?}"
                );
            }
        }
    }
}
