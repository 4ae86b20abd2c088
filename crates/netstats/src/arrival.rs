//! Which sequence numbers arrived, which came twice, which were overtaken.

/// Tells each arrival apart: first, duplicate, reordered. Memory is two bits a sequence number.
///
/// Reordering is RFC 4737 §3.3: a packet whose sequence number is below the next one expected is
/// reordered, and the next expected is one more than the largest seen. Duplicates are RFC 5560's
/// additional copies; they are counted apart and never as reordered.
#[derive(Debug, Clone)]
pub struct Arrivals {
    seen: Bits,
    seen_again: Bits,
    packets: u32,
    next_expected: u32,
    received: u32,
    duplicates: u64,
    replicated: u32,
    reordered: u32,
}

/// One bit for each sequence number.
#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(packets: u32) -> Bits {
        Bits(vec![0; (packets as usize).div_ceil(64)])
    }

    fn has(&self, sequence: u32) -> bool {
        let word = self.0.get(sequence as usize / 64);
        word.is_some_and(|word| word & (1 << (sequence % 64)) != 0)
    }

    /// Sets a bit, and says whether it was not set before.
    fn set(&mut self, sequence: u32) -> bool {
        let bit = 1 << (sequence % 64);
        let Some(word) = self.0.get_mut(sequence as usize / 64) else {
            return false;
        };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
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
            seen: Bits::new(packets),
            seen_again: Bits::new(packets),
            packets,
            next_expected: 0,
            received: 0,
            duplicates: 0,
            replicated: 0,
            reordered: 0,
        }
    }

    /// The next packet to arrive.
    pub fn arrived(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.packets {
            return Arrival::Unknown;
        }
        if !self.seen.set(sequence) {
            self.duplicates += 1;
            self.replicated += u32::from(self.seen_again.set(sequence));
            return Arrival::Duplicate;
        }
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
        sequence < self.packets && self.seen.has(sequence)
    }

    /// Distinct sequence numbers that arrived.
    pub fn received(&self) -> u32 {
        self.received
    }

    /// Further copies that arrived.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Distinct sequence numbers of which further copies arrived: the replicated packets of
    /// RFC 5560 §4.
    pub fn replicated(&self) -> u32 {
        self.replicated
    }

    /// Packets that were overtaken.
    pub fn reordered(&self) -> u32 {
        self.reordered
    }
}

/// How far packets were overtaken: the reordering extent of RFC 4737 §4.2.
///
/// The extent of a reordered packet is the number of arrivals from the earliest one with a larger
/// sequence number to itself: what a receiver must be able to hold to put it back in order. Fed
/// with first copies only.
#[derive(Debug, Clone, Default)]
pub struct ReorderExtent {
    /// Sequence and position of each arrival that was the largest so far: both ascend.
    largest: Vec<(u32, u64)>,
    arrivals: u64,
    longest: u64,
}

impl ReorderExtent {
    /// Before the first arrival.
    pub fn new() -> ReorderExtent {
        ReorderExtent::default()
    }

    /// The next arrival; its extent, or `None` when it was not overtaken.
    pub fn arrived(&mut self, sequence: u32) -> Option<u64> {
        let position = self.arrivals;
        self.arrivals += 1;
        let overtaken_by = self.largest.partition_point(|(seen, _)| *seen <= sequence);
        let Some((_, earliest)) = self.largest.get(overtaken_by) else {
            self.largest.push((sequence, position));
            return None;
        };
        let extent = position - earliest;
        self.longest = self.longest.max(extent);
        Some(extent)
    }

    /// The largest extent; 0 without a reordered packet.
    pub fn longest(&self) -> u64 {
        self.longest
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
        assert_eq!((arrivals.duplicates(), arrivals.replicated()), (3, 2));
        assert_eq!(arrivals.reordered(), 1);
        assert_eq!(arrivals.received(), 3);
        assert!(arrivals.has(1) && !arrivals.has(3));
    }

    #[test]
    fn the_extents_are_those_of_the_tables_of_rfc_4737() {
        // §4.2.3 and the examples of its tables 2 to 4, numbered from one as there.
        for (order, extents) in [
            (&[1, 2, 3, 5, 6, 7, 8, 4, 9, 10][..], &[4][..]),
            (&[1, 2, 3, 4, 7, 5, 6, 8, 9, 10][..], &[1, 2][..]),
            (&[1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11][..], &[4, 5, 6][..]),
            (&[1, 2, 3][..], &[][..]),
        ] {
            let mut extent = ReorderExtent::new();
            let found: Vec<u64> = order.iter().filter_map(|s| extent.arrived(*s)).collect();
            assert_eq!(found, extents, "{order:?}");
            assert_eq!(extent.longest(), extents.last().copied().unwrap_or(0));
        }
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
            let times = |sequence| order.iter().filter(|other| **other == sequence).count();
            let replicated = (0..100).filter(|sequence| times(*sequence) > 1).count();
            prop_assert_eq!(replicated, arrivals.replicated() as usize);
            let distinct = (0..100).filter(|sequence| order.contains(sequence)).count();
            prop_assert_eq!(distinct, arrivals.received() as usize);
        }
    }
}
