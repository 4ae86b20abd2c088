//! What the daemons count. Each worker has counters of its own, which only it writes, so counting
//! costs no shared cache line; they are added up when somebody asks.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use netproto::http::status::StatusCode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;
use serde::Serialize;

/// A count that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; to be called by the one thread that owns the counter.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0
            .store(self.value().wrapping_add(count), Ordering::Relaxed);
    }

    /// Subtracts, for what is open now; by the same thread.
    #[inline]
    pub fn subtract(&self, count: u64) {
        self.0
            .store(self.value().wrapping_sub(count), Ordering::Relaxed);
    }

    /// The count now.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What adds one counter up over all workers; `part` is the struct that it stands in.
pub fn summing<W, C>(
    workers: &[Arc<W>],
    part: fn(&W) -> &C,
) -> impl Fn(fn(&C) -> &Counter) -> u64 + Clone + use<W, C> {
    let workers: Arc<[Arc<W>]> = workers.into();
    move |of| workers.iter().map(|worker| of(part(worker)).value()).sum()
}

/// Counts of the same name added up, each name at its first place.
pub fn totals(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let mut totals: Vec<(&'static str, u64)> = Vec::new();
    for (name, count) in counts {
        match totals.iter_mut().find(|(known, _)| *known == name) {
            Some((_, total)) => *total += count,
            None => totals.push((name, count)),
        }
    }
    totals
}

/// What one worker's HTTP server counts.
#[derive(Debug, Default)]
pub struct HttpCounters {
    /// Connections accepted.
    pub accepted: Counter,
    /// Times that no connection could be accepted for want of descriptors or memory.
    pub accept_failed: Counter,
    /// Connections open now.
    pub open: Counter,
    /// Connections closed at once, as their client had too many.
    pub turned_away_many: Counter,
    /// Connections closed at once, as their client opened them too fast.
    pub turned_away_fast: Counter,
    /// Requests answered with 403, as their client may not ask.
    pub forbidden: Counter,
    /// Requests answered with 429, as their client asks too fast.
    pub rate_limited: Counter,
    /// Requests refused because they could not be read.
    pub refused: Counter,
    /// Connections ended because a deadline passed.
    pub late: Counter,
    /// Connections whose TLS handshake failed.
    pub tls_failed: Counter,
    /// Connections that broke.
    pub broken: Counter,
    /// Bytes rendered as answers, heads included; streamed bodies are not among them.
    pub bytes_sent: Counter,
    /// Answers by the first digit of their status, 1 to 5.
    answers: [Counter; 5],
}

impl HttpCounters {
    /// Counts one answer.
    #[inline]
    pub fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100);
        if let Some(counter) = class
            .checked_sub(1)
            .and_then(|index| self.answers.get(index))
        {
            counter.add(1);
        }
    }

    /// Answers so far.
    pub fn answers(&self) -> u64 {
        self.answers.iter().map(Counter::value).sum()
    }
}

/// What the HTTP servers of all workers have counted, as /status.json shows it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct HttpTotals {
    connections_open: u64,
    connections_accepted: u64,
    connections_turned_away_many: u64,
    connections_turned_away_fast: u64,
    connections_late: u64,
    connections_broken: u64,
    tls_handshakes_failed: u64,
    accept_failed: u64,
    requests_refused: u64,
    requests_forbidden: u64,
    requests_rate_limited: u64,
    rendered_bytes: u64,
    answers_1xx: u64,
    answers_2xx: u64,
    answers_3xx: u64,
    answers_4xx: u64,
    answers_5xx: u64,
}

impl HttpTotals {
    /// Adds up what the workers have counted so far.
    pub fn of(workers: &[Arc<HttpCounters>]) -> HttpTotals {
        let sum = summing(workers, |http: &HttpCounters| http);
        HttpTotals {
            connections_open: sum(|c| &c.open),
            connections_accepted: sum(|c| &c.accepted),
            connections_turned_away_many: sum(|c| &c.turned_away_many),
            connections_turned_away_fast: sum(|c| &c.turned_away_fast),
            connections_late: sum(|c| &c.late),
            connections_broken: sum(|c| &c.broken),
            tls_handshakes_failed: sum(|c| &c.tls_failed),
            accept_failed: sum(|c| &c.accept_failed),
            requests_refused: sum(|c| &c.refused),
            requests_forbidden: sum(|c| &c.forbidden),
            requests_rate_limited: sum(|c| &c.rate_limited),
            rendered_bytes: sum(|c| &c.bytes_sent),
            answers_1xx: sum(|c| &c.answers[0]),
            answers_2xx: sum(|c| &c.answers[1]),
            answers_3xx: sum(|c| &c.answers[2]),
            answers_4xx: sum(|c| &c.answers[3]),
            answers_5xx: sum(|c| &c.answers[4]),
        }
    }
}

/// A counter's name, its help, and which of the struct's it is.
pub type Row<C> = (&'static str, &'static str, fn(&C) -> &Counter);

/// The figures of a daemon, by the names under which /metrics shows them.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// None yet; every name will begin with `prefix` and an underscore.
    pub fn new(prefix: &str) -> Metrics {
        Metrics(Registry::with_prefix(prefix))
    }

    /// Shows a count that only grows. `read` adds up whatever it is made of.
    pub fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.figure(name, help, MetricType::Counter, move || vec![("", read())]);
    }

    /// Shows a value that rises and falls.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.figure(name, help, MetricType::Gauge, move || vec![("", read())]);
    }

    /// Shows several counters of one struct; `sum` says what each comes to over all workers, as
    /// [`summing`] does.
    pub fn group<C: 'static>(
        &mut self,
        sum: impl Fn(fn(&C) -> &Counter) -> u64 + Clone + Send + Sync + 'static,
        rows: &[Row<C>],
    ) {
        for &(name, help, counter) in rows {
            let sum = sum.clone();
            self.counter(name, help, move || sum(counter));
        }
    }

    /// Shows counts of one name that differ by what `label` says of them.
    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) {
        self.0.register_collector(Box::new(Figure {
            name,
            help,
            kind: MetricType::Counter,
            label: Some(label),
            read: Box::new(read),
        }));
    }

    /// Shows facts that are no numbers, each under its label.
    pub fn info(
        &mut self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(&'static str, String)> + Send + Sync + 'static,
    ) {
        self.0.register_collector(Box::new(Facts {
            name,
            help,
            read: Box::new(read),
        }));
    }

    /// Shows what the HTTP servers of all workers count.
    pub fn http(&mut self, workers: &[Arc<HttpCounters>]) {
        let sum = summing(workers, |http: &HttpCounters| http);
        self.group(
            sum.clone(),
            &[
                ("http_connections_accepted", "Connections accepted", |c| {
                    &c.accepted
                }),
                (
                    "http_accept_failed",
                    "Accepts that failed for want of descriptors",
                    |c| &c.accept_failed,
                ),
                (
                    "http_requests_refused",
                    "Requests that could not be read",
                    |c| &c.refused,
                ),
                (
                    "http_requests_forbidden",
                    "Requests answered with 403, as --allow leaves their client out",
                    |c| &c.forbidden,
                ),
                (
                    "http_requests_rate_limited",
                    "Requests answered with 429, as their client asks too fast",
                    |c| &c.rate_limited,
                ),
                (
                    "http_connections_late",
                    "Connections ended by a deadline",
                    |c| &c.late,
                ),
                ("http_connections_broken", "Connections that broke", |c| {
                    &c.broken
                }),
                (
                    "http_tls_handshakes_failed",
                    "Connections that did not come to speak TLS",
                    |c| &c.tls_failed,
                ),
                (
                    "http_rendered_bytes",
                    "Bytes of answers, but for streamed bodies",
                    |c| &c.bytes_sent,
                ),
            ],
        );
        let open = sum.clone();
        self.gauge("http_connections_open", "Connections open now", move || {
            open(|c| &c.open)
        });
        let turned_away = sum.clone();
        self.counters(
            "http_connections_turned_away",
            "Connections closed at once, by what their client had too much of",
            "reason",
            move || {
                vec![
                    ("client_connections", turned_away(|c| &c.turned_away_many)),
                    ("connection_rate", turned_away(|c| &c.turned_away_fast)),
                ]
            },
        );
        self.counters(
            "http_answers",
            "Answers by the class of their status",
            "class",
            move || {
                vec![
                    ("1xx", sum(|c| &c.answers[0])),
                    ("2xx", sum(|c| &c.answers[1])),
                    ("3xx", sum(|c| &c.answers[2])),
                    ("4xx", sum(|c| &c.answers[3])),
                    ("5xx", sum(|c| &c.answers[4])),
                ]
            },
        );
    }

    /// All of them in the text format that Prometheus reads.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }

    fn figure(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricType,
        read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
    ) {
        let figure = Figure {
            name,
            help,
            kind,
            label: None,
            read: Box::new(read),
        };
        self.0.register_collector(Box::new(figure));
    }
}

struct Figure {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    label: Option<&'static str>,
    read: Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>,
}

impl Collector for Figure {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(self.name, self.help, None, self.kind)?;
        for (value_of_label, value) in (self.read)() {
            match self.label {
                Some(label) => {
                    let labels = [(label, value_of_label)];
                    ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
                }
                None if matches!(self.kind, MetricType::Gauge) => {
                    metric.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?;
                }
                None => metric.encode_counter::<NoLabelSet, _, u64>(&value, None)?,
            }
        }
        Ok(())
    }
}

struct Facts {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> Vec<(&'static str, String)> + Send + Sync>,
}

impl Collector for Facts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        encoder
            .encode_descriptor(self.name, self.help, None, MetricType::Info)?
            .encode_info(&(self.read)())
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figure")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_counts_are_added_up() {
        let workers: Vec<_> = (0..2).map(|_| Arc::new(HttpCounters::default())).collect();
        workers[0].accepted.add(3);
        workers[1].accepted.add(4);
        workers[0].open.add(2);
        workers[0].open.subtract(1);
        workers[1].answered(StatusCode::NOT_FOUND);
        let mut metrics = Metrics::new("lab");
        metrics.http(&workers);
        metrics.info("site", "Where", || vec![("room", "a \"b\"".to_owned())]);
        let page = metrics.render().unwrap();
        for line in [
            "lab_http_connections_accepted_total 7",
            "lab_http_connections_open 1",
            "lab_http_answers_total{class=\"4xx\"} 1",
            r#"lab_site_info{room="a \"b\""} 1"#,
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} not in\n{page}"
            );
        }
    }
}
