//! A document as one HTML file: no script, no font, no picture from elsewhere; on screen light or
//! dark as the reader likes, on paper with page breaks where they belong.

use super::inline::{Inline, Line};
use super::page::{Block, Heading, Page, Step, Table};

/// How it looks.
const STYLE: &str = include_str!("style.css");

/// `every half year` is the longest of the words that read badly in two lines.
const UNBROKEN_CHARACTERS_MAX: usize = 15;

pub(super) fn render(page: &Page) -> String {
    let mut out = String::new();
    open(&mut out, &page.title, STYLE);
    out.push_str("<body>\n");
    out.push_str("<main>\n<header>\n");
    out.push_str(&format!("<h1>{}</h1>\n", escaped(&page.title)));
    out.push_str(&format!("<p class=\"origin\">{}</p>\n</header>\n", escaped(&page.origin)));
    let mut has_contents = false;
    for block in &page.blocks {
        if is_chapter(block) && !std::mem::replace(&mut has_contents, true) {
            contents(&mut out, page);
        }
        write(&mut out, page, block);
    }
    out.push_str(&format!(
        "<footer>{}</footer>\n</main>\n</body>\n</html>\n",
        escaped(&page.footer)
    ));
    out
}

/// The beginning of a file that needs no other.
pub(super) fn open(out: &mut String, title: &str, style: &str) {
    out.push_str("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    // Whatever a plan contains, this file loads nothing and runs nothing.
    out.push_str(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n",
    );
    out.push_str("<meta name=\"color-scheme\" content=\"light dark\">\n");
    out.push_str(&format!(
        "<title>{}</title>\n<style>\n{style}</style>\n</head>\n",
        escaped(title)
    ));
}

fn contents(out: &mut String, page: &Page) {
    out.push_str("<nav aria-label=\"Contents\">\n<strong>Contents</strong>\n<ol>\n");
    let mut is_open = false;
    for block in &page.blocks {
        let Block::Heading(heading) = block else { continue };
        let link =
            format!("<a href=\"#{}\">{}</a>", escaped(&heading.anchor), escaped(&heading.text));
        match heading.level {
            2 => {
                out.push_str(if std::mem::replace(&mut is_open, true) {
                    "</ul></li>\n"
                } else {
                    ""
                });
                out.push_str(&format!("<li>{link}<ul>"));
            }
            3 if page.procedures.contains(&heading.anchor) => {
                out.push_str(&format!("<li>{link}</li>"));
            }
            _ => {}
        }
    }
    out.push_str(if is_open { "</ul></li>\n</ol>\n</nav>\n" } else { "</ol>\n</nav>\n" });
}

fn is_chapter(block: &Block) -> bool {
    matches!(block, Block::Heading(Heading { level: 2, .. }))
}

fn write(out: &mut String, page: &Page, block: &Block) {
    match block {
        Block::Heading(heading) => head(out, page, heading),
        Block::Paragraph(text) => out.push_str(&format!("<p>{}</p>\n", line(text))),
        Block::Facts(facts) => {
            out.push_str("<dl>\n");
            for (name, value) in facts {
                out.push_str(&format!("<div><dt>{name}</dt><dd>{}</dd></div>\n", line(value)));
            }
            out.push_str("</dl>\n");
        }
        Block::Table(described) => table(out, described),
        Block::List(items) => {
            let items: String =
                items.iter().map(|item| format!("<li>{}</li>\n", line(item))).collect();
            out.push_str(&format!("<ul>\n{items}</ul>\n"));
        }
        Block::Code { text, .. } => {
            out.push_str(&format!("<pre><code>{}</code></pre>\n", escaped(text)));
        }
        Block::Step(described) => step(out, page, described),
    }
}

fn head(out: &mut String, page: &Page, heading: &Heading) {
    let aside = heading.aside.as_ref().map_or_else(String::new, |aside| {
        format!(" <span class=\"aside\">{}</span>", escaped(aside))
    });
    let (level, anchor) = (heading.level, escaped(&heading.anchor));
    let text = escaped(&heading.text);
    let is_procedure = page.procedures.contains(&heading.anchor);
    let class = if is_procedure { " class=\"procedure\"" } else { "" };
    out.push_str(&format!(
        "<h{level} id=\"{anchor}\"{class}><a href=\"#{anchor}\">{text}</a>{aside}</h{level}>\n"
    ));
}

fn table(out: &mut String, table: &Table) {
    let head: String =
        table.head.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect();
    out.push_str(&format!(
        "<div class=\"table\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
    ));
    for row in &table.rows {
        let cells: String = row.iter().map(cell).collect();
        out.push_str(&format!("<tr>{cells}</tr>\n"));
    }
    out.push_str("</tbody>\n</table></div>\n");
}

/// A cell; short ones, such as durations and dates, are not broken.
fn cell(content: &Line) -> String {
    let is_short = content.plain().chars().count() <= UNBROKEN_CHARACTERS_MAX;
    let class = if is_short { " class=\"short\"" } else { "" };
    format!("<td{class}>{}</td>", line(content))
}

fn step(out: &mut String, page: &Page, step: &Step) {
    let class = match (step.is_approval, step.is_destructive) {
        (true, _) => "step approval",
        (_, true) => "step destructive",
        _ => "step",
    };
    let mut remarks: Vec<String> = step.remarks.iter().map(line).collect();
    if step.is_destructive {
        remarks.push("<strong>cannot be taken back</strong>".to_owned());
    }
    out.push_str(&format!("<section class=\"{class}\">\n"));
    out.push_str(&format!(
        "<h5><span class=\"box\" aria-hidden=\"true\"></span><span class=\"number\">{}</span> {}</h5>\n",
        escaped(&step.number),
        line(&step.title)
    ));
    if !remarks.is_empty() {
        out.push_str(&format!("<p class=\"remarks\">{}</p>\n", remarks.join(" · ")));
    }
    step.body.iter().for_each(|block| write(out, page, block));
    if !step.done_when.is_empty() {
        out.push_str("<div class=\"done\"><strong>Done when</strong>\n<ul>\n");
        for probe in &step.done_when {
            out.push_str("<li>");
            probe.iter().for_each(|block| write(out, page, block));
            out.push_str("</li>\n");
        }
        out.push_str("</ul></div>\n");
    }
    if !step.notes.is_empty() {
        out.push_str("<ul class=\"notes\">\n");
        for (name, value) in &step.notes {
            out.push_str(&format!("<li><span>{name}</span> {}</li>\n", line(value)));
        }
        out.push_str("</ul>\n");
    }
    out.push_str("</section>\n");
}

fn line(line: &Line) -> String {
    let parts = line.0.iter().map(|part| match part {
        Inline::Text(words) => escaped(words),
        Inline::Strong(words) => format!("<strong>{}</strong>", escaped(words)),
        Inline::Code(words) => format!("<code>{}</code>", escaped(words)),
        Inline::Break => "<br>".to_owned(),
    });
    parts.collect()
}

/// A text that the browser shows and does not obey, also in an attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
