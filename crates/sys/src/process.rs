//! What the kernel says of this process.

/// Bytes of a page of memory.
#[must_use]
pub fn page_size() -> u64 {
    rustix::param::page_size() as u64
}
