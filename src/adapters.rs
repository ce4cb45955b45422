//! The only I/O: one thin file for each thing outside.
