//! Asking until it holds: when to ask again, and when to believe the answer.
//!
//! The rule it keeps: a streak is unbroken yes, counted from the moment the first of it was heard to
//! the moment the last was asked; unknown breaks it like no. It must begin within the time that was
//! given, and may then last longer than that. Times are whatever the caller's clock says, so that this
//! is a pure fold over answers.

use std::time::Duration;

use crate::driver::Answer;

/// How long a probe has to say yes if its plan does not say.
pub const WITHIN_DEFAULT: Duration = Duration::from_secs(30);

/// The first question is followed by the second after so long; each pause is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// A service that comes back is seen at most so much later.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A streak is looked at so often: a short break must not fall between two questions.
const LOOKS_OF_STREAK: u32 = 20;

/// A question that is asked until it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polling {
    stable_for: Duration,
    deadline: Duration,
    pause: Duration,
    /// When the first yes of an unbroken row was heard.
    streak_since: Option<Duration>,
    last: Option<Answer>,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is asked again at this time.
    AskAt(Duration),
    /// It holds.
    Holds,
    /// It did not hold in time; this was the last answer.
    Late(Answer),
}

impl Polling {
    /// A question that is asked for the first time now.
    #[must_use]
    pub fn new(stable_for: Option<Duration>, within: Option<Duration>, now: Duration) -> Self {
        Self {
            stable_for: stable_for.unwrap_or_default(),
            deadline: now.saturating_add(within.unwrap_or(WITHIN_DEFAULT)),
            pause: PAUSE_MIN,
            streak_since: None,
            last: None,
        }
    }

    /// An answer that was asked for and heard at these times.
    pub fn note(&mut self, asked: Duration, heard: Duration, answer: Answer) -> Verdict {
        self.last = Some(answer);
        if answer == Answer::Yes {
            return self.note_yes(asked, heard);
        }
        self.streak_since = None;
        if heard >= self.deadline {
            return Verdict::Late(answer);
        }
        // The last question is asked when the time is up, not before.
        let next = heard.saturating_add(self.pause).min(self.deadline);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Verdict::AskAt(next)
    }

    fn note_yes(&mut self, asked: Duration, heard: Duration) -> Verdict {
        let since = *self.streak_since.get_or_insert(heard);
        if self.stable_for.is_zero() || asked.saturating_sub(since) >= self.stable_for {
            return Verdict::Holds;
        }
        let pause = (self.stable_for / LOOKS_OF_STREAK).clamp(PAUSE_MIN, PAUSE_MAX);
        let end = since.saturating_add(self.stable_for);
        Verdict::AskAt(heard.saturating_add(pause).min(end).max(heard))
    }

    /// Since when it has said yes without a break, and how long it must.
    #[must_use]
    pub fn streak(&self) -> Option<(Duration, Duration)> {
        self.streak_since.map(|since| (since, self.stable_for))
    }

    /// The last answer.
    #[must_use]
    pub fn last(&self) -> Option<Answer> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{No, Unknown, Yes};

    const SECOND: Duration = Duration::from_secs(1);

    /// Asks a service that answers by the time it is asked; how it ended, when, and how often asked.
    fn ask(
        stable_for: Option<Duration>,
        within: Option<Duration>,
        service: impl Fn(Duration) -> Answer,
    ) -> (Verdict, Duration, u32) {
        let begun = 100 * SECOND;
        let mut polling = Polling::new(stable_for, within, begun);
        let (mut now, mut count) = (begun, 0);
        loop {
            let heard = now + Duration::from_millis(10);
            count += 1;
            match polling.note(now, heard, service(now - begun)) {
                Verdict::AskAt(next) => {
                    assert!(next >= heard, "{next:?} {heard:?}");
                    now = next;
                }
                verdict => return (verdict, heard - begun, count),
            }
            assert!(count < 10_000);
        }
    }

    #[test]
    fn the_first_yes_is_enough_where_nothing_must_be_stable() {
        let (verdict, at, count) = ask(None, None, |_| Yes);
        assert_eq!((verdict, count), (Verdict::Holds, 1));
        assert!(at < SECOND);
        let (verdict, at, _) = ask(None, None, |at| if at < 12 * SECOND { No } else { Yes });
        assert_eq!(verdict, Verdict::Holds);
        assert!(at < 12 * SECOND + PAUSE_MAX + SECOND, "{at:?}");
    }

    #[test]
    fn what_never_holds_is_late_and_says_why() {
        let (verdict, at, count) = ask(None, Some(60 * SECOND), |_| Unknown);
        assert_eq!(verdict, Verdict::Late(Unknown));
        assert!(at >= 60 * SECOND && at < 61 * SECOND, "{at:?}");
        assert!(count < 20, "asked {count} times");
        let (verdict, ..) = ask(None, Some(Duration::ZERO), |_| No);
        assert_eq!(verdict, Verdict::Late(No));
    }

    #[test]
    fn a_break_begins_the_streak_anew() {
        let broken_at = |at: Duration| {
            let second = at.as_secs();
            if (20..23).contains(&second) { Unknown } else { Yes }
        };
        let (verdict, at, _) = ask(Some(30 * SECOND), Some(60 * SECOND), broken_at);
        assert_eq!(verdict, Verdict::Holds);
        assert!(at >= 53 * SECOND && at < 60 * SECOND, "{at:?}");
    }

    #[test]
    fn a_streak_may_last_longer_than_the_time_in_which_it_must_begin() {
        let (verdict, at, _) = ask(Some(100 * SECOND), Some(5 * SECOND), |_| Yes);
        assert_eq!(verdict, Verdict::Holds);
        assert!(at >= 100 * SECOND && at < 101 * SECOND, "{at:?}");
        // Broken after that time, there is none for another.
        let falls = |at: Duration| if at < 50 * SECOND { Yes } else { No };
        let (verdict, at, _) = ask(Some(100 * SECOND), Some(5 * SECOND), falls);
        assert_eq!(verdict, Verdict::Late(No));
        assert!(at < 60 * SECOND, "{at:?}");
    }

    #[test]
    fn a_slow_answer_does_not_count_as_a_streak() {
        let mut polling = Polling::new(Some(10 * SECOND), None, Duration::ZERO);
        let verdict = polling.note(Duration::ZERO, 20 * SECOND, Yes);
        assert!(matches!(verdict, Verdict::AskAt(_)), "{verdict:?}");
        assert_eq!(polling.streak(), Some((20 * SECOND, 10 * SECOND)));
        assert_eq!(polling.note(30 * SECOND, 31 * SECOND, Yes), Verdict::Holds);
    }
}
