//! A folder as JSON.

use jiff::Timestamp;
use serde::Serialize;

use super::read::{Entry, Folder};
use super::{address, shown};

#[derive(Serialize)]
struct Listing<'f> {
    path: &'f str,
    /// Whether the folder holds more than is listed.
    truncated: bool,
    entries: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    name: String,
    /// Relative to the folder; null for a name that no address leads to.
    href: Option<String>,
    #[serde(rename = "type")]
    kind: &'static str,
    /// Null for a folder.
    size_bytes: Option<u64>,
    /// RFC 3339, in UTC.
    modified: Option<String>,
}

pub(super) fn write(folder: &Folder) -> String {
    let listing = Listing {
        path: &folder.path,
        truncated: folder.is_cut,
        entries: folder.entries.iter().map(Item::of).collect(),
    };
    // Nothing in it can fail to be written: no map, no number that JSON has not.
    serde_json::to_string_pretty(&listing).map_or_else(|_| String::new(), |text| text + "\n")
}

impl Item {
    fn of(entry: &Entry) -> Item {
        let modified = Timestamp::from_second(entry.modified).ok();
        Item {
            // JSON has escapes of its own; only what is no UTF-8 cannot be told.
            name: str::from_utf8(&entry.name).map_or_else(|_| shown(&entry.name), str::to_owned),
            href: address(entry),
            kind: if entry.is_folder() { "folder" } else { "file" },
            size_bytes: entry.length,
            modified: modified.map(|time| time.to_string()),
        }
    }
}
