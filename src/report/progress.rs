//! Notes in, a bar on the terminal out: for who waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::{Note, Reader, plain};
use crate::case::Incident;

/// Work that is over sooner is not worth a line that flickers.
const PATIENCE: Duration = Duration::from_secs(1);
/// Columns of the message: with the bar and the counts, one line of 80.
const MESSAGE_COLUMNS: usize = 48;

/// A bar on standard error, while it is a terminal and once the work has lasted over a second.
///
/// It draws itself while a stage waits for the outside, and leaves nothing behind when it is dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// What is done now. Not the bar's own message: that one would show at once.
    doing: Arc<Mutex<String>>,
    opened: u64,
}

impl Progress {
    /// Begins, with what is done first: "reading the cluster".
    pub fn start(what: &str) -> Self {
        Self::on(ProgressDrawTarget::stderr(), what)
    }

    fn on(target: ProgressDrawTarget, what: &str) -> Self {
        let doing = Arc::new(Mutex::new(String::new()));
        let bar = ProgressBar::with_draw_target(None, target).with_style(style(Arc::clone(&doing)));
        let progress = Self { bar, doing, opened: 0 };
        progress.say(what);
        if !progress.bar.is_hidden() {
            progress.bar.enable_steady_tick(Duration::from_millis(100));
        }
        progress
    }

    /// What is done now, outside of any incident.
    pub fn say(&self, what: &str) {
        let what = plain::cut(&plain::inline(what), MESSAGE_COLUMNS).into_owned();
        *self.doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// How many incidents there are, once that is known.
    pub fn expect(&self, incidents: usize) {
        self.bar.set_length(incidents as u64);
    }

    /// Takes the bar away. Dropping does the same.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Reader for Progress {
    fn opened(&mut self, incident: &Incident) {
        // An incident counts as done when the next begins.
        self.bar.set_position(self.opened);
        self.opened += 1;
        self.say(&format!("{}: {}", incident.first().workload, incident.failure));
    }

    fn noted(&mut self, incident: &Incident, note: &Note) {
        // What a note says is done; what takes time is what comes after it.
        let next = match note {
            Note::Question(_) => "asking the model",
            Note::Policy(_) => "gathering evidence",
            Note::Evidence(_) => "diagnosing",
            Note::Diagnosis(_) => "locating",
            Note::Locations(_) => "proposing",
            Note::Proposal(_) => "checking",
            Note::Verdict(_) | Note::Declined(_) => "writing",
            Note::Request(_) => "publishing",
            Note::Receipt(_) => "done",
        };
        self.say(&format!("{}: {next}", incident.first().workload));
    }
}

/// Empty until patience runs out; an empty bar is not drawn.
fn style(doing: Arc<Mutex<String>>) -> ProgressStyle {
    let line = move |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        if state.elapsed() >= PATIENCE {
            let doing = doing.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = write!(out, "{} {doing}", bar(state.pos(), state.len(), state.elapsed()));
        }
    };
    ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_spinner()).with_key("line", line)
}

/// `[#####---------------] 3/12`, or the seconds while it is not known how much there is.
fn bar(done: u64, all: Option<u64>, elapsed: Duration) -> String {
    const CELLS: u64 = 20;
    match all {
        Some(all) if all > 0 => {
            let done = done.min(all);
            let filled = usize::try_from(done * CELLS / all).unwrap_or_default();
            format!("[{:-<20}] {done}/{all}", "#".repeat(filled))
        }
        _ => format!("[{}s]", elapsed.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Declined, FailureId, Finding, ObjectRef};

    #[test]
    fn a_bar_fills_and_never_overflows() {
        assert_eq!(bar(3, Some(12), PATIENCE), "[#####---------------] 3/12");
        assert_eq!(bar(20, Some(12), PATIENCE), "[####################] 12/12");
        assert_eq!(bar(0, None, Duration::from_secs(4)), "[4s]");
    }

    #[test]
    fn a_note_tells_what_comes_after_it() {
        let finding = Finding {
            failure: FailureId("oom-killed"),
            workload: ObjectRef::new("apps/v1", "Deployment", Some("shop"), "web\x1b[2J"),
            container: None,
            symptom: String::new(),
            since: None,
            pods: Vec::new(),
            shared: None,
        };
        let incident = Incident { failure: finding.failure, findings: vec![finding], shared: None };
        let mut progress = Progress::on(ProgressDrawTarget::hidden(), "reading the cluster");
        progress.expect(2);
        assert_eq!(*progress.doing.lock().unwrap(), "reading the cluster");
        progress.opened(&incident);
        progress.noted(&incident, &Note::Declined(Declined::Denied(Vec::new())));
        assert_eq!(*progress.doing.lock().unwrap(), "Deployment shop/web␛[2J: writing");
        progress.opened(&incident);
        assert_eq!(progress.bar.position(), 1);
    }
}
