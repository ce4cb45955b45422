//! Where in a list the objects of one key stand: sorted numbers, made in one pass and without a copy of any name.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;

/// Any number: keys live as long as a snapshot, and who looks up compares what it finds.
const SEED: u64 = 0x6b75_6265_6375_7265;

/// Places of a list, by the [`key`] of what stands there.
///
/// Two keys may be the same number: whoever looks up compares what stands at a place with what was meant.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<(u64, u32)>);

impl Places {
    /// One key for each object in the order of its list; `None` for an object that is not to be found.
    pub(super) fn of(keys: impl Iterator<Item = Option<u64>>) -> Self {
        let numbered = (0_u32..).zip(keys).filter_map(|(at, key)| Some((key?, at)));
        let mut all: Vec<(u64, u32)> = numbered.collect();
        all.sort_unstable();
        Self(all)
    }

    /// The places of a key, in the order of the list.
    pub(super) fn at(&self, key: u64) -> impl DoubleEndedIterator<Item = usize> {
        let from = self.0.partition_point(|(of, _)| *of < key);
        let to = from + self.0[from..].partition_point(|(of, _)| *of == key);
        self.0[from..to].iter().map(|(_, at)| *at as usize)
    }
}

/// A number for some words: the same for the same words.
pub(super) fn key(words: &[&str]) -> u64 {
    FixedState::with_seed(SEED).hash_one(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_a_key_come_in_the_order_of_the_list() {
        let list = ["b", "a", "", "b", "c", "b"];
        let places = Places::of(list.iter().map(|word| (!word.is_empty()).then(|| key(&[word]))));
        let at = |word: &str| places.at(key(&[word])).collect::<Vec<_>>();
        assert_eq!((at("a"), at("b"), at("c")), (vec![1], vec![0, 3, 5], vec![4]));
        assert!(at("").is_empty() && at("d").is_empty());
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
