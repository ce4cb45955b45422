//! What happened in, numbers for an operator out.
//!
//! Nothing here decides or reads a clock: the edge says what happened and when. Every label has a bound, so a cluster of
//! any size and age makes no more series than a small one.

mod census;
mod meter;
pub mod names;
mod spaces;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::SignedDuration;
use prometheus::core::Collector;
use prometheus::{CounterVec, Encoder, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};

use self::census::Census;
pub use self::meter::Meter;
use self::names::{Kind, Label, Metric};
use self::spaces::Spaces;
use crate::case::{Incident, Timestamp};

/// Namespaces that have series of their own; what is beyond is counted as `other`, as a namespace of that name is.
pub const NAMESPACES: usize = 100;

/// The type of what [`Metrics::text`] gives.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Every number of the process. Shared: all methods take `&self`.
pub struct Metrics {
    registry: Registry,
    counters: BTreeMap<&'static str, CounterVec>,
    gauges: BTreeMap<&'static str, GaugeVec>,
    histograms: BTreeMap<&'static str, HistogramVec>,
    seen: Mutex<(Census, Spaces)>,
    /// Totals that others count are set while this is held, so that no reader sees them half.
    reading: Mutex<()>,
}

impl Default for Metrics {
    fn default() -> Self {
        let (registry, seen, reading) = (Registry::new(), Mutex::default(), Mutex::default());
        let (counters, gauges, histograms) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut metrics = Self { registry, counters, gauges, histograms, seen, reading };
        for metric in names::ALL {
            metrics.register(metric);
        }
        metrics.start();
        metrics
    }
}

impl Metrics {
    fn register(&mut self, metric: &Metric) {
        let labels: Vec<&str> = metric.labels.iter().map(|label| label.name()).collect();
        let made = "the names of metrics are constants, and a test makes them all";
        let add = |registry: &Registry, collector: Box<dyn Collector>| registry.register(collector).expect(made);
        match metric.kind {
            Kind::Counter => {
                let vec = CounterVec::new(Opts::new(metric.name, metric.help), &labels).expect(made);
                add(&self.registry, Box::new(vec.clone()));
                self.counters.insert(metric.name, vec);
            }
            Kind::Gauge => {
                let vec = GaugeVec::new(Opts::new(metric.name, metric.help), &labels).expect(made);
                add(&self.registry, Box::new(vec.clone()));
                self.gauges.insert(metric.name, vec);
            }
            Kind::Histogram(buckets) => {
                let opts = HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec());
                let vec = HistogramVec::new(opts, &labels).expect(made);
                add(&self.registry, Box::new(vec.clone()));
                self.histograms.insert(metric.name, vec);
            }
        }
    }

    /// What can happen and has not is 0 and not absent, so that a rate of it is right from the first time on.
    fn start(&self) {
        for metric in names::ALL {
            let values: Vec<&[&str]> = match metric.labels {
                [] => vec![&[]],
                [Label::One { of, .. }] => of.iter().map(std::slice::from_ref).collect(),
                _ => continue,
            };
            for value in values {
                match metric.kind {
                    Kind::Counter => _ = self.counters[metric.name].with_label_values(value),
                    Kind::Histogram(_) => _ = self.histograms[metric.name].with_label_values(value),
                    // An age that is not known is absent; 0 would be news.
                    Kind::Gauge => {}
                }
            }
        }
    }

    /// Counts one more.
    pub fn count(&self, metric: &Metric, labels: &[&str]) {
        debug_assert!(is_bounded(metric, labels), "{}: {labels:?}", metric.name);
        self.counters[metric.name].with_label_values(labels).inc();
    }

    /// Sets a total that another part counts.
    pub fn total(&self, metric: &Metric, labels: &[&str], total: f64) {
        debug_assert!(is_bounded(metric, labels), "{}: {labels:?}", metric.name);
        let counter = self.counters[metric.name].with_label_values(labels);
        if total < counter.get() {
            counter.reset();
        }
        counter.inc_by(total - counter.get());
    }

    /// Sets what goes up and down.
    pub fn set(&self, metric: &Metric, labels: &[&str], value: f64) {
        debug_assert!(is_bounded(metric, labels), "{}: {labels:?}", metric.name);
        self.gauges[metric.name].with_label_values(labels).set(value);
    }

    /// Sets an age, or takes it away where it is not known.
    pub fn age(&self, metric: &Metric, labels: &[&str], age: Option<SignedDuration>) {
        debug_assert!(is_bounded(metric, labels), "{}: {labels:?}", metric.name);
        let gauge = &self.gauges[metric.name];
        match age {
            Some(age) => gauge.with_label_values(labels).set(age.as_secs_f64().max(0.0)),
            None => _ = gauge.remove_label_values(labels),
        }
    }

    /// Takes note of how long something took, or how large it was.
    pub fn observe(&self, metric: &Metric, labels: &[&str], value: f64) {
        debug_assert!(is_bounded(metric, labels), "{}: {labels:?}", metric.name);
        self.histograms[metric.name].with_label_values(labels).observe(value);
    }

    /// Counts the failures of a look that were not there before.
    pub fn detected(&self, incidents: &[Incident], now: Timestamp) {
        let mut seen = self.seen();
        let (census, spaces) = &mut *seen;
        let counter = &self.counters[names::FAILURES_DETECTED.name];
        for finding in census.new_ones(incidents, now) {
            let place = spaces.place(finding.workload.ns(), now);
            if let Some(gone) = place.instead_of {
                for failure in crate::failures::ALL {
                    _ = counter.remove_label_values(&[&gone, failure.id().0]);
                }
            }
            counter.with_label_values(&[place.label, finding.failure.0]).inc();
        }
    }

    /// The text that Prometheus reads. `fill` sets what is only known now.
    pub fn text(&self, fill: impl FnOnce(&Self)) -> String {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        fill(self);
        let mut text = Vec::new();
        // Writing to memory cannot fail, and the names are checked when they are registered.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// How often something was counted so far.
    pub fn counted(&self, metric: &Metric, labels: &[&str]) -> f64 {
        self.counters[metric.name].with_label_values(labels).get()
    }

    fn seen(&self) -> MutexGuard<'_, (Census, Spaces)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether values are of those that their labels may have.
fn is_bounded(metric: &Metric, labels: &[&str]) -> bool {
    metric.labels.len() == labels.len()
        && metric.labels.iter().zip(labels).all(|(label, value)| match label {
            Label::One { of, .. } => of.contains(value),
            Label::FailureType => crate::failures::by_id(value).is_some(),
            Label::Namespace | Label::Watched | Label::Build(_) => true,
        })
}

#[cfg(test)]
mod tests;
