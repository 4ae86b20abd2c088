//! The client against peers that do as they are told: over sockets, in namespaces, on a terminal.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod capture;
mod capture_corpus;
mod capture_hostile;
pub mod capture_inputs;
mod client;
mod compare;
mod crowd;
mod csv;
mod echo;
mod flood;
mod http_series;
mod lab;
mod live;
mod load;
mod menu;
mod program;
mod report;
mod udp_ground_truth;
