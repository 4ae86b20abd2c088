//! What the server answers: from memory at once, else from the disk.

use std::borrow::Cow;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::http::body::RequestBody;
use netio::http::response::Response;
use netio::http::server::{Request, Service};
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::target::{Target, file_path};
use tracing::warn;

use crate::answer;
use crate::files::{self, Found};
use crate::memory::{Clock, Memory, Stored};

/// What stands for a folder.
const INDEX: &str = "index.html";
/// What stands for everything that is missing.
const MISSING: &str = "/404.html";
/// How often a file that is being changed is read again before the client is told to come back.
const READ_TRIES: usize = 3;

/// How often a failure to read is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

/// The site as one worker serves it.
#[derive(Debug)]
pub struct Site {
    root: Arc<OwnedFd>,
    memory: Memory,
    complained: Cell<Option<Instant>>,
}

impl Site {
    /// The files below `root`.
    pub fn new(root: Arc<OwnedFd>) -> Site {
        Site {
            root,
            memory: Memory::default(),
            complained: Cell::new(None),
        }
    }

    fn answer(&self, request: &Request<'_>) -> Response {
        let head = request.head;
        match (head.method, head.target) {
            (
                Method::Get | Method::Head,
                Target::Origin { path, .. } | Target::Absolute { path, .. },
            ) => self.file(request, path),
            (Method::Options, _) => answer::options(),
            (Method::Other(_), _) => answer::error(
                StatusCode::NOT_IMPLEMENTED,
                "this server does not know the method",
            ),
            _ => answer::method_not_allowed(),
        }
    }

    fn file(&self, request: &Request<'_>, path: &str) -> Response {
        let decoded = match file_path(path) {
            Ok(decoded) => decoded,
            Err(error) => {
                return answer::error(StatusCode::BAD_REQUEST, &error.to_string()).and_close();
            }
        };
        match self.open(&decoded, Clock::of(request)) {
            Ok(Opened::File(stored)) => answer::file(&stored, request),
            Ok(Opened::Redirect) => answer::to_folder(path, request.head.target.query()),
            Ok(Opened::Nothing) => self.missing(Clock::of(request)),
            Ok(Opened::Refused) => {
                answer::error(StatusCode::FORBIDDEN, "this file may not be read")
            }
            Err(error) => {
                // It may be for want of descriptors, and this is where they are.
                self.memory.clear();
                self.complain(&error, request.now);
                answer::error(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the file cannot be read now",
                )
            }
        }
    }

    /// Says what is wrong, once in a while: a client could make it a flood.
    fn complain(&self, error: &io::Error, now: Instant) {
        let is_due = |last| now.saturating_duration_since(last) >= COMPLAINT_INTERVAL;
        if self.complained.get().is_none_or(is_due) {
            self.complained.set(Some(now));
            warn!(%error, "cannot read a file");
        }
    }

    /// The site's own page for what is missing, or a plain one.
    fn missing(&self, now: Clock) -> Response {
        match self.open(MISSING, now) {
            Ok(Opened::File(page)) => answer::missing(&page),
            _ => answer::error(StatusCode::NOT_FOUND, "there is nothing at this address"),
        }
    }

    /// Opens what `decoded` names, and remembers it.
    fn open(&self, decoded: &str, now: Clock) -> io::Result<Opened> {
        for _ in 0..READ_TRIES {
            let (name, found) = self.find(decoded)?;
            let Found::File(file, identity) = found else {
                self.memory.forget(decoded);
                return Ok(match found {
                    Found::Folder if !decoded.ends_with('/') => Opened::Redirect,
                    Found::Refused => Opened::Refused,
                    _ => Opened::Nothing,
                });
            };
            if let Some(stored) = self.memory.confirm(decoded, &identity, now.monotonic) {
                return Ok(Opened::File(stored));
            }
            if let Some(stored) = Stored::read(file, identity, &name, now)? {
                return Ok(Opened::File(self.memory.remember(decoded, stored)));
            }
        }
        Err(io::Error::other("it changes while it is read"))
    }

    /// What `decoded` names, with its index in the place of a folder.
    fn find<'n>(&self, decoded: &'n str) -> io::Result<(Cow<'n, str>, Found)> {
        let found = files::find(self.root.as_fd(), decoded)?;
        if matches!(found, Found::Folder) && decoded.ends_with('/') {
            let index = format!("{decoded}{INDEX}");
            let found = files::find(self.root.as_fd(), &index)?;
            return Ok((Cow::Owned(index), found));
        }
        Ok((Cow::Borrowed(decoded), found))
    }
}

impl Clock {
    fn of(request: &Request<'_>) -> Clock {
        Clock {
            monotonic: request.now,
            unix_seconds: request.unix_seconds,
        }
    }
}

enum Opened {
    File(Rc<Stored>),
    /// A folder that was asked for without its slash.
    Redirect,
    Nothing,
    Refused,
}

impl Service for Site {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        if !matches!(request.head.method, Method::Get | Method::Head) {
            return None;
        }
        let decoded = file_path(request.head.target.path()?).ok()?;
        let stored = self.memory.fresh(&decoded, request.now)?;
        Some(answer::file(&stored, request))
    }

    async fn exchange(&self, request: &Request<'_>, _body: &mut RequestBody<'_>) -> Response {
        self.answer(request)
    }
}
