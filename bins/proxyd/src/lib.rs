//! .

pub mod relay;
