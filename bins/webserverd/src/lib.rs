//! .

pub mod udp_echo;
