//! Environment and `.kubecure/`, parsed once and passed on.
