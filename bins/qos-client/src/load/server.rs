//! What a server offers to be loaded with (draft-ietf-ippm-responsiveness-08, "Responsiveness Test
//! Server Discovery").

use std::time::Duration;

use serde::Deserialize;

use super::plan::{Plan, With};
use crate::http;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

/// Where a server says what it offers (RFC 8615).
const DISCOVERY: &str = "/.well-known/nq";
/// More than any such description has.
const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;
/// The longest that the description may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is asked for beside a load whose server offers nothing small.
const ANYTHING: &str = "/";

/// What to ask for, by path: the host is the target's, whatever the server calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// A small answer.
    pub small: String,
    /// A large one.
    pub download: Option<String>,
    /// Takes uploads.
    pub upload: Option<String>,
}

/// Why there is nothing to load a server with.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It does not answer.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// It has no description.
    #[error(
        "{endpoint} answers {DISCOVERY} with {status}: it offers nothing to load it with; start it \
         with: webserverd --responsiveness, or name a large file with --download"
    )]
    Nothing {
        /// Who was asked.
        endpoint: Endpoint,
        /// 300 to 599.
        status: u16,
    },
    /// The description is not one.
    #[error("{endpoint} has no usable description at {DISCOVERY}: {cause}")]
    Description {
        /// Who was asked.
        endpoint: Endpoint,
        /// What is wrong with it.
        cause: String,
    },
}

/// The description; a member that stands twice makes it invalid, one that is not known does not.
#[derive(Deserialize)]
struct Description {
    version: u32,
    urls: Urls,
}

#[derive(Deserialize)]
struct Urls {
    #[serde(rename = "small_download_url")]
    small: String,
    #[serde(rename = "large_download_url")]
    large: String,
    #[serde(rename = "upload_url")]
    upload: String,
}

/// Finds out what to ask for: what is ordered, else what the server offers. `None` where the load
/// is none of HTTP.
pub fn offer(
    endpoint: &Endpoint,
    plan: &Plan,
    interrupt: &Interrupt,
) -> Result<Option<Paths>, OfferError> {
    if matches!(plan.with(), With::Datagrams(_)) {
        return Ok(None);
    }
    let ordered = Paths {
        small: ANYTHING.to_owned(),
        download: plan.download.clone(),
        upload: plan.upload.clone(),
    };
    let is_ordered = ordered.download.is_some() || ordered.upload.is_some();
    let request = http::Plan {
        path: DISCOVERY.to_owned(),
        timeout: TIMEOUT,
    };
    let (answer, document) =
        http::fetch_document(endpoint, &request, interrupt, MAX_DESCRIPTION_BYTES)?;
    if answer.status != 200 {
        return if is_ordered {
            Ok(Some(ordered))
        } else {
            Err(OfferError::Nothing {
                endpoint: endpoint.clone(),
                status: answer.status,
            })
        };
    }
    let offered = match read(&document) {
        Ok(offered) => offered,
        Err(_) if is_ordered => return Ok(Some(ordered)),
        Err(cause) => {
            return Err(OfferError::Description {
                endpoint: endpoint.clone(),
                cause,
            });
        }
    };
    Ok(Some(Paths {
        small: offered.small,
        download: ordered.download.or(offered.download),
        upload: ordered.upload.or(offered.upload),
    }))
}

/// Reads a description.
fn read(document: &[u8]) -> Result<Paths, String> {
    let description: Description = serde_json::from_slice(document).map_err(|e| e.to_string())?;
    if description.version != 1 {
        return Err(format!("it is of version {}, not 1", description.version));
    }
    let urls = description.urls;
    let (host, small) = split(&urls.small)?;
    let (other, download) = split(&urls.large)?;
    let (third, upload) = split(&urls.upload)?;
    if host != other || host != third {
        return Err("its URLs are of several hosts".to_owned());
    }
    Ok(Paths {
        small,
        download: Some(download),
        upload: Some(upload),
    })
}

/// The authority and the path of a URL.
fn split(url: &str) -> Result<(&str, String), String> {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"))
        .ok_or_else(|| format!("{url:?} is no http URL"))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let plan = http::Plan::default().with_path(path);
    let plan = plan.map_err(|error| error.to_string())?;
    Ok((host, plan.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(small: &str, large: &str, upload: &str) -> String {
        format!(
            r#"{{"version":1,"urls":{{"small_download_url":"{small}","large_download_url":"{large}","upload_url":"{upload}"}},"test_endpoint":"a","more":[1]}}"#
        )
    }

    #[test]
    fn the_paths_are_those_of_the_description() {
        let text = described("https://a.b/s?x=1", "https://a.b/l", "https://a.b");
        let paths = read(text.as_bytes()).unwrap();
        assert_eq!(paths.small, "/s?x=1");
        assert_eq!(paths.download.as_deref(), Some("/l"));
        assert_eq!(paths.upload.as_deref(), Some("/"));
    }

    #[test]
    fn what_is_no_valid_description_is_refused_with_the_reason() {
        let urls = r#""urls":{"small_download_url":"http://a/","large_download_url":"http://a/","upload_url":"http://a/"}"#;
        for (text, reason) in [
            (String::new(), "EOF"),
            ("[]".to_owned(), "invalid"),
            (format!(r#"{{"version":2,{urls}}}"#), "it is of version 2"),
            (
                format!(r#"{{"version":1,"version":1,{urls}}}"#),
                "duplicate",
            ),
            (format!("{{{urls}}}"), "missing field `version`"),
            (
                described("http://a/", "http://b/", "http://a/"),
                "its URLs are of several hosts",
            ),
            (
                described("ftp://a/", "http://a/", "http://a/"),
                "\\\"ftp://a/\\\" is no http URL",
            ),
            (
                described("http://a/ b", "http://a/", "http://a/"),
                "a path begins with /",
            ),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(&reason.replace('\\', "")), "{text}: {error}");
        }
    }
}
