//! A whole capture, taken apart.

use std::path::Path;
use std::time::Duration;

use super::conversations::{Conversations, Udp};
use super::packets::{self, CaptureError, Ended};
use super::probes::Probes;
use crate::figures::{Carrier, Figures};

/// What a file holds.
#[derive(Debug)]
pub struct Analysis {
    /// How reading ended, and what was not looked at.
    pub ended: Ended,
    /// Who talked to whom.
    pub conversations: Conversations,
}

impl Analysis {
    /// Reads the whole file.
    pub fn of(path: &Path) -> Result<Analysis, CaptureError> {
        let mut conversations = Conversations::default();
        let ended = packets::read(path, &mut |packet| conversations.add(&packet))?;
        conversations.settle();
        Ok(Analysis {
            ended,
            conversations,
        })
    }
}

/// The figures of a series of probes, as the test itself would have them.
pub fn figures(udp: &Udp, probes: &Probes, loss_deadline: Duration) -> Figures {
    Figures::of(&probes.trace(loss_deadline, 0), Carrier::of(udp.server))
}
