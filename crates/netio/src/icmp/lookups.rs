//! What is asked of slow sources about addresses, beside the probing and never in its way.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long the answer about one address may keep a line of output waiting.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long after the first question a source that has not answered anything yet may keep a line
/// waiting: one that is dead costs no more than this, and two that are dead no more than one.
pub const PATIENCE_WITH_THE_SILENT: Duration = Duration::from_millis(100);
/// How many look-ups may run at once; further addresses go without an answer.
const MOST_LOOKUPS: usize = 64;

/// How many addresses are remembered; further ones go without an answer. A run that goes on for days
/// hears as many as somebody cares to forge.
const MOST_REMEMBERED: usize = 1 << 16;

type Source<T> = Arc<dyn Fn(IpAddr) -> Option<T> + Send + Sync>;

/// Looks addresses up in threads of their own, and remembers the answers.
pub struct Lookups<T> {
    source: Source<T>,
    known: HashMap<IpAddr, Entry<T>>,
    answers: Receiver<(IpAddr, Option<T>)>,
    answer: Sender<(IpAddr, Option<T>)>,
    running: usize,
    /// Whether the source has answered anything.
    alive: bool,
    /// When it was first asked.
    first_asked: Option<Instant>,
}

#[derive(Debug)]
enum Entry<T> {
    Asked { since: Instant },
    Known(Option<T>),
}

impl<T: Send + 'static> Lookups<T> {
    /// Of a source that may take its time over an address.
    pub fn of(source: impl Fn(IpAddr) -> Option<T> + Send + Sync + 'static) -> Lookups<T> {
        let (answer, answers) = channel();
        Lookups {
            source: Arc::new(source),
            known: HashMap::new(),
            answers,
            answer,
            running: 0,
            alive: false,
            first_asked: None,
        }
    }

    /// Starts to look `address` up, unless that was done before.
    pub fn ask(&mut self, address: IpAddr) {
        self.take_answers();
        if self.known.contains_key(&address) || self.known.len() == MOST_REMEMBERED {
            return;
        }
        let (source, answer) = (Arc::clone(&self.source), self.answer.clone());
        let look_up = move || {
            // The other end is gone when the program no longer cares.
            let _ = answer.send((address, source(address)));
        };
        let started = self.running < MOST_LOOKUPS
            && std::thread::Builder::new()
                .name("look-up".to_owned())
                .spawn(look_up)
                .is_ok();
        let entry = if started {
            self.running += 1;
            let since = Instant::now();
            self.first_asked.get_or_insert(since);
            Entry::Asked { since }
        } else {
            Entry::Known(None)
        };
        self.known.insert(address, entry);
    }

    /// What is known of `address`; waits for it as long as patience lasts.
    pub fn wait_for(&mut self, address: IpAddr) -> Option<&T> {
        self.ask(address);
        while let Some(Entry::Asked { since }) = self.known.get(&address) {
            let silent_for = self.first_asked.filter(|_| !self.alive);
            let left = PATIENCE.saturating_sub(since.elapsed());
            let left = match silent_for.map(|since| since.elapsed()) {
                Some(silent) => left.min(PATIENCE_WITH_THE_SILENT.saturating_sub(silent)),
                None => left,
            };
            match self.answers.recv_timeout(left) {
                Ok((address, found)) => self.learn(address, found),
                // A later answer is still learned, for a later line.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.known_of(address)
    }

    /// What is known of `address` by now; asks for it, but does not wait.
    pub fn peek(&mut self, address: IpAddr) -> Option<&T> {
        self.ask(address);
        self.known_of(address)
    }

    fn known_of(&self, address: IpAddr) -> Option<&T> {
        match self.known.get(&address) {
            Some(Entry::Known(found)) => found.as_ref(),
            _ => None,
        }
    }

    fn take_answers(&mut self) {
        while let Ok((address, found)) = self.answers.try_recv() {
            self.learn(address, found);
        }
    }

    fn learn(&mut self, address: IpAddr, found: Option<T>) {
        self.alive = true;
        self.running -= 1;
        self.known.insert(address, Entry::Known(found));
    }
}

impl<T> fmt::Debug for Lookups<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookups")
            .field("known", &self.known.len())
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    #[test]
    fn a_dead_source_costs_its_patience_once_whatever_is_asked() {
        let never = |_| {
            std::thread::sleep(Duration::from_hours(1));
            None::<String>
        };
        let mut lookups = Lookups::of(never);
        let begun = Instant::now();
        for last in 0..32 {
            assert_eq!(lookups.wait_for(address(last)), None);
        }
        let took = begun.elapsed();
        assert!(took >= PATIENCE_WITH_THE_SILENT, "{took:?}");
        // Far from 32 times the patience, however loaded the machine.
        assert!(took < PATIENCE_WITH_THE_SILENT * 16, "{took:?}");
    }

    #[test]
    fn a_source_that_was_silent_while_nobody_waited_is_not_waited_for() {
        let never = |_| {
            std::thread::sleep(Duration::from_hours(1));
            None::<String>
        };
        let [mut names, mut systems] = [Lookups::of(never), Lookups::of(never)];
        names.ask(address(1));
        systems.ask(address(1));
        assert_eq!(names.wait_for(address(1)), None);
        let begun = Instant::now();
        assert_eq!(systems.wait_for(address(1)), None);
        let took = begun.elapsed();
        assert!(took < PATIENCE_WITH_THE_SILENT / 2, "{took:?}");
    }

    #[test]
    fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let mut lookups = Lookups::of(|_| None::<String>);
        for number in 0..MOST_REMEMBERED as u32 {
            let entry = Entry::Known(Some(String::new()));
            lookups
                .known
                .insert(IpAddr::from(number.to_be_bytes()), entry);
        }
        assert_eq!(lookups.wait_for(address(1)), None);
        assert_eq!(lookups.known.len(), MOST_REMEMBERED);
        assert!(lookups.peek(IpAddr::from([0, 0, 0, 1])).is_some());
    }

    #[test]
    fn a_source_that_has_answered_once_is_waited_for() {
        let slow_for_one = |address: IpAddr| {
            if address == IpAddr::from([192, 0, 2, 1]) {
                std::thread::sleep(PATIENCE_WITH_THE_SILENT * 3);
            }
            Some(address.to_string())
        };
        let mut lookups = Lookups::of(slow_for_one);
        assert!(lookups.wait_for(address(9)).is_some());
        assert_eq!(lookups.wait_for(address(1)), Some(&"192.0.2.1".to_owned()));
    }
}
