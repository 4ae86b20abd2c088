//! The flags that say what is done with files, and said of them.

use clap::Args;
use netio::usage::Refusal;

use crate::files::Visibility;
use crate::rules::Rules;
use crate::rules::cache_control::CacheControl;
use crate::rules::cors::Cors;
use crate::rules::fields::ExtraFields;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct ContentArgs {
    /// List a folder without index.html: HTML, or JSON for who asks with Accept: application/json
    #[arg(long, help_heading = "Files")]
    listing: bool,

    /// Answer with this page of the root where a page is missing: applications in one page
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    spa: Option<String>,

    /// Show names that begin with a dot too
    #[arg(long, help_heading = "Files")]
    dotfiles: bool,

    /// Follow symlinks that stay below the root; an absolute one never does
    #[arg(long, help_heading = "Files")]
    follow_symlinks: bool,

    /// Send files as they are, or as the .br, .zst or .gz beside them; compress none on the fly
    #[arg(long, help_heading = "Files")]
    no_compression: bool,

    /// Answer responsiveness tests (draft-ietf-ippm-responsiveness; qos-client load):
    /// /.well-known/nq, downloads of 8 GB, and uploads of any size, which are dropped
    #[arg(long, help_heading = "Files")]
    responsiveness: bool,

    /// Cache-Control of the files that GLOB names [default: max-age=60]; the first that fits counts
    #[arg(long, value_name = "GLOB=VALUE", help_heading = "Fields of answers")]
    cache_control: Vec<String>,

    /// A field on every answer; may be given several times
    #[arg(long, value_name = "NAME: VALUE", help_heading = "Fields of answers")]
    header: Vec<String>,

    /// A site whose scripts may read the answers, * for all; may be given several times
    #[arg(long, value_name = "ORIGIN", help_heading = "Fields of answers")]
    cors: Vec<String>,

    /// Fields that forbid browsers what a page is not meant for: framing by others, the camera, …;
    /// with TLS also Strict-Transport-Security
    #[arg(long, help_heading = "Fields of answers")]
    secure_headers: bool,
}

impl ContentArgs {
    /// What they ask for together, of a site that speaks TLS or not.
    pub(super) fn rules(self, speaks_tls: bool) -> Result<Rules, Refusal> {
        let mistake =
            |flag: &'static str| move |cause: String| Refusal::Mistake(format!("{flag}: {cause}"));
        let mut fields = ExtraFields::new(&self.header).map_err(mistake("--header"))?;
        let cors = Cors::new(&self.cors).map_err(mistake("--cors"))?;
        cors.declare(&mut fields);
        if self.secure_headers {
            if cors != Cors::Nobody {
                // What other sites may read they may also load.
                fields.add("Cross-Origin-Resource-Policy", "cross-origin");
            }
            fields.add_secure(speaks_tls);
        }
        Ok(Rules {
            visible: Visibility {
                dotfiles: self.dotfiles,
                symlinks: self.follow_symlinks,
            },
            listing: self.listing,
            fallback: self
                .spa
                .map(|page| format!("/{}", page.trim_start_matches('/'))),
            compresses: !self.no_compression,
            cache_control: CacheControl::new(&self.cache_control)
                .map_err(mistake("--cache-control"))?,
            fields,
            cors,
            responsiveness: self.responsiveness,
        })
    }
}
