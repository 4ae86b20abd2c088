//! What a client gets when the origin's word cannot be had: what is stored, stale, if the rules allow
//! that.

use std::sync::Arc;
use std::time::Instant;

use netio::http::response::Response;
use netproto::http::cache_status::CacheStatus;
use netproto::http::status::StatusCode;

use super::share::Landing;
use super::{Errand, Proxy};
use crate::answer;
use crate::cache::fill::flight::Lead;
use crate::cache::policy::reuse::{self, Trouble};
use crate::cache::variant::Variant;
use crate::counters::Outcome;
use crate::upstream::{Failure, Unanswered};

/// The answers for which a stale response may stand in (RFC 5861 §4).
const ERRORS: [u16; 4] = [500, 502, 503, 504];

impl Proxy {
    /// Answers though the origin did not, and tells those who wait that it did not.
    pub(super) fn without_answer(
        &self,
        errand: &Errand<'_>,
        unanswered: Unanswered,
        stale: Option<&Variant>,
        lead: Option<Lead<Landing>>,
    ) -> Response {
        let unanswered = Arc::new(unanswered);
        if let Some(lead) = lead {
            lead.tell(Landing::Unanswered(Arc::clone(&unanswered)));
        }
        self.instead_of_failure(errand, &unanswered, stale)
    }

    /// Answers with what is stored, if it may be, else with the failure.
    pub(super) fn instead_of_failure(
        &self,
        errand: &Errand<'_>,
        unanswered: &Unanswered,
        stale: Option<&Variant>,
    ) -> Response {
        trouble_of(&unanswered.failure)
            .and_then(|trouble| self.instead(errand, stale?, trouble, None))
            .inspect(|_| self.counters.failures.add(1))
            .unwrap_or_else(|| self.failed(errand, unanswered))
    }

    /// Answers with what is stored in the place of an answer with this status, if that is an error
    /// and the rules allow it.
    pub(super) fn instead_of(
        &self,
        errand: &Errand<'_>,
        status: StatusCode,
        stale: Option<&Variant>,
    ) -> Option<Response> {
        let is_error = ERRORS.contains(&status.as_u16());
        let stale = stale.filter(|_| is_error)?;
        self.instead(errand, stale, Trouble::Error, Some(status))
    }

    fn instead(
        &self,
        errand: &Errand<'_>,
        stale: &Variant,
        trouble: Trouble,
        status: Option<StatusCode>,
    ) -> Option<Response> {
        let asked = &errand.demands.directives;
        let aged = reuse::instead(&stale.validity, asked, Instant::now(), trouble)?;
        let staleness = aged
            .ttl
            .map_or_else(|over| -over.cast_signed(), u64::cast_signed);
        let detail = match trouble {
            Trouble::Unreachable => "unreachable",
            Trouble::Error => "stale-if-error",
        };
        let said = answer::cache_status(CacheStatus {
            fwd: Some(errand.why),
            fwd_status: status.map(StatusCode::as_u16),
            ttl: Some(staleness),
            detail: Some(detail.into()),
            ..CacheStatus::default()
        });
        self.counters.count(Outcome::Stale);
        let answer = answer::from_store(errand.request, &errand.demands, stale, aged.age, &said);
        Some(answer.labelled(Outcome::Stale.label()))
    }
}

/// What a failure means for what is stored; nothing if it is not the origin's.
fn trouble_of(failure: &Failure) -> Option<Trouble> {
    match failure {
        Failure::Client(_) | Failure::Denied(_) => None,
        Failure::Malformed(_) | Failure::Interim | Failure::Switched => Some(Trouble::Error),
        _ => Some(Trouble::Unreachable),
    }
}
