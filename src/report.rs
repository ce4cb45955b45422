//! One journal, many readers.
