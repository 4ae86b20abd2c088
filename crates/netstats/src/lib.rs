//! Network figures, each by a definition that somebody wrote down.
//!
//! Read in this order: [`quantile`] and [`summary`] (a set of delays), [`jitter`] (how they vary),
//! [`arrival`] (which packets came, in which order), [`loss`] (which did not), [`throughput`] and
//! [`fairness`] (how much came, and how evenly). Nothing here reads a clock or opens a socket:
//! times come in as [`std::time::Duration`] since an origin of the caller's choice.
//!
//! A figure that its sample cannot support is `None`, never zero.
#![forbid(unsafe_code)]

pub mod arrival;
pub mod fairness;
pub mod jitter;
pub mod loss;
pub mod quantile;
pub mod summary;
pub mod throughput;
