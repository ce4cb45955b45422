//! A diagnosis and its places in, edited files out.
