//! The content of a stored response: the whole of it, or parts. It knows bytes and where they stand,
//! not what HTTP says of them.

use bytes::Bytes;
use netproto::http::range::ByteRange;
use smallvec::SmallVec;

/// How many runs of bytes are kept of one response. Beyond that the smallest are given up.
pub const RUNS: usize = 16;

/// What is stored of a content.
#[derive(Debug, Clone)]
pub enum Content {
    /// All of it.
    Whole(Bytes),
    /// Parts of it.
    Parts(Parts),
    /// Nothing of it: HEAD was asked for. Its length, if that was told.
    Nothing(Option<u64>),
}

impl Content {
    /// The bytes that are there.
    pub fn len(&self) -> u64 {
        match self {
            Content::Whole(whole) => whole.len() as u64,
            Content::Parts(parts) => parts.len(),
            Content::Nothing(_) => 0,
        }
    }

    /// Whether no byte is there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that it takes beside its own size.
    pub fn bytes(&self) -> u64 {
        let table = match self {
            Content::Parts(parts) => parts.runs.capacity() * size_of::<Run>(),
            Content::Whole(_) | Content::Nothing(_) => 0,
        };
        self.len() + table as u64
    }

    /// How long the whole is, if that is known.
    pub fn complete(&self) -> Option<u64> {
        match self {
            Content::Whole(whole) => Some(whole.len() as u64),
            Content::Parts(parts) => Some(parts.complete),
            Content::Nothing(length) => *length,
        }
    }

    /// These bytes, in as many pieces as they are kept in; `None` unless all of them are there.
    pub fn slice(&self, range: ByteRange) -> Option<Vec<Bytes>> {
        match self {
            Content::Whole(whole) => {
                let is_there = range.last < whole.len() as u64;
                is_there.then(|| vec![whole.slice(range.first as usize..=range.last as usize)])
            }
            Content::Parts(parts) => parts.slice(range),
            Content::Nothing(_) => None,
        }
    }
}

/// Some runs of the bytes of a content.
#[derive(Debug, Clone)]
pub struct Parts {
    /// How long the whole is.
    complete: u64,
    /// In their order; none overlaps another.
    runs: SmallVec<[Run; 1]>,
}

#[derive(Debug, Clone)]
struct Run {
    first: u64,
    bytes: Bytes,
}

impl Run {
    /// Where the byte behind it stands.
    fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Parts {
    /// One run of a content of `complete` bytes. `None` if it reaches beyond that, or is empty.
    pub fn one(complete: u64, first: u64, bytes: Bytes) -> Option<Parts> {
        let end = first.checked_add(bytes.len() as u64)?;
        (end <= complete && !bytes.is_empty()).then(|| Parts {
            complete,
            runs: SmallVec::from_elem(Run { first, bytes }, 1),
        })
    }

    fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.len() as u64).sum()
    }

    /// What is there with these and the `newer` parts of the same content: the whole, if nothing
    /// lacks. Of both no more than [`RUNS`] runs and `room` bytes are kept, the largest. `join` puts
    /// bytes into one run; where it has no memory for that, they stay apart.
    #[must_use]
    pub fn with(
        &self,
        newer: &Parts,
        room: u64,
        join: impl Fn(&[&[u8]]) -> Option<Bytes>,
    ) -> Content {
        let mut runs: Vec<Run> = self.runs.to_vec();
        for run in &newer.runs {
            runs.extend(lacking(&self.runs, run, &join));
        }
        runs.sort_unstable_by_key(|run| run.first);
        join_alike(&mut runs, &join);
        while runs.len() > RUNS || runs.iter().map(|run| run.len() as u64).sum::<u64>() > room {
            let smallest = (0..runs.len()).min_by_key(|&run| runs[run].len());
            match smallest {
                Some(smallest) => drop(runs.remove(smallest)),
                None => break,
            }
        }
        let is_complete = runs.iter().map(|run| run.len() as u64).sum::<u64>() == self.complete;
        if is_complete {
            let all: Vec<&[u8]> = runs.iter().map(|run| &*run.bytes).collect();
            let whole = match &runs[..] {
                [only] => Some(only.bytes.clone()),
                _ => join(&all),
            };
            if let Some(whole) = whole {
                return Content::Whole(whole);
            }
        }
        Content::Parts(Parts {
            complete: self.complete,
            runs: runs.into(),
        })
    }

    fn slice(&self, range: ByteRange) -> Option<Vec<Bytes>> {
        let mut pieces = Vec::with_capacity(1);
        let (mut at, end) = (range.first, range.last.checked_add(1)?);
        for run in self.runs.iter().filter(|run| run.end() > range.first) {
            if run.first > at {
                return None;
            }
            let from = (at - run.first) as usize;
            let to = (end.min(run.end()) - run.first) as usize;
            pieces.push(run.bytes.slice(from..to));
            at = run.first + to as u64;
            if at == end {
                return Some(pieces);
            }
        }
        None
    }
}

/// What of `new` is not in `runs`. It is copied unless it is all of it, so that a few bytes hold no
/// more memory than they are: the cost is that of receiving them.
fn lacking(runs: &[Run], new: &Run, join: &impl Fn(&[&[u8]]) -> Option<Bytes>) -> Vec<Run> {
    let mut lacking = Vec::new();
    let mut add = |first: u64, end: u64| {
        if first >= end {
            return;
        }
        let wanted = (first - new.first) as usize..(end - new.first) as usize;
        let bytes = if wanted.len() == new.len() {
            Some(new.bytes.clone())
        } else {
            join(&[&new.bytes[wanted]])
        };
        lacking.extend(bytes.map(|bytes| Run { first, bytes }));
    };
    let mut at = new.first;
    for run in runs {
        add(at, run.first.min(new.end()));
        at = at.max(run.end());
    }
    add(at, new.end());
    lacking
}

/// Joins neighbours of which neither is more than twice as long as the other. So a content that
/// comes in many small parts is copied a few times, not once for each of them.
fn join_alike(runs: &mut Vec<Run>, join: &impl Fn(&[&[u8]]) -> Option<Bytes>) {
    let are_alike = |one: &Run, next: &Run| {
        let (short, long) = (one.len().min(next.len()), one.len().max(next.len()));
        one.end() == next.first && long / 2 <= short
    };
    while let Some(at) = (1..runs.len()).find(|&at| are_alike(&runs[at - 1], &runs[at])) {
        let Some(bytes) = join(&[&runs[at - 1].bytes, &runs[at].bytes]) else {
            return;
        };
        runs[at - 1].bytes = bytes;
        runs.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "there may be no room, elsewhere")]
    fn joined(pieces: &[&[u8]]) -> Option<Bytes> {
        Some(pieces.concat().into())
    }

    /// The bytes from `first` to `last` of a content in which each is its own offset.
    fn part(complete: u64, first: u64, last: u64) -> Parts {
        let bytes: Vec<u8> = (first..=last).map(|at| at as u8).collect();
        Parts::one(complete, first, bytes.into()).unwrap()
    }

    fn runs(content: &Content) -> Vec<(u64, u64)> {
        match content {
            Content::Parts(parts) => parts
                .runs
                .iter()
                .map(|run| (run.first, run.end() - 1))
                .collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn parts_that_meet_or_overlap_answer_for_all_between_them() {
        let one = part(100, 10, 19);
        // The part that is added; what is asked for then, and whether it is there.
        let cases = [
            ((20, 29), (15, 24), true),
            ((15, 29), (10, 29), true),
            ((5, 9), (5, 19), true),
            ((5, 30), (5, 30), true),
            ((12, 14), (10, 19), true),
            ((21, 29), (15, 24), false),
            ((21, 29), (20, 20), false),
            ((20, 29), (10, 30), false),
            ((20, 29), (9, 12), false),
        ];
        for ((first, last), (from, to), is_there) in cases {
            let both = one.with(&part(100, first, last), 100, joined);
            let range = ByteRange {
                first: from,
                last: to,
            };
            let found = both.slice(range).map(|pieces| pieces.concat());
            let expected = is_there.then(|| (from as u8..=to as u8).collect::<Vec<u8>>());
            assert_eq!(found, expected, "{first}-{last}, asked for {from}-{to}");
        }
    }

    #[test]
    fn when_nothing_lacks_it_is_the_whole() {
        let begin = part(30, 0, 9).with(&part(30, 20, 29), 30, joined);
        let Content::Parts(two) = begin else {
            panic!("{begin:?}")
        };
        let whole = two.with(&part(30, 8, 21), 30, joined);
        let Content::Whole(bytes) = whole else {
            panic!("{whole:?}")
        };
        assert_eq!(bytes, (0..30).collect::<Vec<u8>>());
    }

    #[test]
    fn without_memory_to_join_them_they_stay_apart_and_answer_all_the_same() {
        let both = part(20, 0, 9).with(&part(20, 10, 19), 20, |_| None);
        assert_eq!(runs(&both), [(0, 9), (10, 19)]);
        let all = both.slice(ByteRange { first: 0, last: 19 }).unwrap();
        assert_eq!(all.concat(), (0..20).collect::<Vec<u8>>());
    }

    #[test]
    fn the_smallest_give_way_where_runs_or_bytes_are_too_many() {
        let mut content = Content::Parts(part(10_000, 0, 1));
        for number in 1..=RUNS as u64 {
            let Content::Parts(parts) = &content else {
                panic!("{content:?}")
            };
            let first = number * 100;
            content = parts.with(&part(10_000, first, first + 2), 10_000, joined);
        }
        let kept = runs(&content);
        assert_eq!((kept.len(), kept[0]), (RUNS, (100, 102)));

        let large = part(10_000, 0, 99).with(&part(10_000, 200, 249), 120, joined);
        assert_eq!(runs(&large), [(0, 99)]);
    }

    #[test]
    fn what_comes_in_small_parts_is_copied_a_few_times_only() {
        const PARTS: u64 = 1000;
        let copied = std::cell::Cell::new(0);
        let counted = |pieces: &[&[u8]]| {
            let joined = pieces.concat();
            copied.set(copied.get() + joined.len());
            Some(Bytes::from(joined))
        };
        let mut content = Content::Parts(part(PARTS + 1, 0, 0));
        for at in 1..PARTS {
            let Content::Parts(parts) = &content else {
                panic!("{content:?}")
            };
            content = parts.with(&part(PARTS + 1, at, at), PARTS, counted);
        }
        assert_eq!(content.len(), PARTS);
        // A thousand times log2(1000), and not half a million.
        assert!(copied.get() < 10_000, "{}", copied.get());
    }

    #[test]
    fn no_run_is_empty_or_reaches_beyond_the_end() {
        assert!(Parts::one(10, 5, Bytes::from_static(b"123456")).is_none());
        assert!(Parts::one(10, u64::MAX, Bytes::from_static(b"1")).is_none());
        assert!(Parts::one(10, 5, Bytes::new()).is_none());
        assert!(Parts::one(10, 5, Bytes::from_static(b"12345")).is_some());
    }
}
