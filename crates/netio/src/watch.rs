//! The watch of one worker: a coarse clock, and the deadlines of all its connections.
//!
//! A timer for each wait would be armed and disarmed with each request. Here a connection only
//! writes down until when it may wait, and one ticking task looks through the list a few times a
//! second and wakes what is late. The same task keeps the clock (and with it the Date field) and
//! tells everyone when the worker is to stop. It sleeps while no connection is there to watch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netproto::http::date;
use slab::Slab;
use tokio::sync::Notify;

use crate::shutdown::Stop;

/// How often the watch looks: a deadline may pass this much late.
pub const TICK: Duration = Duration::from_millis(200);

/// The length of an IMF-fixdate (RFC 9110 §5.6.7).
pub const DATE_BYTES: usize = 29;

/// The clock and the deadlines of one worker.
#[derive(Debug)]
pub struct Watch {
    now: Cell<Instant>,
    unix_seconds: Cell<u64>,
    date: Cell<[u8; DATE_BYTES]>,
    posts: RefCell<Slab<Post>>,
    stopping: Cell<bool>,
    /// How many tasks may still take posts.
    gates: Cell<usize>,
    /// Wakes the ticking task when the first post is taken.
    first_post: Notify,
}

#[derive(Debug)]
struct Post {
    deadline: Option<Instant>,
    waker: Option<Waker>,
}

impl Watch {
    /// A watch that [`Watch::keep`] must run for.
    pub fn new() -> Rc<Watch> {
        let watch = Rc::new(Watch {
            now: Cell::new(Instant::now()),
            unix_seconds: Cell::new(0),
            date: Cell::new([0; DATE_BYTES]),
            posts: RefCell::new(Slab::new()),
            stopping: Cell::new(false),
            gates: Cell::new(0),
            first_post: Notify::new(),
        });
        watch.look_at_clock();
        watch
    }

    /// Ticks until `stop` is requested, then wakes every post and ticks on until the last is gone
    /// and every gate is closed.
    pub async fn keep(&self, stop: Stop) {
        loop {
            if self.posts.borrow().is_empty() && !self.stopping.get() {
                tokio::select! {
                    () = self.first_post.notified() => {}
                    () = stop.requested() => {}
                }
            } else if self.stopping.get() {
                tokio::time::sleep(TICK).await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = stop.requested() => {}
                }
            }
            self.look_at_clock();
            if stop.is_requested() && !self.stopping.replace(true) {
                self.wake_if(|_| true);
            }
            let now = self.now();
            self.wake_if(|post| post.deadline.is_some_and(|deadline| deadline <= now));
            if self.stopping.get() && self.gates.get() == 0 && self.posts.borrow().is_empty() {
                return;
            }
        }
    }

    /// The time at the last tick: at most [`TICK`] old while anything is watched.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// Wall-clock seconds since 1970 at the last tick; it only labels what is sent and stored.
    pub fn unix_seconds(&self) -> u64 {
        self.unix_seconds.get()
    }

    /// The value of a Date field (RFC 9110 §6.6.1), rendered once a second.
    pub fn date(&self) -> [u8; DATE_BYTES] {
        self.date.get()
    }

    /// Whether the worker is to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// How many posts are held.
    pub fn len(&self) -> usize {
        self.posts.borrow().len()
    }

    /// Whether no post is held.
    pub fn is_empty(&self) -> bool {
        self.posts.borrow().is_empty()
    }

    /// Takes a post: a place in the list that one connection holds as long as it lives.
    pub fn post(self: &Rc<Self>) -> Sentry {
        if self.posts.borrow().is_empty() {
            self.look_at_clock();
            self.first_post.notify_one();
        }
        let key = self.posts.borrow_mut().insert(Post {
            deadline: None,
            waker: None,
        });
        Sentry {
            watch: Rc::clone(self),
            key,
        }
    }

    /// Opens a gate: while it is held, connections may still come, so the watch goes on.
    pub fn gate(self: &Rc<Self>) -> Gate {
        self.gates.set(self.gates.get() + 1);
        Gate {
            watch: Rc::clone(self),
        }
    }

    fn look_at_clock(&self) {
        self.now.set(Instant::now());
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_secs());
        if self.unix_seconds.replace(seconds) != seconds {
            self.date.set(date::write(seconds));
        }
    }

    fn wake_if(&self, is_due: impl Fn(&Post) -> bool) {
        // Waking only marks a task as ready; none runs, and so none touches the list, in here.
        for (_, post) in self.posts.borrow_mut().iter_mut() {
            if is_due(post)
                && let Some(waker) = post.waker.take()
            {
                waker.wake();
            }
        }
    }
}

/// Held by a listener as long as it may bring connections.
#[derive(Debug)]
pub struct Gate {
    watch: Rc<Watch>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.watch.gates.set(self.watch.gates.get() - 1);
    }
}

/// One connection's place in a [`Watch`]; left when it is dropped.
#[derive(Debug)]
pub struct Sentry {
    watch: Rc<Watch>,
    key: usize,
}

impl Sentry {
    /// The watch it stands in.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Sets until when the next waits may last, counted from the last tick.
    pub fn allow(&self, patience: Duration) {
        self.watch.posts.borrow_mut()[self.key].deadline = Some(self.watch.now() + patience);
    }

    /// Whether the deadline has passed.
    pub fn is_late(&self) -> bool {
        let deadline = self.watch.posts.borrow()[self.key].deadline;
        deadline.is_some_and(|deadline| deadline <= self.watch.now())
    }

    /// Called by a future that is about to wait: it will be woken when the deadline passes and when
    /// stopping begins.
    pub fn wake_later(&self, context: &Context<'_>) {
        let mut posts = self.watch.posts.borrow_mut();
        let post = &mut posts[self.key];
        if !post
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(context.waker()))
        {
            post.waker = Some(context.waker().clone());
        }
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        self.watch.posts.borrow_mut().remove(self.key);
    }
}
