//! The server over real sockets, as clients, attackers and service managers see it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

mod auth;
mod changes;
mod coding;
mod command;
mod connections;
mod files;
mod limits;
mod listing;
mod ranges;
mod responsiveness;
mod rules;
mod service;
mod site;
mod tls;
mod udp_echo;
