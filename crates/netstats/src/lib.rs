//! Network figures, each by a definition that somebody wrote down.
//!
//! Read in this order: [`quantile`] and [`summary`] (a set of delays), [`jitter`] (how they vary),
//! [`arrival`] (which packets came, in which order), [`loss`] and [`burst`] (which did not, and how
//! they crowd), [`throughput`] and [`fairness`] (how much came, and how evenly), then what follows
//! from these for people: [`voice`] and [`responsiveness`]; [`bound`], what figures are held against; and [`paired`],
//! what sets two ways apart. Nothing here reads a clock or opens a socket:
//! times come in as [`std::time::Duration`] since an origin of the caller's choice.
//!
//! A figure that its sample cannot support is `None`, never zero.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod bound;
pub mod burst;
pub mod fairness;
pub mod jitter;
pub mod loss;
pub mod paired;
pub mod quantile;
pub mod responsiveness;
pub mod summary;
pub mod throughput;
pub mod voice;
