//! What a probe's output must be: a text, or a comparison.
//!
//! The rule it keeps: what cannot be compared is unknown, never no. Numbers are compared as numbers,
//! whole ones exactly.

use std::cmp::Ordering;

use crate::driver::Answer;
use crate::procedure::{Parameters, UnknownName};

/// What an output must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    relation: Relation,
    operand: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    /// The same text.
    Text,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// The longer ones first: `>=` begins like `>`.
const RELATIONS: [(&str, Relation); 7] = [
    (">=", Relation::GreaterOrEqual),
    ("<=", Relation::LessOrEqual),
    ("!=", Relation::Unequal),
    ("==", Relation::Equal),
    (">", Relation::Greater),
    ("<", Relation::Less),
    ("=", Relation::Equal),
];

/// A number as it is written: whole ones are not rounded.
enum Number {
    Whole(i128),
    Broken(f64),
}

impl Expectation {
    /// Reads what a plan says. `<html>` is a text, `< 3600` and `< ${limit}` are comparisons.
    #[must_use]
    pub fn parse(written: &str) -> Self {
        let written = written.trim();
        let found = RELATIONS.into_iter().find_map(|(sign, relation)| {
            let operand = written.strip_prefix(sign)?.trim();
            let is_equality = matches!(relation, Relation::Equal | Relation::Unequal);
            let is_comparable = number(operand).is_some() || operand.contains("${");
            (is_equality || is_comparable).then_some((relation, operand))
        });
        let (relation, operand) = found.unwrap_or((Relation::Text, written));
        Self { relation, operand: operand.to_owned() }
    }

    /// With the values of parameters in their places.
    ///
    /// # Errors
    /// When one has no value.
    pub fn fill(self, parameters: &Parameters) -> Result<Self, UnknownName> {
        let operand = parameters.fill(&self.operand)?.trim().to_owned();
        Ok(Self { operand, ..self })
    }

    /// Whether nothing at all is expected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.relation, Relation::Text | Relation::Equal) && self.operand.is_empty()
    }

    /// Whether an output is what it must be; space around it does not count.
    #[must_use]
    pub fn answer(&self, output: &str) -> Answer {
        let output = output.trim();
        let order = order(output, &self.operand);
        let is_equal = match order {
            Some(order) => Some(order == Ordering::Equal),
            // `!= 0` is about a number: nothing, or a complaint, is neither equal to it nor another.
            None if number(&self.operand).is_some() => None,
            None => Some(output == self.operand),
        };
        let holds = |wanted: &[Ordering]| order.map(|order| wanted.contains(&order));
        let holds = match self.relation {
            Relation::Text => Some(output == self.operand),
            Relation::Equal => is_equal,
            Relation::Unequal => is_equal.map(|is_equal| !is_equal),
            Relation::Less => holds(&[Ordering::Less]),
            Relation::LessOrEqual => holds(&[Ordering::Less, Ordering::Equal]),
            Relation::Greater => holds(&[Ordering::Greater]),
            Relation::GreaterOrEqual => holds(&[Ordering::Greater, Ordering::Equal]),
        };
        match holds {
            Some(true) => Answer::Yes,
            Some(false) => Answer::No,
            None => Answer::Unknown,
        }
    }
}

/// How two numbers stand to each other; none if one of them is none.
fn order(left: &str, right: &str) -> Option<Ordering> {
    match (number(left)?, number(right)?) {
        (Number::Whole(left), Number::Whole(right)) => Some(left.cmp(&right)),
        (left, right) => left.broken().partial_cmp(&right.broken()),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i128>() {
        return Some(Number::Whole(whole));
    }
    // Rust would also read `inf` and `nan`, and what is too large as the former: all of it alike.
    let looks = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    let broken = text.parse::<f64>().ok().filter(|broken| broken.is_finite());
    broken.filter(|_| text.chars().all(looks)).map(Number::Broken)
}

impl Number {
    fn broken(&self) -> f64 {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "compared with one that was rounded too"
            )]
            Self::Whole(whole) => *whole as f64,
            Self::Broken(broken) => *broken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::procedure::Given;

    fn check(written: &str, output: &str, expect: Answer) {
        let mut parameters = Parameters::default();
        parameters.insert("limit", Given::Plain("3600".to_owned()));
        parameters.insert("name", Given::Plain("zeus".to_owned()));
        let answer = Expectation::parse(written).fill(&parameters).unwrap().answer(output);
        assert_eq!(answer, expect, "{written} of {output}");
    }

    #[test]
    fn outputs_are_compared_as_what_they_are() {
        use Answer::{No, Unknown, Yes};
        check("ok", "ok\n", Yes);
        check("ok", "not ok", No);
        check("3", "03", No);
        check("= 3", "03", Yes);
        check("> 0", " 17 \n", Yes);
        check("> 0", "0", No);
        check("> 0", "", Unknown);
        check("> 0", "many", Unknown);
        check("< 3600", "3600", No);
        check("<= 3600", "3600.0", Yes);
        check(">= -1.5", "-1", Yes);
        check("< ${limit}", "12", Yes);
        check("< ${name}", "12", Unknown);
        check("= ${name}", "zeus", Yes);
        check("!= ${name}", "hera", Yes);
        check("!= 3", "3.0", No);
        check("<html>", "<html>", Yes);
        check("> 9007199254740993", "9007199254740992", No);
        check("= 9007199254740993", "9007199254740992", No);
        check("!= 0", "", Unknown);
        check("!= 0", "error: no such table", Unknown);
        check("= 3", "many", Unknown);
        check("= 1e400", "2e400", No);
        check("> 0", "1e400", Unknown);
        check("> 0", "inf", Unknown);
        check("> 0", "NaN", Unknown);
    }

    #[test]
    fn a_parameter_without_a_value_is_an_error() {
        let parsed = Expectation::parse("= ${nobody}");
        assert_eq!(parsed.fill(&Parameters::default()), Err(UnknownName("nobody".to_owned())));
    }
}
