//! What would do harm: a yes that nobody said, an attempt that is waited for without end, a right that
//! goes to a stranger.

use super::*;

#[test]
fn what_failed_without_a_word_is_not_unequal_to_anything() {
    let effects = Desk::new("").effects();
    let check = |text: &str, expect: &str, answer: Answer| {
        let question = asking(Question::Run(text.to_owned()), |_, probe| {
            probe.expect = Some(expect.to_owned());
        });
        let reply = ask(&effects, question);
        assert_eq!(reply.answer, answer, "{text}, {expect}: {}", reply.evidence);
    };
    check("echo 'no such table' >&2; exit 1", "!= damaged", Answer::Unknown);
    check("echo damaged; exit 1", "!= damaged", Answer::No);
    check("echo whole; exit 1", "!= damaged", Answer::Yes);
    check("echo a | grep b", "", Answer::Yes);
    check("echo a | grep b", "a", Answer::No);
    check("echo a | grep -c b", "= 0", Answer::Yes);
}

#[test]
fn the_beginning_of_an_answer_is_not_taken_for_all_of_it() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n9";
    let long = answer("200 OK", &"9".repeat((64 << 10) + 1));
    let server = Server::answering(&[cut, &long, cut]);
    let desk = Desk::asking(&server);
    let effects = desk.effects();
    let check = |expect: Option<&str>, answer: Answer| {
        let question = asking(Question::Http(http("GET", None)), |_, probe| {
            probe.expect = expect.map(str::to_owned);
        });
        assert_eq!(ask(&effects, question).answer, answer, "{expect:?}");
    };
    check(Some("< 10"), Answer::Unknown);
    check(Some("!= 9"), Answer::Unknown);
    check(None, Answer::Yes);
    server.asked();
}

#[test]
fn a_right_is_not_handed_to_where_a_question_is_sent_on() {
    let stranger = Server::answering(&[&answer("200 OK", "17")]);
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://localhost:{}/\r\ncontent-length: 0\r\n\
         connection: close\r\n\r\n",
        stranger.address.port()
    );
    let server = Server::answering(&[&moved]);
    let desk = Desk::asking(&server);
    let question = asking(Question::Http(http("GET", None)), |_, _| {});
    assert_eq!(ask(&desk.effects(), question).answer, Answer::Yes);
    assert!(server.asked()[0].to_ascii_lowercase().contains("authorization:"));
    let asked = stranger.asked().remove(0).to_ascii_lowercase();
    assert!(!asked.contains("authorization:"), "{asked}");
}

/// Work of another crate that has a fault.
struct Faulty;

impl Action for Faulty {
    fn work(&self, _: &Attempt, _: &Place) -> Option<Result<Work, String>> {
        Some(Ok(Work::Here(Box::new(|_| panic!("on purpose")))))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        panic!("on purpose")
    }

    fn capture(
        &self,
        _: &Attempt,
        _: &Place,
    ) -> Option<Result<Vec<crate::driver::Captured>, String>> {
        None
    }
}

#[test]
fn a_fault_of_this_program_is_unknown_and_waited_for_by_nobody() {
    let mut desk = Desk::new("");
    desk.actions = vec![Arc::new(Faulty)];
    let resume = attempt(procedure::Action::Resume(Vec::new()), |_| {});
    assert!(unknown(desk.run(&resume)).contains("this program failed"));
    let question = asking(Question::Run("true".to_owned()), |_, _| {});
    assert_eq!(ask(&desk.effects(), question).answer, Answer::Unknown);
}

#[test]
fn a_secret_that_is_cut_in_two_by_the_length_of_a_message_is_covered() {
    let (_, end) = SECRET.split_at(SECRET.len() - 4);
    for shown in [1, 4, SECRET.len() - 1] {
        let text = format!(
            "printf '%s' \"$token\"; head -c {} /dev/zero | tr '\\0' x; exit 3",
            (1 << 10) - shown
        );
        let why = failed(Desk::new("").run(&script(&text, |_| {})));
        assert!(why.ends_with("xxx") && !why.contains(&format!("{end}x")), "{shown}: {why}");
    }
}

#[test]
fn what_a_script_wrote_elsewhere_makes_no_message_long() {
    let text = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo the end; exit 3";
    let there = script(text, |step| step.on = Some("there".to_owned()));
    let why = failed(Desk::new("hosts: { there: [env] }\n").run(&there));
    assert!(why.ends_with("the end") && why.len() < 2 << 10, "{} bytes", why.len());
}
