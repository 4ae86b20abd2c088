//! Captures: files of packets, written and read.
//!
//! [`mod@write`] puts the datagrams of a test into a pcapng file. [`packets`] reads the packets of any
//! capture, whatever its format and link (`layers`); [`conversations`] sorts them by who talks to whom;
//! [`probes`], [`rtp`] and [`tcp`] make figures of what is known of each; [`analysis`] is all of it
//! together, and [`verify`] holds it against the test itself and against tshark. Whoever wrote the file is
//! not trusted: everything that is kept has a bound, and what is left out is counted.

pub mod analysis;
pub mod conversations;
mod layers;
pub mod packets;
pub mod probes;
pub mod rtp;
pub mod tcp;
mod tshark;
pub mod verify;
pub mod write;
