//! What was sent and what came back, with times and nothing else: the one thing that figures are
//! made from, whether a test left it or a capture was read.

use std::time::Duration;

/// A probe that left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departure {
    /// When.
    pub at: Duration,
    /// Bytes of UDP payload.
    pub bytes: u16,
}

/// An answer, or a further copy of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Of which probe.
    pub sequence: u32,
    /// When it was received.
    pub at: Duration,
}

/// What became of one probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It never left this machine: the test ended first, or there was no room to send it.
    Unsent,
    /// It came back within the loss deadline, after this time.
    Answered(Duration),
    /// It came back after the loss deadline. Counted as lost (RFC 6673), and apart.
    Late(Duration),
    /// It did not come back, and its deadline has passed.
    Lost,
    /// It had not come back, and its deadline had not passed, when the test was ended. Not a loss.
    InFlight,
}

/// A series of probes. Times are since an origin that is the same for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// By sequence number; `None` for one that never left.
    pub sent: Vec<Option<Departure>>,
    /// In order of arrival, further copies among them.
    pub answers: Vec<Answer>,
    /// Copies that came after [`COPIES_KEPT`], and were no longer kept.
    pub copies_not_kept: u64,
    /// An answer later than this is lost.
    pub loss_deadline: Duration,
    /// When watching for answers ended.
    pub ended_at: Duration,
    /// The first probes, which only warm the path up: no figure has them.
    pub warmup: u32,
}

/// Copies that are kept beside one answer to each probe.
pub const COPIES_KEPT: u64 = 65_536;

impl Trace {
    /// One fate for each sequence number, those of the warm-up included.
    pub fn fates(&self) -> Vec<Fate> {
        let mut fates: Vec<Fate> = self
            .sent
            .iter()
            .map(|sent| match sent {
                None => Fate::Unsent,
                Some(sent) if self.ended_at.saturating_sub(sent.at) < self.loss_deadline => {
                    Fate::InFlight
                }
                Some(_) => Fate::Lost,
            })
            .collect();
        // The first copy decides, so the last one that is written must be the first that came.
        for answer in self.answers.iter().rev() {
            let place = answer.sequence as usize;
            if let (Some(fate), Some(Some(sent))) = (fates.get_mut(place), self.sent.get(place)) {
                let rtt = answer.at.saturating_sub(sent.at);
                *fate = if rtt <= self.loss_deadline {
                    Fate::Answered(rtt)
                } else {
                    Fate::Late(rtt)
                };
            }
        }
        fates
    }

    /// Whether the loss deadline of this probe has passed, so that it has had all the time there is
    /// to be answered.
    fn is_old(&self, sequence: u32) -> bool {
        let sent = self.departure(sequence);
        sent.is_some_and(|sent| self.ended_at.saturating_sub(sent.at) >= self.loss_deadline)
    }

    /// What became of the probes, in order of sequence, as far as it may count for loss: whether
    /// each is missing. Where a test ended with probes in flight, the young ones are left out, the
    /// answered as well as the others: to count answers at once and losses only at their deadline
    /// would show too small a share.
    pub fn missing(&self, fates: &[Fate]) -> impl Iterator<Item = bool> + Clone {
        let complete = !fates.contains(&Fate::InFlight);
        let counted = (0..)
            .zip(fates)
            .skip(self.warmup as usize)
            .filter(move |(sequence, _)| complete || self.is_old(*sequence));
        counted.filter_map(|(_, fate)| match fate {
            Fate::Answered(_) => Some(false),
            Fate::Late(_) | Fate::Lost => Some(true),
            Fate::Unsent | Fate::InFlight => None,
        })
    }

    /// When the probe of this sequence number left, and its size.
    pub fn departure(&self, sequence: u32) -> Option<Departure> {
        self.sent.get(sequence as usize).copied().flatten()
    }
}
