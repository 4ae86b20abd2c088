//! The proxy over real sockets: clients on one side, an origin that does as it is told on the other.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

mod cache;
mod early;
mod forward;
mod forwarding;
mod hostile;
mod invalidation;
mod lab;
mod lifecycle;
mod names;
mod origins;
mod partial;
mod pressure;
mod revalidation;
mod sharing;
mod stale;
mod tls;
mod tunnel;
