//! What the silence of a hop is called, and how its figures are told.

use std::fmt;
use std::time::Duration;

use super::{Beyond, Bucket, Silence, Tally};

/// A chance is not told more closely than this.
const LEAST_CHANCE: f64 = 1e-12;

impl Silence {
    /// What it is, for programs.
    pub fn kind(&self) -> &'static str {
        match self.bucket {
            Some(_) => "rate_limit",
            None => "own_silence",
        }
    }

    /// What it is, behind an address.
    pub fn mark(&self) -> &'static str {
        match self.bucket {
            Some(_) => "[rate limit]",
            None => "[own silence]",
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        let Silence { ttl, here, .. } = self;
        let what = match &self.bucket {
            Some(bucket) => format!("limits its answers: {here} answered, {bucket}"),
            None => format!("silent by itself: {here} answered, in no order of a rate limit"),
        };
        let why = match &self.beyond {
            Some(beyond) => format!("no loss on the way, for {beyond}"),
            None => "no later hop answered more, but the order is no accident".to_owned(),
        };
        let chance = chance(self.chance());
        format!("hop {ttl}: {what}; {why} (loss looks so with a chance of {chance})")
    }
}

fn chance(chance: f64) -> String {
    if chance < LEAST_CHANCE {
        format!("less than {LEAST_CHANCE:.0e}")
    } else {
        format!("{chance:.0e}")
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.answered, self.sent)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.burst {
            0 => write!(f, "none at first")?,
            burst => write!(f, "{burst} at once")?,
        }
        match self.gaps {
            None => Ok(()),
            Some(gaps) => {
                write!(f, ", then one every {}", time(gaps.mean))?;
                let (least, most) = (time(gaps.least), time(gaps.most));
                if least == most {
                    return Ok(());
                }
                write!(f, " ({least} to {most})")
            }
        }
    }
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Beyond { ttl, probes, .. } = self;
        match ttl {
            Some(ttl) => write!(f, "hop {ttl} answered {probes}"),
            None => write!(f, "the later hops answered {probes}"),
        }
    }
}

/// A time as it is told.
pub fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{:.0} ms", time.as_secs_f64() * 1e3)
    } else {
        format!("{:.2} s", time.as_secs_f64())
    }
}
