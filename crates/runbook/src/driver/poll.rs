//! A question asked until it is answered.
//!
//! The rule it keeps: it says yes once the answer was yes for as long as it must, without a break; an
//! answer nobody knows is a break. It ends in any case.

use std::time::Duration;

use super::effects::Answer;

/// Not more often than this, and not more seldom than that.
const INTERVAL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// A question that is being asked.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    /// Yes must be said for so long without a break.
    stable_for: Duration,
    /// After this nobody waits any more.
    deadline: Duration,
    interval: Duration,
    yes_since: Option<Duration>,
}

impl Poll {
    /// A question that is asked from `now` on; without `within` one answer is enough.
    pub(super) fn new(
        now: Duration,
        within: Option<Duration>,
        stable_for: Option<Duration>,
    ) -> Self {
        let stable_for = stable_for.unwrap_or_default();
        let whole = within.unwrap_or_default().saturating_add(stable_for);
        Self {
            stable_for,
            deadline: now.saturating_add(whole),
            interval: (whole / 20).clamp(INTERVAL.0, INTERVAL.1),
            yes_since: None,
        }
    }

    /// An answer to what was asked at one moment, heard at another. The whole question's, or when it is
    /// asked again. Between asking and hearing an engine may have been held up: the time in which yes is
    /// known to have been so ends with the last asking, and begins with the first hearing.
    pub(super) fn heard(
        &mut self,
        (asked, now): (Duration, Duration),
        answer: Answer,
    ) -> Result<Answer, Duration> {
        if answer == Answer::Yes {
            let since = *self.yes_since.get_or_insert(now);
            if asked.saturating_sub(since) >= self.stable_for {
                return Ok(Answer::Yes);
            }
        } else {
            self.yes_since = None;
        }
        if now < self.deadline {
            return Err(now.saturating_add(self.interval));
        }
        // It said yes at last, but not for long enough.
        Ok(if answer == Answer::Unknown { Answer::Unknown } else { Answer::No })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The answers by the second: y, n or u; which one it ends with, and when.
    fn check(within: Option<u64>, stable_for: Option<u64>, answers: &str) -> (Answer, usize) {
        let seconds = |count: Option<u64>| count.map(Duration::from_secs);
        let mut poll = Poll::new(Duration::ZERO, seconds(within), seconds(stable_for));
        for (at, letter) in answers.bytes().enumerate() {
            let answer = match letter {
                b'y' => Answer::Yes,
                b'n' => Answer::No,
                _ => Answer::Unknown,
            };
            let now = SECOND * u32::try_from(at).unwrap();
            if let Ok(answer) = poll.heard((now, now), answer) {
                return (answer, at);
            }
        }
        panic!("it goes on after {answers}");
    }

    #[test]
    fn one_answer_is_enough_for_a_condition() {
        assert_eq!(check(None, None, "y"), (Answer::Yes, 0));
        assert_eq!(check(None, None, "n"), (Answer::No, 0));
        assert_eq!(check(None, None, "u"), (Answer::Unknown, 0));
    }

    #[test]
    fn it_has_so_long_to_say_yes() {
        assert_eq!(check(Some(3), None, "nuy"), (Answer::Yes, 2));
        assert_eq!(check(Some(3), None, "nnnny"), (Answer::No, 3));
        assert_eq!(check(Some(3), None, "nnnu"), (Answer::Unknown, 3));
    }

    #[test]
    fn an_answer_that_was_heard_late_says_nothing_of_the_time_until_then() {
        let mut poll = Poll::new(Duration::ZERO, Some(SECOND), Some(SECOND * 30));
        assert!(poll.heard((Duration::ZERO, SECOND), Answer::Yes).is_err());
        // The engine waited for its vault for half a minute: it was not looked meanwhile.
        assert_eq!(poll.heard((SECOND * 2, SECOND * 31), Answer::Yes), Ok(Answer::No));
        let mut poll = Poll::new(Duration::ZERO, Some(SECOND), Some(SECOND * 30));
        assert!(poll.heard((Duration::ZERO, Duration::ZERO), Answer::Yes).is_err());
        assert_eq!(poll.heard((SECOND * 30, SECOND * 31), Answer::Yes), Ok(Answer::Yes));
    }

    #[test]
    fn yes_without_a_break_counts_and_unknown_is_a_break() {
        assert_eq!(check(Some(1), Some(2), "yyy"), (Answer::Yes, 2));
        assert_eq!(check(Some(2), Some(2), "yuyyy"), (Answer::Yes, 4));
        assert_eq!(check(Some(2), Some(2), "yynyy"), (Answer::No, 4));
        assert_eq!(check(Some(1), Some(2), "ynyu"), (Answer::Unknown, 3));
    }
}
