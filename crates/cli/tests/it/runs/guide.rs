//! `docs/operating/recover.md`, done as it says.

use std::fs;

use super::{Desk, ended, expect};
use crate::tidy::root;

/// What stands between two fences, by the language of the block and its first line.
fn block(language: &str, first: &str) -> String {
    let guide = fs::read_to_string(root().join("docs/operating/recover.md")).unwrap();
    let fence = format!("```{language}\n");
    let mut blocks = guide.split(&fence).skip(1).filter_map(|rest| rest.split_once("```"));
    let found = blocks.find(|(text, _)| text.starts_with(first));
    found.unwrap_or_else(|| panic!("the guide has no block {first}")).0.to_owned()
}

#[test]
fn the_guide_to_a_recovery_does_what_it_says() {
    let desk = Desk::with_vault("");
    let local = |text: &str| {
        let here =
            text.replace("/etc/soter/", &desk.path("")).replace("/srv/soter", &desk.path("vault"));
        here.replace("/srv/", &desk.path(""))
    };
    desk.put("soter.yaml", &local(&block("yaml", "# soter.yaml")));
    desk.put("drill.yaml", &local(&block("yaml", "# drill.yaml")));
    fs::create_dir_all(desk.path("copies/2026-11-23")).unwrap();
    desk.put("copies/2026-11-23/picture", "a picture");
    let key = desk.path("keys/operator-1.key");
    let recover = ["recover", "server-loss", "--target", "drill.yaml", "--identity", &key];

    let done = desk.soter(&[&recover[..], &["--dry-run"]].concat());
    let shown = expect(done, 1, "could not begin");
    let digest = |line: &str| match line.split_once(", begun by") {
        Some((_, rest)) => format!("plan …, begun by{rest}"),
        None => line.to_owned(),
    };
    let shown: Vec<String> = shown.lines().map(digest).collect();
    let written = local(&block("text", "DRILL on"));
    assert_eq!(shown, written.lines().collect::<Vec<_>>());

    let mut engine = desk.start("here", &[&recover[..], &["--param", "host=shop-2"]].concat());
    desk.wait_for_step("agreed");
    desk.ok(&["run", "approve", "latest", "agreed", "--as", "bea"]);
    desk.wait_for_step("seen");
    desk.ok(&["run", "look", "latest", "seen", "yes"]);
    // Bea may be faster than a picture of the run, which then shows that she agreed.
    ended(&mut engine, 0, "DRILL  [x] agreed: done in ");
    assert_eq!(desk.lines("shop/picture"), ["a picture"]);
}
