//! The screen of a run on a real terminal: it is taken, and given back as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use soter_postgres::testing::wait_until;
use soter_world::exec::{Child, Command, Input, Output, Signal, Status};

use super::{Desk, TIMEOUT, ended};

const PLAN: &str = "scenarios:
  lost:
    title: The server is lost
    phases:
      - steps:
          - { id: asked, ask: What do you see? }
          - { id: last, run: 'echo it runs' }
";

/// A terminal with nobody in front of it.
struct Terminal {
    keyboard: File,
    /// Its other end, held so that what was set of it can be looked at.
    line: File,
    path: PathBuf,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn new() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let line = Self::open(&path);
        let keyboard = File::from(ours);
        let mut screen = keyboard.try_clone().unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&shown);
        // Ends with the last end of the line.
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = screen.read(&mut piece) {
                seen.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { keyboard, line, path, shown }
    }

    fn open(path: &PathBuf) -> File {
        File::options().read(true).write(true).open(path).unwrap()
    }

    /// How the line is set.
    fn setting(&self) -> String {
        format!("{:?}", tcgetattr(&self.line).unwrap())
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        let waited = wait_until(text, || self.shown().contains(text));
        assert!(waited.is_ok(), "{text:?} does not appear: {:?}", self.shown());
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    fn start(&self, desk: &Desk, arguments: &[&str], asked: &[(&str, &str)]) -> Child {
        let mut command = desk
            .command("here", arguments)
            .env("TERM", "xterm")
            .stdin(Input::File(Self::open(&self.path)))
            .stderr(Output::File(Self::open(&self.path)));
        for (name, value) in asked {
            command = command.env(name, value);
        }
        command.spawn().unwrap()
    }

    /// Starts it as the only one in front of this terminal, which so sends it the signals of its keys.
    fn own(&self, desk: &Desk, arguments: &[&str]) -> Child {
        let mut command = Command::new("setsid")
            .args(["--ctty", "--wait", env!("CARGO_BIN_EXE_soter")])
            .args(arguments)
            .current_dir(desk.path(""))
            .env("TERM", "xterm");
        for (name, value) in [("SOTER_STATE", desk.path("here")), ("SOTER_AS", "ada".to_owned())] {
            command = command.env(name, value);
        }
        command
            .stdin(Input::File(Self::open(&self.path)))
            .stderr(Output::File(Self::open(&self.path)))
            .spawn()
            .unwrap()
    }

    /// Whether the last thing about the screen was that it was given back.
    fn is_given_back(&self) -> bool {
        let shown = self.shown();
        shown.rfind("\u{1b}[?1049l") > shown.rfind("\u{1b}[?1049h")
            && shown.rfind("\u{1b}[?25h") > shown.rfind("\u{1b}[?25l")
    }
}

const TAKEN: &str = "\u{1b}[?1049h";

/// On every screen that is drawn whole.
const DRAWN: &str = "arrows choose";

fn desk() -> Desk {
    Desk::new(PLAN)
}

const RECOVER: [&str; 5] = ["recover", "lost", "--target", "drill.yaml", "--local"];

#[test]
fn real_terminals_are_given_back_by_a_key_by_signals_and_by_defects() {
    let desk = desk();
    let mut engine = desk.start("here", &RECOVER);
    desk.wait_for_step("asked");
    let watch = ["run", "show", "latest", "--watch"];
    for how in ["q", "interrupt", "terminate", "defect"] {
        let mut terminal = Terminal::new();
        let before = terminal.setting();
        let asked: &[_] = if how == "defect" { &[("SOTER_TEST_SCREEN_PANIC", "1")] } else { &[] };
        let mut watching = terminal.start(&desk, &watch, asked);
        terminal.wait_for(TAKEN);
        terminal.wait_for(DRAWN);
        match how {
            "q" => {
                assert_ne!(terminal.setting(), before);
                terminal.press(b"q");
            }
            "interrupt" => watching.signal(Signal::Interrupt),
            "terminate" => watching.signal(Signal::Terminate),
            _ => terminal.wait_for("asked for by SOTER_TEST_SCREEN_PANIC"),
        }
        let done = watching.wait_timeout(TIMEOUT).unwrap();
        assert_eq!(done.status, Status::Exited(0), "{how}: {}", terminal.shown());
        assert_eq!(terminal.setting(), before, "{how}");
        terminal.wait_for("WHAT COMES NEXT");
        assert!(terminal.is_given_back(), "{how}: {:?}", terminal.shown());
    }
    desk.ok(&["run", "answer", "latest", "asked", "nothing"]);
    ended(&mut engine, 0, "");
}

#[test]
fn real_engines_go_on_in_lines_when_their_screen_is_left() {
    let desk = desk();
    let mut terminal = Terminal::new();
    let before = terminal.setting();
    let mut engine = terminal.start(&desk, &[&RECOVER[..], &["--yes"]].concat(), &[]);
    terminal.wait_for(DRAWN);
    // To the step, back, to all there is, drawn anew, and out.
    for (key, expect) in [(&b"\r"[..], "action: "), (b"\x1b[A\r\tr", "WILL IT BE BACK")] {
        terminal.press(key);
        terminal.wait_for(expect);
    }
    terminal.press(b"q");
    terminal.wait_for("========");
    assert!(terminal.is_given_back(), "{:?}", terminal.shown());
    desk.ok(&["run", "answer", "latest", "asked", "nothing"]);
    terminal.wait_for("last: done");
    let done = engine.wait_timeout(TIMEOUT).unwrap();
    assert_eq!(done.status, Status::Exited(0), "{}", terminal.shown());
    assert_eq!(terminal.setting(), before);
}

/// What Ctrl-C does at a real terminal, whose every process gets the signal: only the engine ends.
#[test]
fn real_ctrl_c_leaves_the_run_and_what_it_runs_goes_on() {
    let desk = Desk::new(
        "scenarios: { lost: { phases: [{ steps: [{ id: long, run: 'echo begun >> \"$DESK_FILE\"; \
         while ! test -e \"$DESK_FILE.go\"; do sleep 0.05; done; echo ended >> \"$DESK_FILE\"' }] }] } }\n",
    );
    let file = desk.path("effects");
    desk.put(
        "drill.yaml",
        &format!("name: lab\nkind: drill\nenvironment: {{ DESK_FILE: {file} }}\n"),
    );
    let mut terminal = Terminal::new();
    let before = terminal.setting();
    let mut engine = terminal.own(&desk, &[&RECOVER[..], &["--yes"]].concat());
    terminal.wait_for(DRAWN);
    desk.wait_for("here", "child_started");
    // The key, as a line sends it to all processes in front of it.
    terminal.press(b"\x03");
    let done = engine.wait_timeout(TIMEOUT).unwrap();
    assert_eq!(done.status, Status::Exited(5), "{}", terminal.shown());
    terminal.wait_for("`long` goes on by itself (process ");
    terminal.wait_for("go on with it: soter run resume lost-");
    assert_eq!(terminal.setting(), before);
    assert!(terminal.is_given_back(), "{:?}", terminal.shown());
    // It ends without any engine, and the next one reads how.
    assert_eq!(desk.lines("effects"), ["begun"]);
    desk.put("effects.go", "");
    wait_until("it has ended", || desk.lines("effects") == ["begun", "ended"]).unwrap();
    let mut again = desk.start("here", &["run", "resume", "latest"]);
    ended(&mut again, 0, "DONE: every step is over");
    assert_eq!(desk.lines("effects"), ["begun", "ended"]);
}

#[test]
fn no_colours_are_shown_to_those_who_want_none_and_where_there_is_no_terminal() {
    let desk = desk();
    let terminal = Terminal::new();
    let plain = [("TERM", "dumb"), ("NO_COLOR", "1")];
    let mut engine = terminal.start(&desk, &[&RECOVER[..], &["--yes"]].concat(), &plain);
    terminal.wait_for("answer `asked`");
    desk.ok(&["run", "answer", "latest", "asked", "nothing"]);
    let done = engine.wait_timeout(TIMEOUT).unwrap();
    assert_eq!(done.status, Status::Exited(0), "{}", terminal.shown());
    terminal.wait_for("last: done");
    assert!(!terminal.shown().contains('\u{1b}'), "{:?}", terminal.shown());
    let shown = desk.ok(&["run", "show", "latest", "--all"]);
    assert!(shown.contains("DRILL on lab") && !shown.contains('\u{1b}'), "{shown}");
    // A step, with what it wrote only while it matters.
    let step = desk.ok(&["run", "show", "latest", "last"]);
    assert!(step.contains("[x] last: done") && step.contains("echo it runs"), "{step}");
    desk.fails(&["run", "show", "latest", "lst"], 2, "did you mean last?");
}
