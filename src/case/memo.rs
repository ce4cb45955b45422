//! What is found out once about data that does not change.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A place for one thing that a stage derives from the data that it lies in. A copy of the data starts without it, for
/// the copy may be changed.
#[derive(Default)]
pub struct Memo(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Memo {
    /// What was kept, made now if it is the first time.
    ///
    /// One piece of data has one kind of memo: another kind is made anew each time.
    pub fn get<T: Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut make = Some(make);
        let kept = self.0.get_or_init(|| match make.take() {
            Some(make) => Arc::new(make()),
            None => Arc::new(()),
        });
        match (kept.clone().downcast::<T>(), make) {
            (Ok(kept), _) => kept,
            (Err(_), Some(make)) => Arc::new(make()),
            (Err(_), None) => unreachable!("what was just made has its own type"),
        }
    }
}

impl Clone for Memo {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.get().is_some() { "Memo(made)" } else { "Memo(empty)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_and_a_copy_makes_its_own() {
        let memo = Memo::default();
        assert_eq!(*memo.get(|| 1), 1);
        assert_eq!(*memo.get(|| 2), 1);
        assert_eq!(*memo.clone().get(|| 3), 3);
        assert_eq!(*memo.get(|| "another kind"), "another kind");
    }
}
