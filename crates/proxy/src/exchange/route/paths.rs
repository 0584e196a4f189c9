//! The forms of a request's path that is not plain: how it goes on, how it is matched, and what a server may
//! take it for.

use std::sync::Arc;

use config::model::{EscapedSlashes, PathRules};
use policy::route::{HostPlace, Route, RouteTable};
use wire::h1::head::RequestHead;
use wire::path::{has_escaped_slash, other_readings, rest_behind, to_match, unescape_slashes};

use crate::exchange::fault::Fault;
use crate::exchange::view::View;

/// What is to be known of a path besides the path itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paths {
    /// How much of the target as it is forwarded is the path. No head is longer than 4 GiB.
    pub(super) len: u32,
    /// It is matched in another form than it is forwarded in.
    pub(super) differs: bool,
    /// Servers may read it as other paths.
    pub(super) is_ambiguous: bool,
    /// The client is sent to it in the form that it has now.
    pub(super) redirects: bool,
    merges: bool,
}

impl Paths {
    /// Those of a path that everybody reads alike.
    pub(super) fn plain(len: u32) -> Self {
        Self {
            len,
            differs: false,
            is_ambiguous: false,
            redirects: false,
            merges: false,
        }
    }

    /// Those of any other. The request's target is that which is forwarded; `target` is memory, and `matched`
    /// gets the form to match where that is another one.
    #[inline(never)]
    pub(super) fn of(
        request: &mut RequestHead,
        len: u32,
        rules: PathRules,
        target: &mut String,
        matched: &mut String,
    ) -> Result<Self, Fault> {
        let mut paths = Self {
            is_ambiguous: rules.escaped_slashes.is_none(),
            merges: rules.merge_slashes,
            ..Self::plain(len)
        };
        let path = &request.target()[..len as usize];
        let chosen = rules.escaped_slashes.filter(|_| has_escaped_slash(path));
        match chosen {
            Some(EscapedSlashes::Reject) => {
                return Err(Fault::bad_request(
                    400,
                    "path_normalization_failed",
                    "The path has an escaped slash, which `path.escapedSlashesAction` refuses.",
                ));
            }
            Some(EscapedSlashes::UnescapeAndForward | EscapedSlashes::UnescapeAndRedirect) => {
                let unescaped = unescape_slashes(path);
                target.clear();
                target.push_str(&unescaped);
                target.push_str(&request.target()[len as usize..]);
                request.set_target(target);
                paths.len = unescaped.len() as u32;
                paths.redirects = chosen == Some(EscapedSlashes::UnescapeAndRedirect);
            }
            Some(EscapedSlashes::Keep) | None => {}
        }
        let path = &request.target()[..paths.len as usize];
        let form = to_match(path, rules.merge_slashes);
        paths.differs = *form != *path;
        if paths.differs {
            matched.clear();
            matched.push_str(&form);
        }
        Ok(paths)
    }

    /// What follows a prefix that matched in the path as it is forwarded.
    pub(super) fn rest<'a>(&self, sent: &'a str, prefix: &str) -> &'a str {
        let len = prefix.trim_end_matches('/').len();
        if self.differs {
            rest_behind(sent, len, self.merges)
        } else {
            sent.get(len..).unwrap_or_default()
        }
    }
}

/// A path that servers may read as another one is forwarded only if the same rule is for that, too:
/// nobody gets to a rule's endpoints by a path that another rule, or none, is for.
#[inline(never)]
pub(super) fn check_other_readings(
    routes: &RouteTable,
    place: HostPlace,
    view: &View<'_>,
    sent: &str,
    route: &Arc<Route>,
    rules: PathRules,
) -> Result<(), Fault> {
    for path in other_readings(sent, rules.merge_slashes)? {
        let other = routes.find_at(place, &View { path: &path, ..*view });
        if !other.is_some_and(|other| Arc::ptr_eq(other.route, route)) {
            return Err(Fault::bad_request(
                400,
                "path_normalization_failed",
                "Servers read the path's escaped slash or parameter in different ways, and by another reading \
                 another rule would be for it; `path.escapedSlashesAction` says what is meant.",
            ));
        }
    }
    Ok(())
}
