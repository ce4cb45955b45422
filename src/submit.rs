//! A verdict in, the pull request out, word for word.

pub mod markdown;
