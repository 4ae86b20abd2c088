//! What outlives a run: the file of `--save`, and what `--compare` says about an earlier one.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::compare::{Comparison, saved};
use crate::config::Config;
use crate::report::json::Ending;
use crate::save::SaveFile;

/// What is to be done with the run when it is over.
#[derive(Debug)]
pub(crate) struct Keeping {
    save: Option<SaveFile>,
    before: Option<saved::Path>,
}

impl Keeping {
    /// As `config` says. A file that cannot be read or written is known before anything is probed.
    pub(crate) fn open(config: &Config) -> Result<Keeping> {
        let read = |path: &PathBuf| saved::read(path);
        Ok(Keeping {
            before: config.compare.as_ref().map(read).transpose()?,
            save: config
                .save
                .as_ref()
                .map(|path| SaveFile::open(path))
                .transpose()?,
        })
    }

    /// Whether the run has to be told a second time, as JSON.
    pub(crate) fn is_wanted(&self) -> bool {
        self.save.is_some() || self.before.is_some()
    }

    /// Saves the run, told as JSON, and holds it against the earlier one; not one that failed.
    pub(crate) fn finish(
        self,
        ending: Ending,
        told: impl FnOnce() -> io::Result<Vec<u8>>,
    ) -> Result<Option<Comparison>> {
        if !self.is_wanted() || ending == Ending::Failed {
            return Ok(None);
        }
        let lines = told().context("cannot keep the trace")?;
        if let Some(save) = self.save {
            save.write(&lines)?;
        }
        let Some(before) = self.before else {
            return Ok(None);
        };
        let now = saved::parse(&lines).context("there is nothing to compare")?;
        Ok(Some(Comparison::of(&before, &now)))
    }
}
