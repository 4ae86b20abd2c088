//! What the tests of several crates need: programs started on free ports, raw TCP peers and
//! networks made of namespaces. Used by tests only.
#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

pub mod man;
pub mod netns;
pub mod origin;
pub mod peer;
pub mod program;
pub mod responder;
pub mod terminal;
pub mod tls;
pub mod vectors;
