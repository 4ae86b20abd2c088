//! What the operator wants of the site: the same for all workers, and checked before any starts.

pub mod cache_control;
pub mod cors;
pub mod fields;

use crate::files::Visibility;

use self::cache_control::CacheControl;
use self::cors::Cors;
use self::fields::ExtraFields;

/// What is done with files, and said of them.
#[derive(Debug, Default)]
pub struct Rules {
    /// What of the files is shown.
    pub visible: Visibility,
    /// Whether a folder without an index is listed.
    pub listing: bool,
    /// The path of the page that stands for pages that are missing.
    pub fallback: Option<String>,
    /// Whether files are compressed on the fly.
    pub compresses: bool,
    /// How long which answer may be reused.
    pub cache_control: CacheControl,
    /// What stands on every answer.
    pub fields: ExtraFields,
    /// Which other sites may read the answers in a browser.
    pub cors: Cors,
    /// Whether responsiveness tests are answered.
    pub responsiveness: bool,
}
