//! Training as it is watched: bars on a terminal, a line now and then elsewhere.

use crate::session::{Audience, Console, Session, Talk};
use abduce_inference::training::Observer;
use abduce_nn::trainer::{TrainConfig, TrainState};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines of a net where nobody watches.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the epochs of all nets, and passes the wish to stop on to them.
#[derive(Debug)]
pub struct TrainingProgress {
    console: Console,
    stop: Arc<AtomicBool>,
    config: TrainConfig,
    nets: Vec<Mutex<NetProgress>>,
    _bars: MultiProgress,
}

#[derive(Debug)]
struct NetProgress {
    name: String,
    bar: Option<ProgressBar>,
    /// When this process began with the net, and the epochs done before.
    begun: Option<(Instant, usize)>,
    last_line: Instant,
}

impl TrainingProgress {
    /// One line per net.
    pub fn new(session: &Session, config: TrainConfig, names: Vec<String>) -> Self {
        let console = session.console;
        let watched = console.talk == Talk::Normal && console.audience == Audience::Terminal;
        let bars = MultiProgress::with_draw_target(if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
        // The template is a constant of this program; the default style is no worse than a panic.
        let style = ProgressStyle::with_template("{spinner} {prefix:16} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let net = |name: String| {
            let bar = watched.then(|| bars.add(ProgressBar::new_spinner().with_style(style.clone()).with_prefix(name.clone())));
            Mutex::new(NetProgress { name, bar, begun: None, last_line: Instant::now() })
        };
        let nets = names.into_iter().map(net).collect();
        Self { console, stop: Arc::clone(&session.stop), config, nets, _bars: bars }
    }

    /// One epoch in a line: scores in nats, and the least time that is left.
    fn text(&self, state: &TrainState, begun: (Instant, usize)) -> String {
        let progress = &state.progress;
        let epochs = progress.history.len();
        let Some(last) = progress.history.last() else { return String::new() };
        let elapsed = begun.0.elapsed().as_secs_f64();
        let per_epoch = elapsed / (epochs - begun.1).max(1) as f64;
        // The early stop cannot come sooner than this, the limit of epochs not later.
        let until_stop = self.config.stop_after_epochs.saturating_sub(progress.stalled);
        let left = self.config.max_epochs.map_or(until_stop, |max| until_stop.min(max.saturating_sub(epochs)));
        format!(
            "epoch {epochs}  train {:.3}  validation {:.3}  best {:.3}  {}  at least {} left",
            last.train,
            last.validation,
            progress.best_validation().unwrap_or(f64::NAN),
            duration(elapsed),
            duration(per_epoch * left as f64)
        )
    }
}

impl Observer for TrainingProgress {
    fn epoch(&self, net: usize, state: &TrainState) -> ControlFlow<()> {
        if self.console.talk == Talk::Normal {
            let mut shown = self.nets[net].lock().unwrap_or_else(PoisonError::into_inner);
            let epochs = state.progress.history.len();
            let begun = *shown.begun.get_or_insert((Instant::now(), epochs));
            let text = self.text(state, begun);
            match &shown.bar {
                Some(bar) => {
                    bar.set_message(text);
                    bar.tick();
                }
                None if shown.last_line.elapsed() >= LINE_INTERVAL => {
                    self.console.note(format_args!("{}: {text}", shown.name));
                    shown.last_line = Instant::now();
                }
                None => {}
            }
        }
        if self.stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// `8 s`, `2 min 05 s`, `3 h 12 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..60 if seconds < 9.95 => format!("{:.1} s", seconds.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let cases = [(0.04, "0.0 s"), (8.2, "8.2 s"), (59.4, "59 s"), (125.0, "2 min 05 s"), (11_520.0, "3 h 12 min")];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text);
        }
    }
}
