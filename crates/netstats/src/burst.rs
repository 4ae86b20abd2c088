//! Where losses crowd together: the bursts and gaps of RFC 3611 §4.7.2.

/// Packets that must be received in a row to end a burst: the value that RFC 3611 §4.7.2
/// recommends.
pub const GMIN: u64 = 16;

/// The bursts and gaps of one stream.
///
/// A burst is a longest stretch that begins and ends with a loss and holds nowhere as many as
/// [`GMIN`] packets received in a row; all else is gap. A loss with that many received on either
/// side of it is no burst but an isolated loss of the gap. What came before the first packet, and
/// what comes after the last, is taken as received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bursts {
    /// Bursts.
    pub bursts: u64,
    /// Packets from the first loss of a burst to its last, over all bursts.
    pub burst_packets: u64,
    /// Losses in bursts.
    pub burst_lost: u64,
    /// The longest burst, in packets.
    pub longest: u64,
    /// Packets outside of bursts.
    pub gap_packets: u64,
    /// Losses outside of bursts: the isolated ones.
    pub gap_lost: u64,
}

impl Bursts {
    /// Reads the fate of each packet in order of sequence: `true` for lost or discarded.
    pub fn of(lost: impl IntoIterator<Item = bool>) -> Bursts {
        let mut bursts = Bursts::default();
        // The stretch that may yet become a burst: its losses, its packets up to the last loss.
        let mut open: Option<(u64, u64)> = None;
        let mut received_since_loss = 0;
        let mut packets = 0;
        for lost in lost {
            packets += 1;
            if !lost {
                received_since_loss += 1;
                if received_since_loss >= GMIN
                    && let Some(stretch) = open.take()
                {
                    bursts.close(stretch);
                }
                continue;
            }
            let (losses, length) = open.unwrap_or((0, 0));
            let between = if losses == 0 { 0 } else { received_since_loss };
            open = Some((losses + 1, length + between + 1));
            received_since_loss = 0;
        }
        if let Some(stretch) = open {
            bursts.close(stretch);
        }
        bursts.gap_packets = packets - bursts.burst_packets;
        bursts
    }

    fn close(&mut self, (losses, length): (u64, u64)) {
        if losses == 1 {
            self.gap_lost += 1;
            return;
        }
        self.bursts += 1;
        self.burst_lost += losses;
        self.burst_packets += length;
        self.longest = self.longest.max(length);
    }

    /// The mean length of a burst in packets; `None` without one.
    pub fn mean(self) -> Option<f64> {
        share(self.burst_packets, self.bursts)
    }

    /// The share of the packets in bursts that was lost, of 1; `None` without a burst.
    pub fn burst_density(self) -> Option<f64> {
        share(self.burst_lost, self.burst_packets)
    }

    /// The share of the packets in gaps that was lost, of 1; `None` where all is burst.
    pub fn gap_density(self) -> Option<f64> {
        share(self.gap_lost, self.gap_packets)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `1` received, `0` lost, `X` discarded, as in the RFC.
    fn of(pattern: &str) -> Bursts {
        Bursts::of(pattern.chars().map(|packet| packet != '1'))
    }

    #[test]
    fn the_example_of_rfc_3611_gives_its_figures() {
        // §4.7.2: at 10 ms a packet the burst lasts 120 ms at a density of 0.33, the gaps
        // 230 ms + 290 ms at 0.04.
        let bursts = of("11110111111111111111111X111X1011110111111111111111111X1111111111");
        assert_eq!((bursts.bursts, bursts.burst_packets), (1, 12));
        assert_eq!(bursts.gap_packets, 23 + 29);
        let rounded = |density: Option<f64>| format!("{:.2}", density.unwrap());
        assert_eq!(rounded(bursts.burst_density()), "0.33");
        assert_eq!(rounded(bursts.gap_density()), "0.04");
    }

    #[test]
    fn sixteen_received_packets_end_a_burst_and_fifteen_do_not() {
        let with_between = |received: usize| {
            let between = "1".repeat(received);
            of(&format!("00{between}00"))
        };
        let (one, two) = (with_between(15), with_between(16));
        assert_eq!((one.bursts, one.longest), (1, 19));
        assert_eq!((two.bursts, two.longest, two.mean()), (2, 2, Some(2.0)));
    }

    #[test]
    fn a_loss_alone_belongs_to_the_gap() {
        let alone = of("0111111111111111101111111111111111");
        assert_eq!((alone.bursts, alone.gap_lost), (0, 2));
        assert_eq!(alone.gap_density(), Some(2.0 / 34.0));
        assert_eq!((alone.mean(), alone.burst_density()), (None, None));
        let all = of("0000");
        assert_eq!((all.burst_density(), all.gap_density()), (Some(1.0), None));
        assert_eq!(of(""), Bursts::default());
    }

    proptest! {
        #[test]
        fn every_packet_and_every_loss_is_in_a_burst_or_in_a_gap(
            lost in prop::collection::vec(prop::bool::weighted(0.1), 0..400),
        ) {
            let bursts = Bursts::of(lost.iter().copied());
            let losses = lost.iter().filter(|lost| **lost).count() as u64;
            prop_assert_eq!(bursts.burst_packets + bursts.gap_packets, lost.len() as u64);
            prop_assert_eq!(bursts.burst_lost + bursts.gap_lost, losses);
            prop_assert!(bursts.longest <= bursts.burst_packets);
        }
    }
}
