//! A file as it is remembered: as it is, and coded in the ways that were found or asked for.

use std::cell::{Cell, OnceCell};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;

use crate::coding::{Coding, Preference};
use crate::compress::{self, Compressed};
use crate::document::{Document, Source, is_worth_coding};
use crate::files::Identity;
use crate::memory::Clock;
use crate::representation::{Content, Representation};
use crate::rules::Rules;

/// What an entry costs beside its content: its heads, its key and its places in the tables.
const OVERHEAD: u64 = 2 * 1024;
/// What an open file costs: a descriptor is scarcer than memory, and a worker keeps at most 128.
const OPEN_FILE: u64 = crate::memory::CAPACITY / 128;

/// The coded files beside a file, in the order of [`Coding::ALL`].
pub type Sidecars = [Option<(OwnedFd, Identity)>; 3];

/// A file that can be answered with.
#[derive(Debug)]
pub struct Stored {
    plain: Representation,
    /// In the order of [`Coding::ALL`].
    coded: [Coded; 3],
    identity: Identity,
    sidecars: [Option<Identity>; 3],
    /// Whether it and what is beside it had stood for a while when it was read. If not, a change in the same moment may
    /// have left no trace but the bytes.
    is_settled: bool,
    varies: bool,
    name: Box<str>,
    pub(crate) checked: Cell<Instant>,
}

/// One coding of a file.
#[derive(Debug)]
enum Coded {
    /// It is not to be had.
    Never,
    /// A file beside it.
    Beside(Representation),
    /// Compressed when somebody asks for it; `None` if that was of no use.
    OnTheFly(OnceCell<Option<Representation>>),
}

/// What a request gets.
#[derive(Debug)]
pub enum Choice<'s> {
    /// This.
    Ready(&'s Representation),
    /// What is yet to be compressed.
    Compress(Coding),
    /// Nothing that it takes.
    Nothing,
}

/// Which of the files beside one are there, and in which state.
pub fn identities(sidecars: &Sidecars) -> [Option<Identity>; 3] {
    std::array::from_fn(|at| sidecars[at].as_ref().map(|(_, identity)| *identity))
}

impl Stored {
    /// Reads `file`, which is called `name`, and what is beside it. `None` if it is being changed.
    ///
    /// # Errors
    /// The system's own.
    pub fn read(
        name: &str,
        (file, identity): (OwnedFd, Identity),
        sidecars: Sidecars,
        rules: &Arc<Rules>,
        now: Clock,
    ) -> io::Result<Option<Stored>> {
        let Some(content) = Content::read(file, &identity)? else {
            return Ok(None);
        };
        let on_the_fly = rules.compresses
            && (compress::SHORTEST..=compress::LONGEST).contains(&identity.length)
            && is_worth_coding(name);
        let varies = on_the_fly || sidecars.iter().any(Option::is_some);
        let represent = |content, identity: &Identity, coding, length| {
            let source = Source {
                name,
                identity,
                coding,
                length,
                varies,
            };
            let document = Document::of(source, rules, now.unix_seconds);
            let document = document.map_err(io::Error::other)?;
            Ok::<_, io::Error>(Representation { document, content })
        };
        let states = identities(&sidecars);
        let clock = SystemTime::now();
        let is_settled = states
            .iter()
            .flatten()
            .chain([&identity])
            .all(|state| state.is_settled(clock));
        let mut coded = [const { Coded::Never }; 3];
        for (at, sidecar) in sidecars.into_iter().enumerate() {
            if on_the_fly {
                coded[at] = Coded::OnTheFly(OnceCell::new());
            }
            if let Some((file, identity)) = sidecar
                && let Some(content) = Content::read(file, &identity)?
            {
                let coding = Some(Coding::ALL[at]);
                let length = identity.length;
                coded[at] = Coded::Beside(represent(content, &identity, coding, length)?);
            }
        }
        Ok(Some(Stored {
            plain: represent(content, &identity, None, identity.length)?,
            coded,
            identity,
            sidecars: states,
            varies,
            is_settled,
            name: name.into(),
            checked: Cell::new(now.monotonic),
        }))
    }

    /// The file as it is.
    pub fn plain(&self) -> &Representation {
        &self.plain
    }

    /// The state of the file that this was made of.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether what a request gets depends on what codings it takes.
    pub fn varies(&self) -> bool {
        self.varies
    }

    /// Whether the file, found in this state with these beside it, is what this was made of.
    pub fn is(&self, identity: &Identity, sidecars: &Sidecars) -> bool {
        self.is_settled && self.identity == *identity && self.sidecars == identities(sidecars)
    }

    /// What a request that takes `preference` gets.
    pub fn choose(&self, preference: &Preference) -> Choice<'_> {
        for wanted in preference {
            let Some(coding) = wanted else {
                return Choice::Ready(&self.plain);
            };
            match &self.coded[*coding as usize] {
                Coded::Never => {}
                Coded::Beside(representation) => return Choice::Ready(representation),
                Coded::OnTheFly(cell) => match cell.get() {
                    None => return Choice::Compress(*coding),
                    Some(Some(representation)) => return Choice::Ready(representation),
                    Some(None) => {}
                },
            }
        }
        Choice::Nothing
    }

    /// Keeps what compressing it came to.
    ///
    /// # Errors
    /// A field could not be written.
    pub fn keep(
        &self,
        coding: Coding,
        compressed: Compressed,
        rules: &Arc<Rules>,
        now: Clock,
    ) -> io::Result<()> {
        let representation = match compressed {
            Compressed::Useless => None,
            Compressed::Shorter(bytes) => Some(self.coded(coding, bytes, rules, now)?),
        };
        if let Coded::OnTheFly(cell) = &self.coded[coding as usize] {
            // Somebody may have been faster, with the same.
            let _ = cell.set(representation);
        }
        Ok(())
    }

    fn coded(
        &self,
        coding: Coding,
        bytes: Bytes,
        rules: &Arc<Rules>,
        now: Clock,
    ) -> io::Result<Representation> {
        let source = Source {
            name: &self.name,
            identity: &self.identity,
            coding: Some(coding),
            length: bytes.len() as u64,
            varies: true,
        };
        let document = Document::of(source, rules, now.unix_seconds).map_err(io::Error::other)?;
        let content = Content::Held(bytes);
        Ok(Representation { document, content })
    }

    /// What it takes of the memory's bound.
    pub(crate) fn weight(&self) -> u64 {
        let coded = self.coded.iter().filter_map(|coded| match coded {
            Coded::Never => None,
            Coded::Beside(representation) => Some(representation),
            Coded::OnTheFly(cell) => cell.get()?.as_ref(),
        });
        let weight = |representation: &Representation| {
            OVERHEAD
                + match &representation.content {
                    Content::Held(bytes) => bytes.len() as u64,
                    Content::OnDisk(..) => OPEN_FILE,
                }
        };
        weight(&self.plain) + coded.map(weight).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_file_is_taken_for_known_only_if_what_is_beside_it_has_stood_too() {
        let open = |file: File| {
            let file = OwnedFd::from(file);
            let identity = Identity::now(&file).unwrap();
            (file, identity)
        };
        // Both stand: they are as old as the sources.
        let manifest =
            || open(File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap());
        let now = Clock {
            monotonic: Instant::now(),
            unix_seconds: 0,
        };
        for (beside, is_known) in [
            (None, true),
            (Some(manifest()), true),
            (Some(open(tempfile::tempfile().unwrap())), false),
        ] {
            let sidecars = |beside: &Option<(OwnedFd, Identity)>| {
                let copy = beside.as_ref();
                let copy = copy.map(|(file, identity)| (file.try_clone().unwrap(), *identity));
                [None, copy, None]
            };
            let (rules, file) = (Arc::default(), manifest());
            let identity = file.1;
            let stored = Stored::read("a.txt", file, sidecars(&beside), &rules, now);
            let stored = stored.unwrap().unwrap();
            assert_eq!(stored.is(&identity, &sidecars(&beside)), is_known);
        }
    }
}
