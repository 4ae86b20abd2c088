//! Doorway.
fn main() {}
