//! Which files may be reused from a cache, and for how long.

use globset::{GlobBuilder, GlobSet};
use netproto::http::write::check_field;

/// What is said of a file that no rule names: a cache in front serves the second request itself,
/// and an edited file is seen after a minute.
const DEFAULT: &str = "max-age=60";

/// The rules, in the order given: the first that names a file counts.
#[derive(Debug, Default)]
pub struct CacheControl {
    globs: GlobSet,
    values: Vec<String>,
}

impl CacheControl {
    /// The rules `GLOB=VALUE`.
    ///
    /// # Errors
    /// What is wrong with one of them, and how it would be right.
    pub fn new(rules: &[String]) -> Result<CacheControl, String> {
        let mut globs = GlobSet::builder();
        let mut values = Vec::with_capacity(rules.len());
        for rule in rules {
            let (glob, value) = rule
                .split_once('=')
                .filter(|(glob, value)| !glob.is_empty() && !value.trim().is_empty())
                .ok_or_else(|| {
                    format!("{rule:?} is no GLOB=VALUE; for example '*.css=max-age=3600'")
                })?;
            let value = value.trim();
            check_field("Cache-Control", value.as_bytes())
                .map_err(|error| format!("{rule:?}: {error}"))?;
            let glob = GlobBuilder::new(&anchored(glob))
                .literal_separator(true)
                .build()
                .map_err(|error| format!("{rule:?}: {}", error.kind()))?;
            globs.add(glob);
            values.push(value.to_owned());
        }
        let globs = globs.build().map_err(|error| error.to_string())?;
        Ok(CacheControl { globs, values })
    }

    /// What Cache-Control says of the file `name`, a path below the root.
    pub fn of(&self, name: &str) -> &str {
        let first = self
            .globs
            .matches(name.trim_start_matches('/'))
            .into_iter()
            .min();
        first.map_or(DEFAULT, |first| &self.values[first])
    }
}

/// As people know it from .gitignore: a glob without a slash names files in every folder, one with
/// a slash counts from the root.
fn anchored(glob: &str) -> String {
    match glob.strip_prefix('/') {
        Some(from_root) => from_root.to_owned(),
        None if glob.contains('/') => glob.to_owned(),
        None => format!("**/{glob}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_names_a_file_counts() {
        let rules = [
            "index.html=no-cache",
            "assets/**=public, max-age=31536000, immutable",
            "*.{css,js}=max-age=3600",
            "/top.txt=no-store",
        ];
        let rules = CacheControl::new(&rules.map(str::to_owned)).unwrap();
        for (name, value) in [
            ("/index.html", "no-cache"),
            ("/deep/er/index.html", "no-cache"),
            ("/assets/app.css", "public, max-age=31536000, immutable"),
            ("/assets/deep/er.png", "public, max-age=31536000, immutable"),
            ("/sub/assets/x.png", DEFAULT),
            ("/style.css", "max-age=3600"),
            ("/sub/app.js", "max-age=3600"),
            ("/top.txt", "no-store"),
            ("/sub/top.txt", DEFAULT),
            ("/other.png", DEFAULT),
        ] {
            assert_eq!(rules.of(name), value, "{name}");
        }
        assert_eq!(CacheControl::default().of("/a"), DEFAULT);
    }

    #[test]
    fn a_rule_that_is_none_is_told() {
        for rule in [
            "*.css",
            "=max-age=1",
            "*.css=",
            "*.css= ",
            "[=no-store",
            "*=a\nb",
        ] {
            let refused = CacheControl::new(&[rule.to_owned()]).unwrap_err();
            assert!(refused.contains(&format!("{rule:?}")), "{refused}");
        }
    }
}
