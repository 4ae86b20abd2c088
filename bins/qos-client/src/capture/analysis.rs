//! A whole capture, taken apart.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use super::conversations::{Conversations, Udp};
use super::packets::{self, CaptureError, Ended};
use super::probes::Probes;
use crate::figures::{Carrier, Figures};
use crate::udp::Run;

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
        Ok(Analysis::settled(ended, conversations))
    }

    /// As [`Analysis::of`]; `None` when it is no capture.
    pub fn of_source(source: impl Read) -> Option<Analysis> {
        let mut conversations = Conversations::default();
        let ended = packets::read_from(source, &mut |packet| conversations.add(&packet))?;
        Some(Analysis::settled(ended, conversations))
    }

    fn settled(ended: Ended, mut conversations: Conversations) -> Analysis {
        conversations.settle();
        Analysis {
            ended,
            conversations,
        }
    }

    /// The UDP conversations with the figures of the probes in them.
    pub fn udp(&self, loss_deadline: Duration) -> Vec<Conversation<'_>> {
        let of_probes = |udp: &Udp, probes: &Probes| {
            let (trace, mistimed) = probes.trace(loss_deadline, 0);
            Series {
                run: Run { id: probes.run },
                began: probes.began().unwrap_or_default(),
                figures: Figures::of(&trace, Carrier::of(udp.server)),
                mistimed,
            }
        };
        let all = self.conversations.udp().iter();
        all.map(|udp| Conversation {
            udp,
            series: udp.probes.iter().map(|p| of_probes(udp, p)).collect(),
        })
        .collect()
    }
}

/// A UDP conversation and what follows from it.
#[derive(Debug)]
pub struct Conversation<'a> {
    /// What was seen.
    pub udp: &'a Udp,
    /// The series of probes in it.
    pub series: Vec<Series>,
}

/// A series of probes, with the figures that the test itself would have.
#[derive(Debug)]
pub struct Series {
    /// Of which run.
    pub run: Run,
    /// When the first was captured, since the Unix epoch.
    pub began: Duration,
    /// What follows from them.
    pub figures: Figures,
    /// Probes whose answers have earlier times than they: no figure has them.
    pub mistimed: u32,
}
