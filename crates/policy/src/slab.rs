//! Things that are found by their id at once, where no id ever means two of them.

use std::marker::PhantomData;

/// What identifies a thing in a [`Slab`].
pub(crate) trait Key: Copy {
    /// The id that a slab made.
    fn of(raw: u64) -> Self;
    /// The same, back again.
    fn raw(self) -> u64;
}

/// Things by id: an id is the thing's place in the lower bits and a serial number, never used
/// twice, above. So ids also tell the order in which things came.
#[derive(Debug)]
pub(crate) struct Slab<K, T> {
    places: Vec<(u64, Option<T>)>,
    free: Vec<u32>,
    serial: u64,
    key: PhantomData<K>,
}

impl<K, T> Default for Slab<K, T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            serial: 0,
            key: PhantomData,
        }
    }
}

impl<K: Key, T> Slab<K, T> {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// Whether there is no place left for another.
    pub(crate) fn full(&self) -> bool {
        self.free.is_empty() && self.places.len() == 1 << PLACE_BITS
    }

    pub(crate) fn insert(&mut self, thing: T) -> K {
        let place = self.free.pop().unwrap_or_else(|| {
            if self.places.is_empty() {
                // Most clusters have one endpoint, and room for four would be a kilobyte each.
                self.places.reserve_exact(1);
            }
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        assert!(place < 1 << PLACE_BITS, "more things than ids have room for");
        self.serial += 1;
        let id = self.serial << PLACE_BITS | u64::from(place);
        self.places[place as usize] = (id, Some(thing));
        K::of(id)
    }

    pub(crate) fn get(&self, id: K) -> Option<&T> {
        let (holder, thing) = self.places.get(place(id))?;
        thing.as_ref().filter(|_| *holder == id.raw())
    }

    pub(crate) fn get_mut(&mut self, id: K) -> Option<&mut T> {
        let (holder, thing) = self.places.get_mut(place(id))?;
        thing.as_mut().filter(|_| *holder == id.raw())
    }

    pub(crate) fn remove(&mut self, id: K) -> Option<T> {
        let (holder, thing) = self.places.get_mut(place(id))?;
        let gone = thing.take_if(|_| *holder == id.raw())?;
        self.free.push(place(id) as u32);
        Some(gone)
    }

    /// All, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.places
            .iter()
            .filter_map(|(id, thing)| Some((K::of(*id), thing.as_ref()?)))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (K, &mut T)> {
        self.places
            .iter_mut()
            .filter_map(|(id, thing)| Some((K::of(*id), thing.as_mut()?)))
    }
}

/// Where a thing is.
pub(crate) fn place<K: Key>(id: K) -> usize {
    (id.raw() & ((1 << PLACE_BITS) - 1)) as usize
}

/// 16 million things at once; no process has as many descriptors. 2^40 in the life of a slab.
const PLACE_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Ticket;

    #[test]
    fn an_id_is_never_given_twice_and_a_stale_one_finds_nothing() {
        let mut slab = Slab::<Ticket, &str>::default();
        let one = slab.insert("one");
        assert_eq!(slab.remove(one), Some("one"));
        let two = slab.insert("two");
        assert!(one < two, "ids tell the order");
        assert!(slab.get(one).is_none() && slab.get_mut(one).is_none() && slab.remove(one).is_none());
        assert_eq!((slab.get(two), slab.len()), (Some(&"two"), 1));
    }
}
