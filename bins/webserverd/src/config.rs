//! What the server was told, checked.

use std::os::fd::OwnedFd;

use netio::daemon::Setup;

use crate::auth::Auth;
use crate::rules::Rules;

/// One validated configuration.
#[derive(Debug)]
pub struct Config {
    /// The folder whose files are served, open.
    pub root: OwnedFd,
    /// What is done with them.
    pub rules: Rules,
    /// Who may ask, if not everybody.
    pub auth: Option<Auth>,
    /// What every daemon is told.
    pub setup: Setup,
}
