//! ICMP sockets, and all that ping and traceroute need of the kernel besides.
//!
//! Read in this order: [`open`] (which kind of socket the kernel grants), [`route`] (what it knows
//! of the way), [`Endpoint`] (send, receive, the error queue), [`crate::stamp`] (the kernel's
//! timestamps on the monotonic clock), [`privileges`] (given up once the sockets are open), [`wait`]
//! (sleep until a socket, a signal or a deadline), [`names`] (addresses to names and back),
//! [`lookups`] (what is asked about addresses beside the probing).

mod control;
mod endpoint;
pub mod lookups;
pub mod names;
pub mod open;
mod options;
pub mod privileges;
pub mod route;
pub mod wait;

pub use crate::stamp::{Stamp, StampSource};
pub use endpoint::{Endpoint, LARGEST_DATAGRAM, Notice, Received, Sent};
pub use open::{Binding, Hears, HeldPort, OpenError, SocketKind};
pub use options::{PathMtu, Tuning};
