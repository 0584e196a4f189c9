//! What the owner of a rule has to say in responses.

use std::net::SocketAddr;

use policy::filter::{Filter, HeaderEdits};
use wire::h1::head::{RequestHead, ResponseHead};

use crate::exchange::forward::Origin;
use crate::exchange::view::{Circumstances, EditableResponse};

/// What the owner of a rule says in every response to a request that it matched: the endpoint's and our
/// own alike, redirects and failures too.
#[derive(Debug, Default)]
pub(crate) struct OwnersFields<'a> {
    pub(super) rule: &'a [Filter],
    pub(super) backend: &'a [Filter],
    /// Edits that CORS asks for.
    pub(super) cors: Option<HeaderEdits>,
    /// The rule's name, and whom the request comes from, for variables in values.
    pub(super) route: &'a str,
    pub(super) origin: Option<Origin>,
}

impl OwnersFields<'_> {
    /// Edits a response's fields, after which nothing else does. `ends` are the client's address and ours;
    /// `memory` is for values with variables.
    pub(crate) fn apply(
        &self,
        head: &mut ResponseHead,
        (request, authority): (&RequestHead, &str),
        (peer, local): (SocketAddr, SocketAddr),
        memory: &mut Vec<u8>,
    ) {
        let known = self.origin.as_ref().map(|origin| Circumstances {
            peer,
            local,
            origin,
            authority,
            route: self.route,
        });
        let mut head = EditableResponse { head, request, known };
        let edits = self.rule.iter().chain(self.backend).filter_map(as_response_edits);
        for edits in edits.chain(&self.cors) {
            edits.apply(&mut head, memory);
        }
    }
}

fn as_response_edits(filter: &Filter) -> Option<&HeaderEdits> {
    match filter {
        Filter::ResponseHeaders(edits) => Some(edits),
        _ => None,
    }
}
