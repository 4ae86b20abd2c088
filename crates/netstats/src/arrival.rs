//! Which sequence numbers arrived, which came twice, which were overtaken.

/// Tells each arrival apart: first, duplicate, reordered. Memory is one bit a sequence number.
///
/// Reordering is RFC 4737 §3.3: a packet whose sequence number is below the next one expected is
/// reordered, and the next expected is one more than the largest seen. Duplicates are RFC 5560's
/// additional copies; they are counted apart and never as reordered.
#[derive(Debug, Clone)]
pub struct Arrivals {
    seen: Vec<u64>,
    packets: u32,
    next_expected: u32,
    received: u32,
    duplicates: u64,
    reordered: u32,
}

/// What one arrival was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first copy of this sequence number, in order.
    InOrder,
    /// The first copy of this sequence number, after a later one.
    Reordered,
    /// A further copy.
    Duplicate,
    /// A sequence number that this run does not have.
    Unknown,
}

impl Arrivals {
    /// For sequence numbers `0..packets`.
    pub fn new(packets: u32) -> Arrivals {
        Arrivals {
            seen: vec![0; (packets as usize).div_ceil(64)],
            packets,
            next_expected: 0,
            received: 0,
            duplicates: 0,
            reordered: 0,
        }
    }

    /// The next packet to arrive.
    pub fn arrived(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.packets {
            return Arrival::Unknown;
        }
        let bit = 1 << (sequence % 64);
        let Some(word) = self.seen.get_mut(sequence as usize / 64) else {
            return Arrival::Unknown;
        };
        if *word & bit != 0 {
            self.duplicates += 1;
            return Arrival::Duplicate;
        }
        *word |= bit;
        self.received += 1;
        if sequence < self.next_expected {
            self.reordered += 1;
            return Arrival::Reordered;
        }
        self.next_expected = sequence + 1;
        Arrival::InOrder
    }

    /// Whether this sequence number has arrived.
    pub fn has(&self, sequence: u32) -> bool {
        sequence < self.packets
            && self
                .seen
                .get(sequence as usize / 64)
                .is_some_and(|word| word & (1 << (sequence % 64)) != 0)
    }

    /// Distinct sequence numbers that arrived.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Further copies that arrived.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that were overtaken.
    pub fn reordered(&self) -> u32 {
        self.reordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(packets: u32, order: &[u32]) -> Arrivals {
        let mut arrivals = Arrivals::new(packets);
        for sequence in order {
            arrivals.arrived(*sequence);
        }
        arrivals
    }

    #[test]
    fn reordering_counts_the_packets_that_were_overtaken() {
        // By hand, from the definition: one packet, two and three in a row that are overtaken,
        // then the extremes.
        for (order, reordered) in [
            (&[0, 1, 2, 4, 5, 6, 7, 3, 8, 9][..], 1),
            (&[0, 1, 2, 3, 6, 4, 5, 7, 8, 9][..], 2),
            (&[0, 1, 2, 6, 7, 8, 9, 3, 4, 5, 10][..], 3),
            (&[0, 1, 2, 3, 4][..], 0),
            (&[4, 3, 2, 1, 0][..], 4),
            (&[0, 2, 4][..], 0),
        ] {
            assert_eq!(run(11, order).reordered(), reordered, "{order:?}");
        }
    }

    #[test]
    fn a_second_copy_is_a_duplicate_and_never_reordered() {
        let arrivals = run(4, &[0, 0, 2, 0, 1, 2]);
        assert_eq!(arrivals.duplicates(), 3);
        assert_eq!(arrivals.reordered(), 1);
        assert_eq!(arrivals.received(), 3);
        assert!(arrivals.has(1) && !arrivals.has(3));
    }

    #[test]
    fn a_sequence_number_outside_the_run_changes_nothing() {
        let mut arrivals = Arrivals::new(64);
        assert_eq!(arrivals.arrived(64), Arrival::Unknown);
        assert_eq!(arrivals.arrived(u32::MAX), Arrival::Unknown);
        assert_eq!(arrivals.received(), 0);
        assert!(!arrivals.has(64));
    }

    proptest! {
        #[test]
        fn every_arrival_is_counted_once(order in prop::collection::vec(0_u32..150, 0..400)) {
            let mut arrivals = Arrivals::new(100);
            let mut counts = [0_u64; 4];
            for sequence in &order {
                counts[arrivals.arrived(*sequence) as usize] += 1;
            }
            prop_assert_eq!(counts.iter().sum::<u64>(), order.len() as u64);
            prop_assert_eq!(counts[0] + counts[1], u64::from(arrivals.received()));
            prop_assert_eq!(counts[1], u64::from(arrivals.reordered()));
            prop_assert_eq!(counts[2], arrivals.duplicates());
            let distinct = (0..100).filter(|sequence| order.contains(sequence)).count();
            prop_assert_eq!(distinct, arrivals.received() as usize);
        }
    }
}
