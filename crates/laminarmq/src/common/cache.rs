//! Caches of a bounded number of entries.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

/// What an insertion pushed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eviction<K, V> {
    /// Another entry.
    Block {
        /// Its key.
        key: K,
        /// Its value.
        value: V,
    },
    /// The value that the same key had before.
    Value(V),
    /// Nothing.
    None,
}

/// What a cache knows of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<V> {
    /// Its value.
    Hit(V),
    /// Nothing.
    Miss,
}

/// A cache that holds at most [`Cache::capacity`] entries, and decides itself which ones go.
pub trait Cache<K, V> {
    /// Why something failed.
    type Error;

    /// Enters a value; says what had to go for it.
    ///
    /// # Errors
    ///
    /// Where the cache takes none.
    fn insert(&mut self, key: K, value: V) -> Result<Eviction<K, V>, Self::Error>;

    /// Takes an entry out.
    ///
    /// # Errors
    ///
    /// Where the cache cannot do that.
    fn remove(&mut self, key: &K) -> Result<Lookup<V>, Self::Error>;

    /// Looks a value up, which counts as a use of it.
    ///
    /// # Errors
    ///
    /// Where the cache cannot do that.
    fn query(&mut self, key: &K) -> Result<Lookup<&V>, Self::Error>;

    /// Makes room for so many entries more.
    ///
    /// # Errors
    ///
    /// Where the cache cannot have as many.
    fn reserve(&mut self, additional: usize) -> Result<(), Self::Error>;

    /// Lowers the capacity to `new_capacity` entries; those that are too many go. A capacity that is lower already stays.
    ///
    /// # Errors
    ///
    /// Where the cache cannot do that.
    fn shrink(&mut self, new_capacity: usize) -> Result<(), Self::Error>;

    /// Entries at most.
    fn capacity(&self) -> usize;

    /// Entries now.
    fn len(&self) -> usize;

    /// Whether the next new entry pushes another one out.
    fn is_maxed(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all entries out. The capacity stays.
    ///
    /// # Errors
    ///
    /// Where the cache cannot do that.
    fn clear(&mut self) -> Result<(), Self::Error>;
}

/// What a [`NoOpCache`] was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, thiserror::Error)]
#[error("this cache holds nothing and can do nothing")]
pub struct UnsupportedOp;

/// No cache, for logs that need none. Whatever it is asked to do fails.
///
/// ```
/// use laminarmq::common::cache::{Cache, NoOpCache};
///
/// let mut cache = NoOpCache::<usize, ()>::default();
/// assert_eq!(cache.capacity(), 0);
/// assert!(cache.reserve(1).is_err());
/// ```
pub struct NoOpCache<K, V>(PhantomData<fn() -> (K, V)>);

impl<K, V> fmt::Debug for NoOpCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoOpCache")
    }
}

impl<K, V> Default for NoOpCache<K, V> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<K, V> Cache<K, V> for NoOpCache<K, V> {
    type Error = UnsupportedOp;

    fn insert(&mut self, _: K, _: V) -> Result<Eviction<K, V>, UnsupportedOp> {
        Err(UnsupportedOp)
    }

    fn remove(&mut self, _: &K) -> Result<Lookup<V>, UnsupportedOp> {
        Err(UnsupportedOp)
    }

    fn query(&mut self, _: &K) -> Result<Lookup<&V>, UnsupportedOp> {
        Err(UnsupportedOp)
    }

    fn reserve(&mut self, _: usize) -> Result<(), UnsupportedOp> {
        Err(UnsupportedOp)
    }

    fn shrink(&mut self, _: usize) -> Result<(), UnsupportedOp> {
        Err(UnsupportedOp)
    }

    fn capacity(&self) -> usize {
        0
    }

    fn len(&self) -> usize {
        0
    }

    fn clear(&mut self) -> Result<(), UnsupportedOp> {
        Err(UnsupportedOp)
    }
}

/// A cache from which the entry goes that was used longest ago. Every call takes time logarithmic in the number of
/// entries. It begins without capacity.
///
/// ```
/// use laminarmq::common::cache::{AllocLRUCache, Cache, Eviction, Lookup};
///
/// let mut cache = AllocLRUCache::default();
/// cache.reserve(2)?;
/// cache.insert(1, "one")?;
/// cache.insert(2, "two")?;
/// assert_eq!(cache.query(&1)?, Lookup::Hit(&"one"));
/// assert_eq!(cache.insert(3, "three")?, Eviction::Block { key: 2, value: "two" });
/// # Ok::<(), std::convert::Infallible>(())
/// ```
#[derive(Debug, Clone)]
pub struct AllocLRUCache<K, V> {
    /// Values, and when they were used.
    entries: BTreeMap<K, (V, u64)>,
    /// The same, the longest ago first.
    used: BTreeMap<u64, K>,
    capacity: usize,
    uses: u64,
}

impl<K, V> Default for AllocLRUCache<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            used: BTreeMap::new(),
            capacity: 0,
            uses: 0,
        }
    }
}

impl<K: Ord + Clone, V> AllocLRUCache<K, V> {
    fn use_now(&mut self, key: &K) -> u64 {
        self.uses += 1;
        self.used.insert(self.uses, key.clone());
        self.uses
    }

    fn evict(&mut self) -> Option<(K, V)> {
        let (_, key) = self.used.pop_first()?;
        let (value, _) = self.entries.remove(&key)?;
        Some((key, value))
    }
}

impl<K: Ord + Clone, V> Cache<K, V> for AllocLRUCache<K, V> {
    type Error = Infallible;

    /// Without capacity, what is to be entered is what goes.
    fn insert(&mut self, key: K, value: V) -> Result<Eviction<K, V>, Infallible> {
        if self.capacity == 0 {
            return Ok(Eviction::Block { key, value });
        }
        let now = self.use_now(&key);
        if let Some((entry, at)) = self.entries.get_mut(&key) {
            self.used.remove(&std::mem::replace(at, now));
            return Ok(Eviction::Value(std::mem::replace(entry, value)));
        }
        let evicted = if self.entries.len() == self.capacity {
            self.evict()
        } else {
            None
        };
        self.entries.insert(key, (value, now));
        Ok(match evicted {
            Some((key, value)) => Eviction::Block { key, value },
            None => Eviction::None,
        })
    }

    fn remove(&mut self, key: &K) -> Result<Lookup<V>, Infallible> {
        Ok(match self.entries.remove(key) {
            Some((value, at)) => {
                self.used.remove(&at);
                Lookup::Hit(value)
            }
            None => Lookup::Miss,
        })
    }

    fn query(&mut self, key: &K) -> Result<Lookup<&V>, Infallible> {
        if !self.entries.contains_key(key) {
            return Ok(Lookup::Miss);
        }
        let now = self.use_now(key);
        Ok(match self.entries.get_mut(key) {
            Some((value, at)) => {
                self.used.remove(&std::mem::replace(at, now));
                Lookup::Hit(value)
            }
            None => Lookup::Miss,
        })
    }

    fn reserve(&mut self, additional: usize) -> Result<(), Infallible> {
        self.capacity = self.capacity.saturating_add(additional);
        Ok(())
    }

    fn shrink(&mut self, new_capacity: usize) -> Result<(), Infallible> {
        self.capacity = self.capacity.min(new_capacity);
        while self.entries.len() > self.capacity {
            self.evict();
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn clear(&mut self) -> Result<(), Infallible> {
        self.entries.clear();
        self.used.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Op {
        Insert(u8, u32),
        Remove(u8),
        Query(u8),
        Reserve(usize),
        Shrink(usize),
        Clear,
    }

    fn op() -> impl Strategy<Value = Op> {
        let key = 0..8u8;
        prop_oneof![
            6 => (key.clone(), any::<u32>()).prop_map(|(key, value)| Op::Insert(key, value)),
            2 => key.clone().prop_map(Op::Remove),
            5 => key.prop_map(Op::Query),
            1 => (0..3usize).prop_map(Op::Reserve),
            1 => (0..5usize).prop_map(Op::Shrink),
            1 => Just(Op::Clear),
        ]
    }

    proptest! {
        /// Against a list in order of use.
        #[test]
        fn the_longest_unused_entry_goes(ops in prop::collection::vec(op(), 1..60)) {
            let mut cache = AllocLRUCache::default();
            let (mut list, mut capacity): (Vec<(u8, u32)>, usize) = (Vec::new(), 0);
            for op in ops {
                match op {
                    Op::Insert(key, value) => {
                        let at = list.iter().position(|(it, _)| *it == key);
                        let want = if capacity == 0 {
                            Eviction::Block { key, value }
                        } else if let Some(at) = at {
                            Eviction::Value(list.remove(at).1)
                        } else if list.len() == capacity {
                            let (key, value) = list.remove(0);
                            Eviction::Block { key, value }
                        } else {
                            Eviction::None
                        };
                        if capacity > 0 {
                            list.push((key, value));
                        }
                        prop_assert_eq!(cache.insert(key, value), Ok(want));
                    }
                    Op::Remove(key) => {
                        let at = list.iter().position(|(it, _)| *it == key);
                        let want = at.map_or(Lookup::Miss, |at| Lookup::Hit(list.remove(at).1));
                        prop_assert_eq!(cache.remove(&key), Ok(want));
                    }
                    Op::Query(key) => {
                        let at = list.iter().position(|(it, _)| *it == key);
                        let entry = at.map(|at| list.remove(at));
                        list.extend(entry);
                        let want = entry.map_or(Lookup::Miss, |(_, value)| Lookup::Hit(value));
                        let found = match cache.query(&key) {
                            Ok(Lookup::Hit(value)) => Lookup::Hit(*value),
                            Ok(Lookup::Miss) => Lookup::Miss,
                        };
                        prop_assert_eq!(found, want);
                    }
                    Op::Reserve(more) => {
                        capacity += more;
                        prop_assert_eq!(cache.reserve(more), Ok(()));
                    }
                    Op::Shrink(to) => {
                        capacity = capacity.min(to);
                        list.drain(..list.len().saturating_sub(capacity));
                        prop_assert_eq!(cache.shrink(to), Ok(()));
                    }
                    Op::Clear => {
                        list.clear();
                        prop_assert_eq!(cache.clear(), Ok(()));
                    }
                }
                prop_assert_eq!((cache.len(), cache.capacity()), (list.len(), capacity));
                prop_assert_eq!(cache.used.len(), list.len());
            }
        }
    }

    #[test]
    fn no_cache_can_do_nothing() {
        let mut cache = NoOpCache::<u8, u8>::default();
        assert_eq!(cache.insert(1, 2), Err(UnsupportedOp));
        assert_eq!(cache.remove(&1), Err(UnsupportedOp));
        assert_eq!(cache.query(&1), Err(UnsupportedOp));
        assert_eq!(cache.reserve(0), Err(UnsupportedOp));
        assert_eq!(cache.shrink(0), Err(UnsupportedOp));
        assert_eq!(cache.clear(), Err(UnsupportedOp));
        assert_eq!((cache.capacity(), cache.len()), (0, 0));
    }
}
