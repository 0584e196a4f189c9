//! Field lines in one arena: no allocation per field, none at all once an arena has grown.

/// Names that a proxy treats specially, recognised once while parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the field it is named after")]
pub enum Known {
    Connection,
    ContentLength,
    TransferEncoding,
    Host,
    Te,
    Trailer,
    Upgrade,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Expect,
    Via,
    MaxForwards,
    Date,
    Server,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XRequestId,
    XEnvoyUpstreamServiceTime,
    IdempotencyKey,
    UserAgent,
    Http2Settings,
    Origin,
    Other,
}

/// Fields of a head or trailer section, in order, in one reusable arena.
#[derive(Clone, Debug, Default)]
pub struct Fields {}

#[expect(clippy::todo, unused_variables, reason = "to be written")]
impl Fields {
    /// Forgets all fields, keeps the arena's memory.
    pub fn clear(&mut self) {
        todo!()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        todo!()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name as sent, value without outer white space, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Known, &[u8], &[u8])> {
        std::iter::empty()
    }

    /// The first value of a known name.
    #[must_use]
    pub fn get(&self, known: Known) -> Option<&[u8]> {
        todo!()
    }

    /// The first value of a name, whatever its case.
    #[must_use]
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        todo!()
    }

    /// All values of a known name, in order.
    pub fn all(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }

    /// All values of a name, whatever its case, in order.
    pub fn all_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        std::iter::empty()
    }

    /// Appends a field. Name and value must be valid (debug-asserted): they come from our code or
    /// from checked configuration.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        todo!()
    }

    /// Replaces all fields of the name by one.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        todo!()
    }

    /// Removes all fields of the name; says how many.
    pub fn remove_named(&mut self, name: &[u8]) -> usize {
        todo!()
    }

    /// Removes all fields of a known name; says how many.
    pub fn remove(&mut self, known: Known) -> usize {
        todo!()
    }
}
