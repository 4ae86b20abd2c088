//! What the admin endpoint shows of the proxy, and lets be changed: [`status`] is its part of
//! /status.json, [`impairment`] the faults that datagrams meet, [`stored`] what the cache holds;
//! `api/openapi.json` of this package describes it all.

mod impairment;
mod status;
mod stored;

use std::sync::Arc;

use netio::admin::Panel;

use crate::cache::fill::flight::Flights;
use crate::cache::store::Store;
use crate::impair::live::Live;
use crate::metrics::{self, Counters};
use crate::proxy::share::Landing;
use crate::upstream::origins::Origins;

/// Everything that it works with.
pub(crate) struct Shown {
    /// What each worker counts.
    pub(crate) workers: Arc<[Arc<Counters>]>,
    pub(crate) store: Arc<Store>,
    pub(crate) flights: Arc<Flights<Landing>>,
    pub(crate) live: Arc<Live>,
    pub(crate) origins: Arc<Origins>,
}

/// The pages of the endpoint.
pub(crate) fn panel(shown: &Shown) -> Panel {
    let metrics = metrics::of(shown);
    let mut panel = Panel::new("proxyd", env!("CARGO_PKG_VERSION"), metrics);
    status::add(&mut panel, shown);
    impairment::add(&mut panel, &shown.live);
    stored::add(&mut panel, shown);
    panel
}
