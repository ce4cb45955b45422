//! A field in, the line of Git that sets it out.
