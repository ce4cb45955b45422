//! A list whose objects other snapshots share: a new snapshot of a large cluster costs pointers, not copies.

use std::fmt;
use std::iter::Map;
use std::ops::Index;
use std::slice;
use std::sync::Arc;

/// Reads like a `Vec<T>`; a clone shares every object.
pub struct List<T>(Vec<Arc<T>>);

/// `&T` for `&Arc<T>`.
type Seen<'l, T> = Map<slice::Iter<'l, Arc<T>>, fn(&'l Arc<T>) -> &'l T>;

impl<T> List<T> {
    /// Adds an object of its own, or one that another snapshot has, too.
    pub fn push(&mut self, object: impl Into<Arc<T>>) {
        self.0.push(object.into());
    }

    pub fn iter(&self) -> Seen<'_, T> {
        self.0.iter().map(AsRef::as_ref)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything of another list, after what is here.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: fmt::Debug> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<T> Index<usize> for List<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.0[at]
    }
}

impl<'l, T> IntoIterator for &'l List<T> {
    type Item = &'l T;
    type IntoIter = Seen<'l, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
