//! `kosmos-lab`: a small KOSMOS of real servers on loopback, for tests and demonstrations of recovery.
//!
//! [`place`] is its directory, [`processes`] who runs in it, [`parts`] what it consists of,
//! [`services`] the two services that are its own, [`kubelet`] what runs them as pods, [`node`] its
//! nodes, [`load`] its users, [`rotate`] a job, [`environment`] what whoever recovers has, [`standin`] programs that steps call, [`target`] how a run finds all this; [`up`], [`status`], [`breaking`] and [`down`] are what one does with it. Nothing of it is
//! part of the product.

mod breaking;
mod down;
mod environment;
mod failure;
mod http;
mod kubelet;
mod lab;
mod load;
mod nats;
mod node;
mod parts;
mod place;
mod ports;
mod processes;
mod rotate;
mod services;
mod standin;
mod status;
mod target;
mod tls;
mod tools;
mod up;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::json;
use soter_world::{Clock, Stop, SystemClock};

use crate::failure::{Ending, Failure, failed};
use crate::parts::Part;
use crate::services::Service;

/// On a real disk, where `/tmp` may be memory.
const DEFAULT_DIRECTORY: &str = "/var/tmp/kosmos-lab";

/// A small KOSMOS of real servers on this machine, to be broken and recovered.
#[derive(Debug, Parser)]
#[command(name = "kosmos-lab", version)]
struct Arguments {
    /// The laboratory's directory. Everything of it lies there.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    directory: PathBuf,
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make it, or start again what has ended of it.
    Up {
        /// Parts to do without, and what needs them.
        #[arg(long, value_name = "PART", value_delimiter = ',')]
        without: Vec<Part>,
    },
    /// Say what runs, and what works.
    Status,
    /// Break something, for real.
    Break {
        #[command(subcommand)]
        what: breaking::What,
    },
    /// Users who work all the time; what was acknowledged, and what of it is there.
    Load {
        #[command(subcommand)]
        what: load::What,
    },
    /// Print what whoever recovers has in hand, as lines for a shell.
    Environment,
    /// What Terraform does with credentials: makes new ones.
    #[command(hide = true)]
    Rotate,
    /// Run a program on a node, as `ssh` would.
    Exec {
        /// The node.
        node: String,
        /// The program with its arguments, after `--`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// What Terraform does with nodes.
    #[command(hide = true)]
    Node {
        /// What to do.
        action: NodeAction,
        /// With which.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Be the kubelet of a node.
    #[command(hide = true)]
    Kubelet {
        /// The node.
        node: String,
    },
    /// End all of it, and remove its directory.
    Down,
    /// Be a program that a real KOSMOS has.
    #[command(hide = true)]
    As {
        /// Which one.
        program: standin::Program,
        /// What it is told.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Become a process of the table.
    #[command(hide = true)]
    Launch {
        /// Its name.
        name: String,
    },
    /// Be one of the services.
    #[command(hide = true)]
    Service {
        /// Which one.
        which: Service,
    },
}

/// What Terraform does with nodes.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum NodeAction {
    /// Make it, unless it is there.
    Make,
    /// End what runs on it; its disk stays.
    Stop,
    /// End it and remove its disk.
    Remove,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With a closed stderr there is nobody to tell.
            drop(writeln!(io::stderr(), "{failure}"));
            ExitCode::from(failure.ending as u8)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let root = absolute(&arguments.directory)?;
    match &arguments.command {
        Command::Up { without } => make(arguments, root, without),
        Command::Status => look(arguments, &root),
        Command::Down => {
            let ended = down::run(&root)?;
            let words = match ended {
                Some(count) => format!("{count} processes ended; {} is removed", root.display()),
                None => "there was no laboratory".to_owned(),
            };
            print(arguments.json, &json!({"directory": root, "ended": ended}), &words)
        }
        Command::Break { what } => {
            let lab = status::open(&root)?;
            let held = place::hold(&root)?;
            let damage = breaking::run(&lab, what)?;
            drop(held);
            let shown = json!({"what": damage.what, "details": damage.details});
            print(arguments.json, &shown, &damage.what)
        }
        Command::Load { what } => {
            let (shown, words) = load::run(&status::open(&root)?, what)?;
            print(arguments.json, &shown, &words)
        }
        Command::Environment => {
            let variables = environment::variables(&status::open(&root)?);
            let shown = serde_json::to_value(&variables).map_err(failed("show the variables"))?;
            print(arguments.json, &shown, &environment::lines(&variables))
        }
        Command::Rotate => {
            let held = place::hold(&root)?;
            rotate::run(&status::open(&root)?)?;
            drop(held);
            Ok(())
        }
        Command::Exec { node, command } => node::enter(&status::open(&root)?, node, command),
        Command::Node { action, names } => {
            let lab = status::open(&root)?;
            names.iter().try_for_each(|name| match action {
                NodeAction::Make => node::make(&lab, name),
                NodeAction::Stop => node::stop(&lab, name).map(drop),
                NodeAction::Remove => node::remove(&lab, name).map(drop),
            })
        }
        Command::Kubelet { node } => {
            kubelet::run(&status::open(&root)?.speaking(), node::known(node)?)
        }
        Command::As { program, arguments } => {
            standin::run(&status::open(&root)?.speaking(), *program, arguments)
        }
        Command::Launch { name } => processes::launch(&status::open(&root)?.table(), name),
        Command::Service { which } => services::run(&status::open(&root)?, *which),
    }
}

fn make(arguments: &Arguments, root: PathBuf, without: &[Part]) -> Result<(), Failure> {
    let stop = Stop::on_signals().map_err(failed("listen for signals"))?;
    let wishes = up::Wishes { root, without: without.to_vec(), quiet: arguments.json };
    let began = SystemClock.monotonic();
    let (lab, done) = up::run(&wishes, &stop)?;
    let seconds = (SystemClock.monotonic() - began).as_secs_f64();
    let description = lab.description();
    let shown = json!({"directory": description.directory, "done": done,
        "seconds": seconds, "addresses": description.addresses,
        "without": description.without});
    let words = format!("up after {seconds:.1} s; kosmos-lab status says how it is");
    print(arguments.json, &shown, &words)
}

fn look(arguments: &Arguments, root: &Path) -> Result<(), Failure> {
    let status = status::run(root)?;
    let shown = serde_json::to_value(&status).map_err(failed("show the status"))?;
    print(arguments.json, &shown, &status.in_words())?;
    if status.is_well() {
        return Ok(());
    }
    Err(Failure::new(Ending::No, "not all of it works"))
}

/// As it will be found from another directory, without links where it is there already.
fn absolute(directory: &Path) -> Result<PathBuf, Failure> {
    let found = directory.canonicalize().or_else(|_| std::path::absolute(directory));
    found.map_err(failed(&format!("find {}", directory.display())))
}

fn print(as_json: bool, value: &serde_json::Value, words: &str) -> Result<(), Failure> {
    let text = if as_json { format!("{value:#}") } else { words.to_owned() };
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(failed("write the result")(error))
        }
        _ => Ok(()),
    }
}
