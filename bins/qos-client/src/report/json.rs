//! Results for programs: one JSON object on one line of standard output.

use serde::Serialize;

use super::row::Row;
use crate::assertion::Checked;

/// A single test.
#[derive(Debug, Serialize)]
pub struct Single<'a> {
    /// `udp` or `http`.
    pub kind: &'static str,
    /// Its figures, by the names of the CSV columns.
    #[serde(flatten)]
    pub row: &'a Row,
    /// What a reader must know to trust them.
    pub notes: &'a [String],
    /// What was asserted, and whether it held.
    pub assertions: &'a [Checked],
}

/// A test by several clients at once.
#[derive(Debug, Serialize)]
pub struct Several<'a> {
    /// `clients`.
    pub kind: &'static str,
    /// How many took part.
    pub clients: usize,
    /// Jain's index of the UDP throughput of all clients.
    pub fairness_jain: Option<f64>,
    /// One for each client.
    pub rows: &'a [ClientRow<'a>],
    /// What was asserted of every client, and whether it held.
    pub assertions: &'a [Checked],
}

/// One client of several.
#[derive(Debug, Serialize)]
pub struct ClientRow<'a> {
    /// Its figures, by the names of the CSV columns.
    #[serde(flatten)]
    pub row: &'a Row,
    /// What went wrong, if anything did.
    pub errors: &'a [String],
}
