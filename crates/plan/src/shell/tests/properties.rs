//! Any text is read, in time that grows with its length, and every range points into it.

use proptest::prelude::*;

use super::*;

fn holds(text: &str) {
    for shell in [read(text), read_console(text)] {
        let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
        for command in &shell.commands {
            ranges.push(command.range.clone());
            ranges.extend(command.words.iter().map(|word| word.range.clone()));
            ranges.extend(command.redirections.iter().map(|found| found.range.clone()));
            assert!(command.position.block.is_none_or(|block| block < shell.blocks.len()));
            assert!(command.nested.is_none_or(|nested| nested.outer < shell.commands.len()));
            assert!(shell.positions(command).count() < 100, "blocks form a ring");
        }
        ranges.extend(shell.blocks.iter().map(|found| found.range.clone()));
        ranges.extend(shell.parameters.iter().map(|found| found.range.clone()));
        ranges.extend(shell.placeholders.iter().map(|found| found.range.clone()));
        ranges.extend(shell.comments.iter().map(|found| found.range.clone()));
        ranges.extend(shell.unread.iter().map(|found| found.range.clone()));
        ranges.extend(shell.statements.iter().map(|found| found.range.clone()));
        for range in ranges {
            assert!(text.get(range.clone()).is_some(), "{range:?} in {text:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        holds(&text);
    }

    #[test]
    fn any_shell_like_text_is_read(
        text in "([a-z]{1,4}| |\n|\\$|\\$\\(|\\)|\\(|\\$\\{|\\}|\\{ |'|\"|`|\\\\|;|&|\\||&&|\\|\\||<<EOF\n|EOF\n|<|>|<ä>|#|!|\\[|\\]|if |then |fi\n|do |done\n|while |for x in |case x in |esac\n|;;|bash -c |ssh h |eval |psql -c |sudo |f\\(\\) |=|\t|\r\n|\\$ |ä|…|\\$\\(\\(){0,40}"
    ) {
        holds(&text);
    }
}

#[test]
fn deep_and_long_texts_are_read_in_time_that_grows_with_their_length() {
    for unit in [
        "(",
        "{ ",
        "$(",
        "\"$(",
        "`",
        "${",
        "$((",
        "((",
        "if ",
        "if a; then ",
        "while a; do ",
        "case a in b) ",
        "f() ",
        "<<E ",
        "'",
        "\"",
        "! ",
        "a | ",
        "a && ",
        "<a> ",
        "[a b] ",
        "bash -c '",
        "bash -c \\\"",
        "eval ",
        "${a:-",
        "$a",
        "x=(",
        "$(( ",
        "\\",
        "a\n",
        "'\n",
        "cat <<E\n",
        "\"$(\n",
        "`\n",
        "$(\n",
        "function f ",
        "<(",
        "${a",
        "<",
        "[a ",
        "# \n",
        "$ a\n",
    ] {
        let text = unit.repeat(20_000 / unit.len());
        let shell = read(&text);
        assert!(shell.unread.len() <= 60, "{unit:?}");
    }
}

#[test]
fn a_text_too_long_for_a_script_is_not_read() {
    let shell = read(&"ls\n".repeat(SCRIPT_BYTES_MAX));
    assert_eq!((shell.commands.len(), shell.unread.len()), (0, 1));
}
