//! What a UDP test leaves: times and fates, before any arithmetic.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Plan, Run};

/// The first copy of an answer.
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

/// The whole of one test. Times are monotonic, since an origin that is the same for all of them.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where the probes went.
    pub address: SocketAddr,
    /// What was ordered.
    pub plan: Plan,
    /// What it is recognised by.
    pub run: Run,
    /// When each probe was sent, by sequence number.
    pub sent_at: Vec<Option<Duration>>,
    /// The first copy of each answer, in order of arrival.
    pub arrivals: Vec<Answer>,
    /// Further copies of answers.
    pub duplicates: u64,
    /// Answers that were overtaken by a later one (RFC 4737).
    pub reordered: u32,
    /// Answers that came back damaged or cut.
    pub corrupt: u64,
    /// Datagrams that were not of this test.
    pub strays: u64,
    /// ICMP errors that came back after the target had answered.
    pub refusals: u32,
    /// Probes that this machine did not let out.
    pub local_drops: u32,
    /// How long after its deadline each probe was sent.
    pub pacing_errors: Vec<Duration>,
    /// Probes that were sent only when the next one was already due.
    pub missed_slots: u32,
    /// Whether the user ended it early.
    pub interrupted: bool,
    /// When it ended.
    pub ended_at: Duration,
}

impl Record {
    /// Probes that left this machine.
    pub fn sent(&self) -> u32 {
        self.sent_at.iter().flatten().count() as u32
    }

    /// One fate for each sequence number.
    pub fn fates(&self) -> Vec<Fate> {
        let deadline = self.plan.loss_deadline();
        let mut fates: Vec<Fate> = self
            .sent_at
            .iter()
            .map(|sent| match sent {
                None => Fate::Unsent,
                Some(sent) if self.ended_at.saturating_sub(*sent) < deadline => Fate::InFlight,
                Some(_) => Fate::Lost,
            })
            .collect();
        for answer in &self.arrivals {
            let place = answer.sequence as usize;
            if let (Some(fate), Some(Some(sent))) = (fates.get_mut(place), self.sent_at.get(place))
            {
                let rtt = answer.at.saturating_sub(*sent);
                *fate = if rtt <= deadline {
                    Fate::Answered(rtt)
                } else {
                    Fate::Late(rtt)
                };
            }
        }
        fates
    }
}
