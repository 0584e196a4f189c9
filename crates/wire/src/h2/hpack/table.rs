//! The dynamic table (RFC 7541, 2.3.2 and 4).

use std::collections::VecDeque;

use super::FIELD_OVERHEAD;

/// Entries in one arena, the newest last. Nothing is allocated before the first entry; the arena holds at most
/// twice the table's size.
#[derive(Clone, Debug)]
pub(super) struct Table {
    arena: Vec<u8>,
    entries: VecDeque<Entry>,
    /// Bytes of all entries, each with [`FIELD_OVERHEAD`].
    size: usize,
    max: usize,
}

/// An entry's place in the arena: its name, then its value.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    value_len: u32,
}

impl Entry {
    const fn name_end(self) -> usize {
        self.start as usize + self.name_len as usize
    }

    const fn end(self) -> usize {
        self.name_end() + self.value_len as usize
    }

    const fn size(self) -> usize {
        self.name_len as usize + self.value_len as usize + FIELD_OVERHEAD
    }
}

/// A new entry's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    Text(&'a [u8]),
    /// That of the entry of this age.
    Of(usize),
}

impl Table {
    pub(super) const fn new(max: usize) -> Self {
        Self {
            arena: Vec::new(),
            entries: VecDeque::new(),
            size: 0,
            max,
        }
    }

    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// Name and value of the entry of this age: 0 is the newest.
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8])> {
        let index = self.entries.len().checked_sub(age + 1)?;
        let entry = self.entries.get(index)?;
        let (start, name_end) = (entry.start as usize, entry.name_end());
        Some((&self.arena[start..name_end], &self.arena[name_end..entry.end()]))
    }

    /// Ages, names and values, the newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
        (0..self.entries.len()).filter_map(|age| self.get(age).map(|(name, value)| (age, name, value)))
    }

    /// Changes the size that entries may have, and drops the oldest that do not fit any more.
    pub(super) fn resize(&mut self, max: usize) {
        self.max = max;
        self.make_room(0);
    }

    /// Adds an entry. One that is larger than the table empties it (RFC 7541, 4.4).
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8]) {
        let name_len = match name {
            Name::Text(text) => text.len(),
            Name::Of(age) => self.get(age).map_or(0, |(name, _)| name.len()),
        };
        let size = name_len + value.len() + FIELD_OVERHEAD;
        if size > self.max {
            return self.clear();
        }
        self.compact(name_len + value.len());
        let start = self.arena.len();
        match name {
            Name::Text(text) => self.arena.extend_from_slice(text),
            Name::Of(age) => {
                if let Some(entry) = self.entries.len().checked_sub(age + 1).map(|at| self.entries[at]) {
                    self.arena
                        .extend_from_within(entry.start as usize..entry.name_end());
                }
            }
        }
        self.arena.extend_from_slice(value);
        // The entry that the name is of may go now (RFC 7541, 4.4).
        self.make_room(size);
        self.size += size;
        self.entries.push_back(Entry {
            start: start as u32,
            name_len: name_len as u32,
            value_len: value.len() as u32,
        });
    }

    /// Gives memory back that no entry needs.
    pub(super) fn shrink(&mut self) {
        self.compact(usize::MAX / 2);
        self.arena.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.arena.clear();
        self.size = 0;
    }

    fn make_room(&mut self, size: usize) {
        while self.size + size > self.max
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= oldest.size();
        }
    }

    /// Moves the entries to the arena's start, if it would pass twice the table's size otherwise.
    fn compact(&mut self, more: usize) {
        if self.arena.len().saturating_add(more) <= 2 * self.max {
            return;
        }
        let Some(first) = self.entries.front().map(|entry| entry.start) else {
            return self.arena.clear();
        };
        self.arena.drain(..first as usize);
        for entry in &mut self.entries {
            entry.start -= first;
        }
    }
}
