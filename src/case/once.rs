//! What many objects say alike is kept once: ten pods of one ReplicaSet have one set of labels and one list of
//! containers, and ten thousand conditions have a few words between them.
//!
//! Nothing can be told from it but the memory that it costs: equal values are equal, whether they are the same or not.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::{ContainerSpec, OwnerReference};

/// Values that are in use, each once.
pub struct Pool<T: ?Sized>(LazyLock<Mutex<Kept<T>>>);

struct Kept<T: ?Sized> {
    values: HashSet<Arc<T>>,
    /// How many there may be before those that nobody uses any more are let go.
    most: usize,
}

/// Fewer are never looked through.
const FEW: usize = 1024;

impl<T: ?Sized + Eq + Hash> Pool<T> {
    const fn new() -> Self {
        Self(LazyLock::new(|| Mutex::new(Kept { values: HashSet::new(), most: FEW })))
    }

    /// The one that is equal; else a new one.
    fn get<Q>(&self, value: Q) -> Arc<T>
    where
        Q: Borrow<T> + Into<Arc<T>>,
    {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = kept.values.get(value.borrow()) {
            return same.clone();
        }
        if kept.values.len() >= kept.most {
            kept.values.retain(|value| Arc::strong_count(value) > 1);
            // Doubled, so that what is looked through was mostly put there since the last time.
            kept.most = (kept.values.len() * 2).max(FEW);
        }
        let new: Arc<T> = value.into();
        kept.values.insert(new.clone());
        new
    }
}

/// A word of the API that stands in many objects: a phase, a reason, the name of a node.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(Arc<str>);

static WORDS: Pool<str> = Pool::new();

impl Word {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Word {
    fn from(word: String) -> Self {
        Self::from(word.as_str())
    }
}

impl From<&str> for Word {
    fn from(word: &str) -> Self {
        Self(WORDS.get(word))
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::from("")
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl PartialEq<Word> for str {
    fn eq(&self, other: &Word) -> bool {
        self == other.as_str()
    }
}

impl PartialEq<Word> for &str {
    fn eq(&self, other: &Word) -> bool {
        *self == other.as_str()
    }
}

impl PartialEq<Word> for String {
    fn eq(&self, other: &Word) -> bool {
        self.as_str() == other.as_str()
    }
}

impl PartialEq<String> for Word {
    fn eq(&self, other: &String) -> bool {
        self.as_str() == other
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Said;
        impl Visitor<'_> for Said {
            type Value = Word;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<Word, E> {
                Ok(Word::from(word))
            }
        }
        d.deserialize_str(Said)
    }
}

/// A value that is kept once, however many objects have it.
pub struct Same<T>(Arc<T>);

/// What can be kept once.
pub trait Pooled: Eq + Hash + Sized + 'static {
    /// Where its values are.
    fn pool() -> &'static Pool<Self>;
}

impl Pooled for BTreeMap<String, String> {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<BTreeMap<String, String>> = Pool::new();
        &POOL
    }
}

impl Pooled for Vec<OwnerReference> {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Vec<OwnerReference>> = Pool::new();
        &POOL
    }
}

impl Pooled for Vec<ContainerSpec> {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<Vec<ContainerSpec>> = Pool::new();
        &POOL
    }
}

impl<T: Pooled> From<T> for Same<T> {
    fn from(value: T) -> Self {
        Self(T::pool().get(value))
    }
}

impl<T: Pooled + Default> Default for Same<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T> Clone for Same<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: PartialEq> PartialEq for Same<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl<T> Deref for Same<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for Same<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'l, T> IntoIterator for &'l Same<Vec<T>> {
    type Item = &'l T;
    type IntoIter = std::slice::Iter<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'de, T: Pooled + Deserialize<'de>> Deserialize<'de> for Same<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(T::deserialize(d)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_and_values_are_kept_once() {
        let (one, two) = (Word::from("CrashLoopBackOff"), Word::from("CrashLoopBackOff"));
        assert!(Arc::ptr_eq(&one.0, &two.0) && one == "CrashLoopBackOff");
        let labels = || Same::from(BTreeMap::from([("app".to_owned(), "web".to_owned())]));
        assert!(Arc::ptr_eq(&labels().0, &labels().0));
        let read: Vec<Word> = serde_json::from_str(r#"["a","a","b\n"]"#).unwrap();
        assert!(Arc::ptr_eq(&read[0].0, &read[1].0) && read[2] == "b\n");
    }

    #[test]
    fn what_nobody_uses_is_let_go() {
        let pool: Pool<str> = Pool::new();
        let used: Vec<Arc<str>> = (0..100).map(|n| pool.get(format!("used {n}").as_str())).collect();
        for n in 0..100_000 {
            pool.get(format!("once {n}").as_str());
        }
        let kept = pool.0.lock().unwrap();
        assert!(kept.values.len() <= FEW && used.iter().all(|word| kept.values.contains(word)));
    }
}
