//! Network figures.
#![forbid(unsafe_code)]
