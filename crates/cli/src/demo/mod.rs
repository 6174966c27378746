//! The demonstration: a real cluster is protected, lost under load, brought back, loses a table and
//! gets that back too; everything is measured and compared.
//!
//! It does what a person would do, by running this binary's own commands. What it claims it has
//! looked up itself: in the rows, against what clients wrote down outside the database.
//!
//! [`place`] is the directory it happens in and the guard that leaves nothing of it, [`screen`] what
//! is seen of it, [`load`] the work, [`cluster`] PostgreSQL, [`product`] Soter; [`acts`] is the play.

mod acts;
mod cluster;
mod load;
mod measure;
mod place;
mod processes;
mod product;
mod report;
mod screen;

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use soter_world::Stop;
use soter_world::exec::{Command, Signal};

use self::cluster::Installed;
use self::place::{DEFAULT_PARENT, Place};
use self::screen::Screen;
use crate::context::Context;
use crate::failure::{Ending, Failure};

pub(crate) use self::place::guard;
pub(crate) use self::report::{Report, table};

/// How long between two looks at a child, and whether we are to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long a program may take. Filling scale 1000 takes some minutes.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(1800);

/// Bytes of one of pgbench's scale.
const BYTES_PER_SCALE: u64 = 16 << 20;

/// WAL that a server may keep before it begins again with its files.
const WAL_BYTES_MAX: u64 = 1 << 30;

/// How long a state may take to be reached: a base backup under load on a slow disk.
const STATE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long an interrupted program may take to end by itself.
const PROGRAM_END: Duration = Duration::from_secs(5);

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Wishes {
    /// pgbench's scale.
    pub(crate) scale: u32,
    /// How long each stretch of load lasts that is measured.
    pub(crate) load: Duration,
    /// Where to make the directory.
    pub(crate) parent: Option<PathBuf>,
    /// Whether it stays.
    pub(crate) keep: bool,
}

impl Wishes {
    /// Four times the cluster: itself, its WAL, twice recovered. And WAL of the load.
    fn needs_bytes(&self) -> u64 {
        u64::from(self.scale) * 4 * BYTES_PER_SCALE + WAL_BYTES_MAX
    }
}

/// What every act has at hand.
struct Stage<'a> {
    context: &'a Context,
    stop: &'a Stop,
    screen: &'a Screen<'a>,
    place: &'a Place,
    programs: &'a Installed,
    wishes: &'a Wishes,
}

/// Plays it. Whatever happens, no process is left, and no data unless it was asked for.
pub(crate) fn run(context: &Context, wishes: &Wishes, stop: &Stop) -> Result<Report, Failure> {
    let programs = Installed::find(context)?;
    let screen = Screen::new(&context.output, &*context.clock);
    let parent = wishes.parent.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_PARENT));
    let mut place = Place::make(context, &parent, wishes.needs_bytes())?;
    screen.say(&format!(
        "Soter's demonstration, with PostgreSQL {} in {}: a DRILL on a cluster made for it.",
        programs.version(),
        place.root().display()
    ));
    screen.say(if wishes.keep {
        "Processes end with it, the directory stays."
    } else {
        "Nothing else is touched, and nothing of it stays."
    });
    let stage =
        Stage { context, stop, screen: &screen, place: &place, programs: &programs, wishes };
    let played = interruptible(&stage);
    if wishes.keep {
        place.keep()?;
    }
    screen.begin("clearing up");
    let root = place.root().to_owned();
    let left = place.leave();
    if wishes.keep {
        screen.say(&format!("kept: {}", root.display()));
    }
    if stop.is_stopped() {
        left?;
        let what = "interrupted; no process is left";
        let what = if wishes.keep { what.to_owned() } else { format!("{what}, and no data") };
        return Err(Failure::new(Ending::Failed, what).hint("soter demo begins anew"));
    }
    let report = played.map_err(|failure| match failure.hint {
        None => failure.hint("run again with --keep, and look at the logs in its directory"),
        Some(_) => failure,
    })?;
    left?;
    Ok(report)
}

/// Plays the acts. When we are to stop, whatever an act waits for is killed, so that it ends at once.
fn interruptible(stage: &Stage<'_>) -> Result<Report, Failure> {
    let over = Stop::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.wait(LOOK) {
                if stage.stop.is_stopped() {
                    // The guard does it again, and says so if it cannot.
                    processes::kill_below(stage.place.root(), &*stage.context.clock).ok();
                    return;
                }
            }
        });
        // Also when an act panics, or the thread above would wait for ever.
        let _over = StopOnDrop(&over);
        acts::play(stage)
    })
}

/// Stops when it goes away.
struct StopOnDrop<'a>(&'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Stage<'_> {
    /// Runs a program to its end, unless we are to stop. What it printed.
    fn finish(&self, what: &str, command: Command) -> Result<Vec<u8>, Failure> {
        let mut child = command.spawn().map_err(failed("start a program"))?;
        let until = self.context.clock.monotonic() + PROGRAM_TIMEOUT;
        loop {
            if let Some(finished) = child.wait_timeout(LOOK) {
                return product::printed(what, finished);
            }
            if self.stop.is_stopped() || self.context.clock.monotonic() > until {
                child.signal(Signal::Terminate);
                child.wait_timeout(PROGRAM_END);
                return Err(Failure::new(Ending::Failed, format!("{what} took too long")));
            }
        }
    }

    /// Waits for a state, unless we are to stop.
    fn wait(
        &self,
        what: &str,
        mut reached: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let until = self.context.clock.monotonic() + STATE_TIMEOUT;
        while !reached()? {
            if self.context.clock.monotonic() > until {
                return Err(Failure::new(Ending::Failed, format!("gave up waiting until {what}")));
            }
            self.pause(LOOK)?;
        }
        Ok(())
    }

    /// Waits a moment, unless we are to stop.
    fn pause(&self, moment: Duration) -> Result<(), Failure> {
        if self.stop.wait(moment) {
            return Err(Failure::new(Ending::Failed, "interrupted"));
        }
        Ok(())
    }
}

/// An error while something was being done.
fn failed<E: Error + 'static>(doing: &'static str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::of(Ending::Failed, &error).during(doing)
}
