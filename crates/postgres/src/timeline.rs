//! Timeline history files: where a timeline branched off, and off which.
//!
//! A restore may use a backup only if the timeline it aims at descends from the backup's, at or
//! after the place where the backup ended. Here this is decided, from the bytes of the target's
//! `.history` file alone: it lists all ancestors.

use thiserror::Error;

use crate::lsn::{Lsn, Timeline};

/// A timeline with all its ancestors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineHistory {
    timeline: Timeline,
    ancestors: Vec<Ancestor>,
}

/// A timeline that was left for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestor {
    /// The timeline that was left.
    pub timeline: Timeline,
    /// Where: WAL from here on belongs to the next timeline.
    pub switch: Lsn,
    /// What PostgreSQL noted, such as `no recovery target specified`.
    pub reason: String,
}

/// The history file is not one that PostgreSQL would read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// A line is not `timeline, position, reason`.
    #[error(
        "line {line} of the history of timeline {timeline} is not a timeline and a position: {text:?}"
    )]
    Line {
        /// Whose history.
        timeline: Timeline,
        /// Counted from one.
        line: usize,
        /// What the line says.
        text: String,
    },
    /// Ancestors are listed from the oldest on; numbers and positions only grow.
    #[error(
        "line {line} of the history of timeline {timeline} goes back (timeline {ancestor} to {switch})"
    )]
    Order {
        /// Whose history.
        timeline: Timeline,
        /// Counted from one.
        line: usize,
        /// The ancestor out of order.
        ancestor: Timeline,
        /// Where it was left.
        switch: Lsn,
    },
    /// Every timeline but the first has a parent.
    #[error("the history of timeline {timeline} names no ancestor")]
    Empty {
        /// Whose history.
        timeline: Timeline,
    },
}

impl TimelineHistory {
    /// The history of a timeline that has no file: that of timeline 1.
    pub fn first() -> Self {
        Self { timeline: Timeline::FIRST, ancestors: Vec::new() }
    }

    /// Reads the `.history` file of `timeline`. Timeline numbers in it are decimal (in file names
    /// they are hexadecimal); `#` begins a comment line.
    pub fn parse(timeline: Timeline, file: &[u8]) -> Result<Self, HistoryError> {
        let mut ancestors: Vec<Ancestor> = Vec::new();
        for (index, line) in String::from_utf8_lossy(file).lines().enumerate() {
            let text = line.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let line = index + 1;
            let ancestor = parse_line(text).ok_or_else(|| HistoryError::Line {
                timeline,
                line,
                text: text.to_owned(),
            })?;
            let is_after_last = ancestors.last().is_none_or(|last| {
                last.timeline < ancestor.timeline && last.switch <= ancestor.switch
            });
            if !is_after_last || ancestor.timeline >= timeline {
                let Ancestor { timeline: ancestor, switch, .. } = ancestor;
                return Err(HistoryError::Order { timeline, line, ancestor, switch });
            }
            ancestors.push(ancestor);
        }
        if ancestors.is_empty() && timeline != Timeline::FIRST {
            return Err(HistoryError::Empty { timeline });
        }
        Ok(Self { timeline, ancestors })
    }

    /// Whose history this is.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// All ancestors, oldest first.
    pub fn ancestors(&self) -> &[Ancestor] {
        &self.ancestors
    }

    /// The timeline this one branched off, and where.
    pub fn parent(&self) -> Option<&Ancestor> {
        self.ancestors.last()
    }

    /// Where `timeline` was left on the way to this one. None if it is this one (which has not
    /// been left) or not an ancestor.
    pub fn switch_point(&self, timeline: Timeline) -> Option<Lsn> {
        self.ancestors.iter().find(|a| a.timeline == timeline).map(|a| a.switch)
    }

    /// The timeline whose WAL holds the byte at `lsn` when going to this timeline.
    pub fn timeline_at(&self, lsn: Lsn) -> Timeline {
        let left_after = self.ancestors.iter().find(|ancestor| lsn < ancestor.switch);
        left_after.map_or(self.timeline, |ancestor| ancestor.timeline)
    }

    /// Whether whoever had reached the end position `lsn` on `timeline` can go on to this
    /// timeline: it is this one or an ancestor left at or after `lsn`, and begun at or before it.
    pub fn descends_from(&self, timeline: Timeline, lsn: Lsn) -> bool {
        let mut begin = Lsn::INVALID;
        for ancestor in &self.ancestors {
            if ancestor.timeline == timeline {
                return begin <= lsn && lsn <= ancestor.switch;
            }
            begin = ancestor.switch;
        }
        self.timeline == timeline && begin <= lsn
    }
}

fn parse_line(text: &str) -> Option<Ancestor> {
    let (timeline, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let (switch, reason) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let timeline = timeline.parse().ok().filter(|&number: &u32| number > 0)?;
    Some(Ancestor {
        timeline: Timeline(timeline),
        switch: switch.parse().ok()?,
        reason: reason.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HISTORY: &str = "\
        # a comment\n\
        1\t0/5000000\tno recovery target specified\n\
        \n\
        \x20 3\t1/A0\tbefore 2024-01-01 00:00:00+00\n\
        10\t1/A0\t\n";

    fn history() -> TimelineHistory {
        TimelineHistory::parse(Timeline(11), HISTORY.as_bytes()).unwrap()
    }

    #[test]
    fn reads_what_postgresql_writes() {
        let history = history();
        let ancestors: Vec<_> =
            history.ancestors().iter().map(|a| (a.timeline.0, a.switch.0)).collect();
        assert_eq!(ancestors, [(1, 0x500_0000), (3, 0x1_0000_00A0), (10, 0x1_0000_00A0)]);
        assert_eq!(history.ancestors()[1].reason, "before 2024-01-01 00:00:00+00");
        assert_eq!(history.parent().unwrap().timeline, Timeline(10));
        assert_eq!(history.switch_point(Timeline(1)), Some(Lsn(0x500_0000)));
        assert_eq!(history.switch_point(Timeline(2)), None);
        assert_eq!(history.switch_point(Timeline(11)), None);
    }

    #[test]
    fn finds_the_timeline_of_a_position() {
        let at = |lsn| history().timeline_at(Lsn(lsn)).0;
        assert_eq!(at(0), 1);
        assert_eq!(at(0x4FF_FFFF), 1);
        assert_eq!(at(0x500_0000), 3);
        assert_eq!(at(0x1_0000_009F), 3);
        assert_eq!(at(0x1_0000_00A0), 11, "timeline 10 was left where it began");
        assert_eq!(TimelineHistory::first().timeline_at(Lsn(7)), Timeline(1));
    }

    #[test]
    fn descent_needs_timeline_and_position() {
        let from = |timeline, lsn| history().descends_from(Timeline(timeline), Lsn(lsn));
        assert!(from(1, 0x400_0000));
        assert!(from(1, 0x500_0000), "reaching exactly the switch is enough");
        assert!(!from(1, 0x500_0001), "went on after the switch: another history");
        assert!(!from(2, 0x400_0000), "a sibling");
        assert!(from(3, 0x600_0000));
        assert!(!from(3, 0x400_0000), "timeline 3 had not begun there");
        assert!(from(11, 0x2_0000_0000));
        assert!(!from(12, 0x2_0000_0000), "a descendant is not an ancestor");
        assert!(TimelineHistory::first().descends_from(Timeline(1), Lsn(1)));
    }

    #[test]
    fn refuses_what_postgresql_refuses() {
        let parse = |text: &str| TimelineHistory::parse(Timeline(4), text.as_bytes());
        assert!(matches!(parse("x\t0/1\tr"), Err(HistoryError::Line { line: 1, .. })));
        assert!(matches!(parse("1"), Err(HistoryError::Line { .. })));
        assert!(matches!(parse("1\tzz\tr"), Err(HistoryError::Line { .. })));
        assert!(matches!(parse("0\t0/1\tr"), Err(HistoryError::Line { .. })));
        assert!(matches!(parse("2\t0/9\n1\t0/A"), Err(HistoryError::Order { line: 2, .. })));
        assert!(matches!(parse("1\t0/9\n2\t0/8"), Err(HistoryError::Order { line: 2, .. })));
        assert!(matches!(parse("4\t0/9"), Err(HistoryError::Order { .. })));
        assert!(matches!(parse("# nothing\n"), Err(HistoryError::Empty { .. })));
        assert!(parse("1 0/9").is_ok());
    }
}
