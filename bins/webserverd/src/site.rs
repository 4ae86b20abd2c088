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

use crate::auth::{self, Auth, Verdict};
use crate::coding::{self, Coding};
use crate::compress::Compressor;
use crate::document::is_worth_coding;
use crate::files::{self, Found, Identity};
use crate::listing::{self, Form, ListError, Lister};
use crate::memory::{Clock, Memory};
use crate::responsiveness::{self, Part};
use crate::rules::Rules;
use crate::rules::cors::{self, Cors};
use crate::stored::{Choice, Sidecars, Stored};
use crate::{answer, page};

/// What stands for a folder.
const INDEX: &str = "index.html";
/// What stands for everything that is missing.
const MISSING: &str = "/404.html";
/// What stands for everything that cannot be answered now.
const UNAVAILABLE: &str = "/50x.html";
/// How often a file that is being changed is read again before the client is told to come back.
const READ_TRIES: usize = 3;
/// How often a failure to read is told.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);

/// What all workers serve together.
#[derive(Debug)]
pub struct Shared {
    /// The folder, open.
    pub root: Arc<OwnedFd>,
    /// What the operator wants.
    pub rules: Arc<Rules>,
    /// Compresses on the fly.
    pub compressor: Compressor,
    /// Lists folders.
    pub lister: Lister,
    /// Who may ask, if not everybody.
    pub auth: Option<Auth>,
}

impl Shared {
    /// The files below `root`, served by `rules` to those in `auth`.
    pub fn new(root: OwnedFd, rules: Rules, auth: Option<Auth>) -> Shared {
        Shared {
            root: Arc::new(root),
            rules: Arc::new(rules),
            compressor: Compressor::default(),
            lister: Lister::default(),
            auth,
        }
    }
}

/// The site as one worker serves it.
#[derive(Debug)]
pub struct Site {
    shared: Arc<Shared>,
    memory: Memory,
    complained: Cell<Option<Instant>>,
}

enum Opened {
    File(Rc<Stored>),
    /// A folder without an index, open.
    Folder(OwnedFd),
    /// A folder that was asked for without its slash.
    Redirect,
    Nothing,
    Refused,
}

impl Site {
    /// What `shared` says, with a memory of this worker's own.
    pub fn new(shared: Arc<Shared>) -> Site {
        Site {
            shared,
            memory: Memory::default(),
            complained: Cell::new(None),
        }
    }

    fn rules(&self) -> &Arc<Rules> {
        &self.shared.rules
    }

    /// The answer to who may not ask.
    async fn refuse(&self, request: &Request<'_>) -> Option<Response> {
        let (head, rules) = (request.head, self.rules());
        let auth = self.shared.auth.as_ref()?;
        // A browser asks so without credentials, even where it will send them.
        let is_preflight = rules.cors != Cors::Nobody && cors::is_preflight(&head.fields);
        if head.method == Method::Options && is_preflight {
            return None;
        }
        let refusal = match auth
            .judge(&head.fields, request.client.ip(), request.now)
            .await
        {
            Verdict::Right => return None,
            Verdict::Wrong => {
                let cause = "a name and a password are needed";
                page::error(rules, StatusCode::UNAUTHORIZED, cause)
                    .with_field("WWW-Authenticate", auth::CHALLENGE)
            }
            Verdict::Busy => {
                let cause = "too many passwords wait to be verified";
                return Some(page::come_back(rules, cause));
            }
        };
        Some(refusal.unwrap_or_else(|refused| page::broken(&refused)))
    }

    async fn answer(&self, request: &Request<'_>) -> Response {
        let (head, rules) = (request.head, self.rules());
        match (head.method, head.target) {
            (
                Method::Get | Method::Head,
                Target::Origin { path, .. } | Target::Absolute { path, .. },
            ) => self.get(request, path).await,
            (Method::Options, _) => rules
                .cors
                .preflight(&head.fields, page::options(rules))
                .unwrap_or_else(|refused| page::broken(&refused)),
            (Method::Other(_), _) => page::error(
                rules,
                StatusCode::NOT_IMPLEMENTED,
                "this server does not know the method",
            ),
            _ => page::method_not_allowed(rules),
        }
    }

    async fn get(&self, request: &Request<'_>, path: &str) -> Response {
        let (rules, now) = (self.rules(), Clock::of(request));
        let decoded = match file_path(path) {
            Ok(decoded) => decoded,
            Err(error) => {
                let cause = error.to_string();
                return page::error(rules, StatusCode::BAD_REQUEST, &cause).and_close();
            }
        };
        match self.open(&decoded, now) {
            Ok(Opened::File(stored)) => self.represent(&decoded, &stored, request).await,
            Ok(Opened::Redirect) => page::to_folder(rules, path, request.head.target.query()),
            Ok(Opened::Folder(folder)) if rules.listing => {
                self.list(folder, &decoded, request).await
            }
            Ok(Opened::Nothing | Opened::Folder(_)) => self.missing(&decoded, request).await,
            Ok(Opened::Refused) => {
                let cause = "this file may not be read";
                page::error(rules, StatusCode::FORBIDDEN, cause)
            }
            Err(error) => self.unavailable(&error, now),
        }
    }

    /// Answers with the coding of a file that the request takes (RFC 9110 §12.5.3).
    async fn represent(&self, path: &str, stored: &Rc<Stored>, request: &Request<'_>) -> Response {
        let (rules, now) = (self.rules(), Clock::of(request));
        if !stored.varies() {
            return answer::file(stored.plain(), request, rules);
        }
        let mut preference = coding::preference(&request.head.fields);
        let is_busy = loop {
            let coding = match stored.choose(&preference) {
                Choice::Ready(selected) => return answer::file(selected, request, rules),
                Choice::Compress(coding) => coding,
                Choice::Nothing => break false,
            };
            let (content, identity) = (&stored.plain().content, stored.identity());
            let compressor = &self.shared.compressor;
            let kept = match compressor.compress(content, identity, coding).await {
                Ok(compressed) => self.memory.grow(path, stored, |stored| {
                    stored.keep(coding, compressed, rules, now)
                }),
                Err(error) => Err(io::Error::other(error)),
            };
            match kept {
                Ok(()) => {}
                Err(_) if preference.len() > 1 => {
                    preference.retain(|wanted| *wanted != Some(coding));
                }
                Err(_) => break true,
            }
        };
        let (status, cause) = if is_busy {
            let cause = "the file cannot be compressed now, and is not wanted otherwise";
            (StatusCode::SERVICE_UNAVAILABLE, cause)
        } else {
            let cause = "the file is not to be had in a coding that is accepted";
            (StatusCode::NOT_ACCEPTABLE, cause)
        };
        page::error(rules, status, cause)
            .with_field("Vary", "Accept-Encoding")
            .unwrap_or_else(|refused| page::broken(&refused))
    }

    async fn list(&self, folder: OwnedFd, path: &str, request: &Request<'_>) -> Response {
        let (root, rules) = (Arc::clone(&self.shared.root), self.rules());
        let (lister, form) = (&self.shared.lister, Form::wanted(request));
        match lister.list(root, folder, path, rules.visible, form).await {
            Ok(text) => listing::answer(form, text, rules),
            Err(busy @ ListError::Busy) => page::come_back(rules, &busy.to_string()),
            Err(ListError::Io(error)) => self.unavailable(&error, Clock::of(request)),
        }
    }

    /// Answers with what stands for a page that is missing: that of an application that makes its
    /// own addresses, the site's own page that says so, or a plain one.
    async fn missing(&self, path: &str, request: &Request<'_>) -> Response {
        let (rules, now) = (self.rules(), Clock::of(request));
        if let Some(fallback) = &rules.fallback
            && !names_a_known_type(path)
            && let Some(stored) = self.page(fallback, now)
        {
            return self.represent(fallback, &stored, request).await;
        }
        let (status, cause) = (StatusCode::NOT_FOUND, "there is nothing at this address");
        match self.page(MISSING, now) {
            Some(page) => page::of_site(rules, status, page.plain()),
            None => page::error(rules, status, cause),
        }
    }

    /// One of the site's own pages, if there is one: asked for often where much is missing.
    fn page(&self, path: &str, now: Clock) -> Option<Rc<Stored>> {
        let known = self.memory.fresh(path, now.monotonic);
        let known = known.filter(|stored| stored.plain().content.stands());
        known.or_else(|| match self.open(path, now) {
            Ok(Opened::File(stored)) => Some(stored),
            _ => None,
        })
    }

    /// Answers what cannot be answered now, and says why in the log.
    fn unavailable(&self, error: &io::Error, now: Clock) -> Response {
        // It may be for want of descriptors, and this is where they are.
        self.memory.clear();
        self.complain(error, now.monotonic);
        let (rules, status) = (self.rules(), StatusCode::SERVICE_UNAVAILABLE);
        match self.page(UNAVAILABLE, now) {
            Some(page) => page::of_site(rules, status, page.plain()),
            None => page::error(rules, status, "the file cannot be read now"),
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

    /// Opens what `decoded` names, and remembers it.
    fn open(&self, decoded: &str, now: Clock) -> io::Result<Opened> {
        for _ in 0..READ_TRIES {
            let (name, found) = self.find(decoded)?;
            let Found::File(file, identity) = found else {
                self.memory.forget(decoded);
                return Ok(match found {
                    Found::Folder(folder) if decoded.ends_with('/') => Opened::Folder(folder),
                    Found::Folder(_) => Opened::Redirect,
                    Found::Refused => Opened::Refused,
                    _ => Opened::Nothing,
                });
            };
            let sidecars = self.sidecars(&name, &identity);
            let known = self
                .memory
                .confirm(decoded, &identity, &sidecars, now.monotonic);
            if let Some(stored) = known {
                return Ok(Opened::File(stored));
            }
            let read = Stored::read(&name, (file, identity), sidecars, self.rules(), now)?;
            if let Some(stored) = read {
                let stored = Rc::new(stored);
                self.memory.remember(decoded, Rc::clone(&stored));
                return Ok(Opened::File(stored));
            }
        }
        Err(io::Error::other("it changes while it is read"))
    }

    /// What `decoded` names, with its index in the place of a folder.
    fn find<'n>(&self, decoded: &'n str) -> io::Result<(Cow<'n, str>, Found)> {
        let (root, visible) = (self.shared.root.as_fd(), self.rules().visible);
        let found = files::find(root, decoded, visible)?;
        if matches!(found, Found::Folder(_)) && decoded.ends_with('/') {
            let index = format!("{decoded}{INDEX}");
            let of_index = files::find(root, &index, visible)?;
            if matches!(of_index, Found::File(..) | Found::Refused) {
                return Ok((Cow::Owned(index), of_index));
            }
        }
        Ok((Cow::Borrowed(decoded), found))
    }

    /// The coded files beside the file `name`. One that is older than the file is of another state
    /// of it; whole seconds are compared, as not every tool that compresses copies the rest. One
    /// that cannot be opened is not there: the file itself still is.
    fn sidecars(&self, name: &str, identity: &Identity) -> Sidecars {
        let mut sidecars = [const { None }; 3];
        if !is_worth_coding(name) {
            return sidecars;
        }
        let (root, visible) = (self.shared.root.as_fd(), self.rules().visible);
        for (coding, sidecar) in Coding::ALL.into_iter().zip(&mut sidecars) {
            let beside = format!("{name}.{}", coding.extension());
            if let Ok(Found::File(file, state)) = files::find(root, &beside, visible)
                && state.modified.0 >= identity.modified.0
            {
                *sidecar = Some((file, state));
            }
        }
        sidecars
    }
}

/// Whether the last part of a path ends like a file of a type that is known: a script that is
/// missing must not be answered with a page.
fn names_a_known_type(path: &str) -> bool {
    mime_guess::from_path(path).first_raw().is_some()
}

impl Clock {
    fn of(request: &Request<'_>) -> Clock {
        Clock {
            monotonic: request.now,
            unix_seconds: request.unix_seconds,
        }
    }
}

impl Service for Site {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        if !matches!(request.head.method, Method::Get | Method::Head) {
            return None;
        }
        let is_known = |auth: &Auth| auth.knows(&request.head.fields, request.now);
        if !self.shared.auth.as_ref().is_none_or(is_known) {
            return None;
        }
        let decoded = file_path(request.head.target.path()?).ok()?;
        let stored = self.memory.fresh(&decoded, request.now)?;
        let (rules, fields) = (self.rules(), &request.head.fields);
        let selected = if stored.varies() {
            match stored.choose(&coding::preference(fields)) {
                Choice::Ready(selected) => selected,
                Choice::Compress(_) | Choice::Nothing => return None,
            }
        } else {
            stored.plain()
        };
        if !selected.content.stands() {
            return None;
        }
        rules
            .cors
            .grant(fields, answer::file(selected, request, rules))
            .ok()
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        let rules = self.rules();
        let path = request.head.target.path();
        let part = path.filter(|_| rules.responsiveness).and_then(Part::at);
        let response = match (self.refuse(request).await, part) {
            (Some(refusal), _) => refusal,
            (None, Some(part)) => responsiveness::answer(part, request, body, rules).await,
            (None, None) => self.answer(request).await,
        };
        let granted = self.rules().cors.grant(&request.head.fields, response);
        granted.unwrap_or_else(|refused| page::broken(&refused))
    }

    fn dress(&self, request: &Request<'_>, refusal: Response) -> Response {
        let rules = self.rules();
        let dressed = rules.fields.dress(refusal);
        dressed
            .and_then(|refusal| rules.cors.grant(&request.head.fields, refusal))
            .unwrap_or_else(|refused| page::broken(&refused).and_close())
    }
}
