//! Progress for a person who watches: on a terminal's standard error, and nowhere else.

use crate::output::one_line;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use preflight_core::Event;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Bars for the whole run and for each running check.
pub(crate) struct Progress {
    all: MultiProgress,
    total: ProgressBar,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        let total = all.add(ProgressBar::new(0).with_style(style("{bar:24} {pos}/{len} checks {elapsed}")));
        total.tick();
        Self { all, total, running: Mutex::new(BTreeMap::new()) }
    }

    /// Says how many checks there are.
    pub(crate) fn expect(&self, checks: usize) {
        self.total.set_length(checks as u64);
    }

    pub(crate) fn show(&self, teller: &str, event: &Event) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { check, subject } => {
                let bar = self.all.add(ProgressBar::new_spinner().with_style(style("  {spinner} {prefix} {msg}")));
                let name = name(check, subject);
                bar.set_prefix(one_line(&name));
                bar.enable_steady_tick(TICK);
                running.insert(name, bar);
            }
            Event::Ended { result } => {
                if let Some(bar) = running.remove(&name(&result.check, &result.subject)) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
                self.total.inc(1);
            }
            Event::Progress { done, total, what } => {
                if let Some(bar) = running.get(teller) {
                    bar.set_message(one_line(&format!("{what} {done}/{total}")));
                }
            }
            Event::Pin(_) | Event::Measurement { .. } => {}
        }
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        self.total.finish_and_clear();
        // The bars are gone already where nothing is drawn.
        let _ = self.all.clear();
    }
}

/// As a scope names its check.
fn name(check: &str, subject: &str) -> String {
    format!("{check} ({subject})")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
