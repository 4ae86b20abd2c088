//! One request and the head of its answer, over one connection. Either side may speak first: an
//! origin may have something to say before the request has come to its end. Once it answers, the
//! rest of the request goes out beside the answer.

use std::time::Duration;

use bytes::Bytes;
use netio::http::body::{ReadBodyError, RequestBody};
use netio::http::client::{Connection, Heard};
use netproto::http::Status;
use netproto::http::body::BodyFraming;
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;

use super::{Answer, Failure, LIMITS, Server};
use crate::fields;

/// How long an origin may think about a body that its client holds back. One that knows nothing of
/// Expect says nothing (RFC 9110 §10.1.1).
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

/// Sends a request, passes on what its origin says meanwhile, and waits for the head of the answer.
pub(super) async fn converse(
    server: &Server,
    connection: Connection,
    head: Bytes,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<Answer, Failure> {
    let mut exchange = Exchange {
        connection,
        method,
        body,
        is_ended: false,
        early: None,
    };
    exchange.connection.push(head);
    let is_in_order = match exchange.send().await {
        Ok(Sent::Whole) => true,
        Ok(Sent::Early) => {
            exchange.hand_over();
            true
        }
        // An origin may have answered before it closed; if not, what follows tells it apart.
        Ok(Sent::Unwanted) | Err(Failure::Broken(_)) => false,
        Err(failure) => return Err(failure),
    };
    let head = loop {
        if let Some(head) = exchange.early.take() {
            break head;
        }
        exchange.hear().await?;
    };
    Ok(Answer {
        server: server.clone(),
        busy: None,
        head,
        connection: exchange.connection,
        is_in_order,
    })
}

/// How much of a request went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// All of it.
    Whole,
    /// A part; the origin answers already, and may want the rest.
    Early,
    /// A part; the origin does not want the rest.
    Unwanted,
}

/// What an origin says before the request was sent to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// Nothing final.
    GoOn,
    /// It has answered: a 2xx, so that it may be reading still.
    Answered,
    /// It refuses the request, or says that it closes (RFC 9112 §9.5).
    Refused,
}

impl Said {
    /// What it means for a request that has not gone out; `None` if that goes on.
    fn ends(self) -> Option<Sent> {
        match self {
            Said::GoOn => None,
            Said::Answered => Some(Sent::Early),
            Said::Refused => Some(Sent::Unwanted),
        }
    }
}

struct Exchange<'e, 't> {
    connection: Connection,
    method: &'e Method<'e>,
    body: &'e mut RequestBody<'t>,
    /// Whether all of the body is written or waits to be.
    is_ended: bool,
    /// The head of the final answer, once it has come.
    early: Option<Bytes>,
}

impl Exchange<'_, '_> {
    /// Sends the request, as far as the origin has not answered it.
    async fn send(&mut self) -> Result<Sent, Failure> {
        if let Some(sent) = self.flush().await? {
            return Ok(sent);
        }
        if self.body.is_held_back() {
            let thinking = self.connection.answer_begins();
            if let Ok(began) = tokio::time::timeout(CONTINUE_PATIENCE, thinking).await {
                began?;
                // With a final answer, the origin does without the body.
                if self.listen().await? != Said::GoOn {
                    return Ok(Sent::Unwanted);
                }
            }
        }
        let is_chunked = self.is_chunked();
        while !self.body.is_done() || is_chunked {
            let piece = tokio::select! {
                biased;
                began = self.connection.answer_begins() => {
                    began?;
                    match self.listen().await?.ends() {
                        Some(sent) => return Ok(sent),
                        None => continue,
                    }
                }
                piece = self.body.chunk() => piece.map_err(Failure::Client)?,
            };
            self.is_ended = piece.is_none();
            match piece {
                Some(piece) => self.connection.push_piece(piece, is_chunked),
                None => self.connection.push_end(is_chunked),
            }
            if let Some(sent) = self.flush().await? {
                return Ok(sent);
            }
            if self.is_ended {
                break;
            }
        }
        Ok(Sent::Whole)
    }

    fn is_chunked(&self) -> bool {
        self.body.framing() == BodyFraming::Chunked
    }

    /// Has what is left of the request go out while its answer comes.
    fn hand_over(&mut self) {
        let has_rest = !self.is_ended && self.body.framing() != BodyFraming::None;
        let rest = has_rest.then(|| self.body.hand_over());
        let is_chunked = self.is_chunked();
        self.connection.upload(rest, is_chunked);
    }

    /// Writes what is rendered, unless the origin answers before that.
    async fn flush(&mut self) -> Result<Option<Sent>, Failure> {
        while !self.connection.flush_until_answer().await? {
            if let Some(sent) = self.listen().await?.ends() {
                return Ok(Some(sent));
            }
        }
        Ok(None)
    }

    /// Hears what began to come before the request was sent to its end.
    async fn listen(&mut self) -> Result<Said, Failure> {
        loop {
            let said = self.hear().await?;
            if said != Said::GoOn || !self.connection.has_more() {
                return Ok(said);
            }
        }
    }

    /// Hears one head; what is interim is passed on (RFC 9110 §15.2).
    async fn hear(&mut self) -> Result<Said, Failure> {
        let heard = self.connection.next_head(self.method, &LIMITS).await?;
        if heard.is_interim() {
            self.pass_on(&heard).await?;
            return Ok(Said::GoOn);
        }
        let wants_rest = heard.status.is_success() && heard.persistent;
        self.early = Some(heard.head);
        Ok(if wants_rest {
            Said::Answered
        } else {
            Said::Refused
        })
    }

    async fn pass_on(&mut self, heard: &Heard) -> Result<(), Failure> {
        let mut slots = FieldSlots::new();
        let head = match ResponseHead::parse(&heard.head, &mut slots, &LIMITS, self.method) {
            Ok(Status::Complete(head)) => head,
            // The same bytes were a whole head a moment ago.
            Ok(Status::Partial) => return Ok(()),
            Err(error) => return Err(Failure::Malformed(error)),
        };
        // What cannot be written again is left out: no client depends on it.
        let Ok(interim) = fields::interim_head(&head) else {
            return Ok(());
        };
        let told = self.body.tell(&interim).await;
        told.map_err(|error| Failure::Client(ReadBodyError::Broken(error)))
    }
}
