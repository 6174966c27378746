use proptest::prelude::*;

use super::*;
use crate::markdown::tree;

fn read(source: &str) -> Document {
    tree::read(FileId(0), source)
}

/// A document in short: sections by level, fields, and the shape of blocks.
fn outline(source: &str) -> String {
    let document = read(source);
    let mut out = String::new();
    for section in document.sections.iter().filter(|section| section.level > 0) {
        out.push_str(&format!("{} {}\n", section.level, section.title.as_str()));
        for field in &section.fields {
            out.push_str(&format!("  {} = {}\n", field.key.as_str(), field.value.as_str()));
        }
        section.blocks.iter().for_each(|block| show(block, 1, &mut out));
    }
    out
}

fn show(block: &Block, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match block {
        Block::Paragraph(text) => out.push_str(&format!("{indent}{:?}\n", text.as_str())),
        Block::List(list) => {
            for item in &list.items {
                let mark = if list.ordered { '#' } else { '-' };
                out.push_str(&format!("{indent}{mark} {}\n", item.text.as_str()));
                item.blocks.iter().for_each(|block| show(block, depth + 1, out));
            }
        }
        Block::Table(table) => {
            for row in std::iter::once(&table.columns).chain(&table.rows) {
                let cells: Vec<_> = row.iter().map(Text::as_str).collect();
                out.push_str(&format!("{indent}{}\n", cells.join(" | ")));
            }
        }
        Block::Code(code) => {
            out.push_str(&format!("{indent}<{}> {:?}\n", code.language, code.text.as_str()));
        }
        Block::Foreign(_, what) => out.push_str(&format!("{indent}! {what}\n")),
    }
}

#[test]
fn headings_fields_labels_and_steps() {
    let text = "\
# Plan
intro
## Scenario 1: Fire
**Impact:** all  
**RTO:** 15 minutes
**Detection:**
```bash
kubectl get nodes
```
**Phase 1: Move (20 minutes)**

1. **Look** (wait 5 minutes)
   ```bash
   ls
   ```
2. Go
## Next
Steps:
- a
";
    assert_eq!(
        outline(text),
        "\
1 Plan
  \"intro\"
2 Scenario 1: Fire
  Impact = all
  RTO = 15 minutes
7 Detection
  <bash> \"kubectl get nodes\\n\"
7 Phase 1: Move (20 minutes)
  # Look (wait 5 minutes)
    <bash> \"ls\\n\"
  # Go
2 Next
7 Steps
  - a
"
    );
    let document = read(text);
    let path: Vec<_> = document.path(4).iter().map(|title| title.as_str()).collect();
    assert_eq!(path, ["", "Plan", "Scenario 1: Fire", "Phase 1: Move (20 minutes)"]);
    assert_eq!(document.below(2), 3..5);
}

#[test]
fn tables_in_every_dress() {
    let with_pipes = outline("# T\n| A | B |\n|---|---|\n| 1 | `x` |\n| 2 |\n");
    assert_eq!(with_pipes, "1 T\n  A | B\n  1 | x\n  2 | \n");
    assert_eq!(outline("# T\nA | B\n--|--\n1 | x\n2 |\n"), with_pipes);
    // A rule with another number of columns than the head, and none at all.
    assert_eq!(outline("# T\n| A | B |\n|---|\n| 1 | x |\n| 2 | |\n"), with_pipes);
    assert_eq!(outline("# T\n| A | B |\n| 1 | x |\n| 2 | |\n"), with_pipes);
    assert_eq!(
        outline(
            "# T\n+---+---+\n| A | B |\n+===+===+\n| 1 | x |\n+---+---+\n| 2 |   |\n+---+---+\n"
        ),
        with_pipes
    );
    assert_eq!(outline("# T\nuse a | b\nor c\n"), "1 T\n  \"use a | b\\nor c\"\n");
    assert_eq!(
        outline("# T\n|A<br>a|B|\n|-|-|\n|x<br/>y|<pod>|\n"),
        "1 T\n  A\na | B\n  x\ny | <pod>\n"
    );
}

#[test]
fn tables_and_lists_of_fields_are_fields() {
    assert_eq!(
        outline("# T\n| Field | Value |\n|-|-|\n| Owner | SRE |\n| Version | 2 |\n"),
        "1 T\n  Owner = SRE\n  Version = 2\n"
    );
    assert_eq!(outline("# T\n- RTO: 4 h\n- **Owner**: SRE\n"), "1 T\n  RTO = 4 h\n  Owner = SRE\n");
    assert_eq!(
        outline("# T\n- **Orders**: nightly\n- **Users**: weekly\n"),
        "1 T\n  - Orders: nightly\n  - Users: weekly\n"
    );
}

#[test]
fn drawn_lists_are_lists_and_pictures_are_not() {
    let text = "# T
```
┌──────────────────────┐
│  Postgres:           │
│  ├── WAL: 60s        │
│  └── Base: Daily     │
│                      │
│  RUN:                │
│                      │
│  # all of it         │
│  restore -x \\        │
│    --y               │
│                      │
│  CALL:               │
│  • Ann: 1            │
└──────────────────────┘
```
";
    assert_eq!(
        outline(text),
        "1 T\n  - Postgres:\n    - WAL: 60s\n    - Base: Daily\n  - RUN:\n    <> \"# all of it\\nrestore -x \\\\\\n  --y\"\n  - CALL:\n    - Ann: 1\n"
    );
    let picture = "# T\n```\n┌───┐   ┌───┐\n│ A │──▶│ B │\n└───┘   └───┘\n```\n";
    assert!(outline(picture).contains("<> "), "{}", outline(picture));
    let tree = "# T\n```\nOrders\n├── Dump: daily\n│   └── Keep: 7 days\n└── Log: always\n```\n";
    assert_eq!(
        outline(tree),
        "1 T\n  - Orders\n    - Dump: daily\n      - Keep: 7 days\n    - Log: always\n"
    );
}

#[test]
fn what_is_no_text_is_left_out() {
    assert_eq!(outline("# T\n<!-- **RTO:** 1 h -->\nx <!-- y --> z\n"), "1 T\n  \"x  z\"\n");
    assert_eq!(outline("# T\n<table><tr><td>1</td></tr></table>\n"), "1 T\n  ! a table in HTML\n");
    let document = read("---\ntitle: Shop\nowner: \"SRE\"\n---\n# T\n");
    let fields: Vec<_> = document.front_matter.iter().map(|field| field.value.as_str()).collect();
    assert_eq!(fields, ["Shop", "SRE"]);
}

#[test]
fn every_part_points_at_its_bytes_also_behind_line_ends_of_two_characters() {
    for text in [
        "# T\n- a\n  ```sh\n  one\n    two\n  ```\n\n| A | B |\n|-|-|\n| x *y* z | w |\n",
        "# T\r\n- a\r\n  ```sh\r\n  one\r\n    two\r\n  ```\r\n\r\n| A | B |\r\n|-|-|\r\n| x *y* z | w |\r\n",
    ] {
        let document = read(text);
        let [Block::List(list), Block::Table(table)] = document.sections[1].blocks.as_slice()
        else {
            panic!("{document:?}");
        };
        let Block::Code(code) = &list.items[0].blocks[0] else { panic!("{list:?}") };
        let script = code.script();
        assert_eq!(script.text, "one\n  two\n");
        let at = script.text.find("two").unwrap();
        assert_eq!(text.get(script.place(at..at + 3).range()), Some("two"));
        let cell = &table.rows[0][0];
        assert_eq!(cell.as_str(), "x y z");
        assert_eq!(text.get(cell.slice(2..5).origin().range()), Some("y* z"));
    }
}

#[test]
fn a_large_document_takes_linear_time() {
    let rows = "| Orders | 1 h | **x**: y |\n".repeat(20_000);
    let text =
        format!("# T\n| Service | RTO | Notes |\n|-|-|-|\n{rows}\n{}", "**a:** b\n".repeat(20_000));
    let document = read(&text);
    assert_eq!(document.sections[1].fields.len(), 20_000);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "([#>|*`~<-]|[0-9]\\. |\n|  |```|\\*\\*|: |─|│|├|•|[a-zß\r\t]|\\PC){0,80}") {
        let document = read(&text);
        for section in &document.sections {
            let mut places: Vec<Origin> = section.blocks.iter().map(Block::origin).collect();
            places.extend(section.fields.iter().flat_map(|field| [field.key.origin(), field.value.origin()]));
            for place in places {
                prop_assert!(text.get(place.range()).is_some(), "{place:?} in {text:?}");
            }
        }
    }
}
