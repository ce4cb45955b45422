//! YAML with positions: read it, address a field, edit its bytes and no others.

mod path;

pub use path::{FieldPath, PathError, Step};
