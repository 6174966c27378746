//! Events of CommonMark to sections and blocks.

use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::{
    Block, Code, Document, Item, LABEL, List, Section, Table, drawing, empty, fields, grid,
};
use crate::language::{FileId, Origin};
use crate::markdown::text::Text;
use crate::markdown::vocabulary::topic;

/// Lists nested deeper belong to the one above: nobody reads further, and the depth of the tree is
/// the depth of the stack that walks it.
const LIST_DEPTH_MAX: usize = 12;

/// Reads a document.
pub(crate) fn read(file: FileId, source: &str) -> Document {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut builder = Builder::new(file, source);
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        builder.event(event, range);
    }
    builder.finish()
}

struct Builder<'s> {
    file: FileId,
    source: &'s str,
    sections: Vec<Section>,
    front_matter: Vec<super::Field>,
    /// Lists and items that are open, the outermost first.
    lists: Vec<List>,
    /// Lists that are too deep to be lists of their own.
    too_deep: usize,
    table: Option<Table>,
    code: Option<Code>,
    is_metadata: bool,
    html: Option<Range<usize>>,
    heading: Option<u8>,
    inline: Text,
    strong: Vec<usize>,
}

impl<'s> Builder<'s> {
    fn new(file: FileId, source: &'s str) -> Self {
        Self {
            file,
            source,
            sections: vec![empty(file)],
            front_matter: Vec::new(),
            lists: Vec::new(),
            too_deep: 0,
            table: None,
            code: None,
            is_metadata: false,
            html: None,
            heading: None,
            inline: Text::new(file),
            strong: Vec::new(),
        }
    }

    fn event(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.text(&text, range);
            }
            Event::Code(text) => self.inline_code(&text, range),
            Event::SoftBreak | Event::HardBreak => self.inline.push("\n", range),
            Event::Html(_) => {
                let html = self.html.get_or_insert_with(|| range.clone());
                html.end = html.end.max(range.end);
            }
            Event::InlineHtml(html) => self.inline_html(&html, range),
            Event::FootnoteReference(_) | Event::Rule | Event::TaskListMarker(_) => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.flush(),
            Tag::Heading { level, .. } => {
                self.flush();
                self.heading = Some(depth(level));
            }
            Tag::CodeBlock(kind) => {
                self.flush();
                let language = match kind {
                    CodeBlockKind::Fenced(info) => {
                        let word = info.split([' ', ',', '{']).find(|word| !word.is_empty());
                        word.unwrap_or("").trim_matches(['.', '}']).to_lowercase()
                    }
                    CodeBlockKind::Indented => String::new(),
                };
                let origin = Origin::new(self.file, range);
                self.code = Some(Code { language, text: Text::new(self.file), origin });
            }
            Tag::List(first) => {
                self.flush();
                if self.lists.len() < LIST_DEPTH_MAX {
                    let ordered = first.is_some();
                    self.lists.push(List { ordered, ..List::default() });
                } else {
                    self.too_deep += 1;
                }
            }
            Tag::Item => {
                self.flush();
                let item = Item { text: Text::new(self.file), blocks: Vec::new() };
                self.lists.last_mut().into_iter().for_each(|list| list.items.push(item.clone()));
            }
            Tag::Table(_) => {
                self.flush();
                let origin = Origin::new(self.file, range);
                self.table = Some(Table { origin, ..Table::default() });
            }
            Tag::TableRow => self.table_row(),
            Tag::TableCell => self.inline = Text::new(self.file),
            Tag::Strong => self.strong.push(self.inline.len()),
            Tag::MetadataBlock(_) => self.is_metadata = true,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: Range<usize>) {
        match tag {
            TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::Heading(_) => self.end_heading(),
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    drawing::blocks(code).into_iter().for_each(|block| self.push(block));
                }
            }
            TagEnd::List(_) if self.too_deep > 0 => self.too_deep -= 1,
            TagEnd::List(_) => {
                self.flush();
                if let Some(list) = self.lists.pop() {
                    self.push(Block::List(list));
                }
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.push(Block::Table(table));
                }
            }
            TagEnd::TableCell => self.table_cell(),
            TagEnd::Strong => {
                if let Some(start) = self.strong.pop() {
                    let end = self.inline.len();
                    self.inline.embolden(start.min(end)..end);
                }
            }
            TagEnd::HtmlBlock => self.html_block(range),
            TagEnd::MetadataBlock(_) => {
                self.is_metadata = false;
                let text = std::mem::replace(&mut self.inline, Text::new(self.file));
                self.front_matter = text.lines().iter().filter_map(fields::of_line).collect();
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str, range: Range<usize>) {
        let to = match &mut self.code {
            Some(code) => &mut code.text,
            None => &mut self.inline,
        };
        let written = self.source.get(range.clone()).unwrap_or("");
        if written.len() != text.len() && written.replace("\r\n", "\n") == text {
            // Lines that end in two characters: each line is a piece of its own.
            let mut start = range.start;
            for line in written.split_inclusive('\n') {
                let body = line.trim_end_matches(['\r', '\n']);
                to.push(body, start..start + body.len());
                if line.len() > body.len() {
                    to.push("\n", start + body.len()..start + line.len());
                }
                start += line.len();
            }
        } else {
            to.push(text, range);
        }
    }

    fn inline_code(&mut self, text: &str, range: Range<usize>) {
        let ticks = self.source.get(range.clone()).unwrap_or("");
        let ticks = ticks.len() - ticks.trim_start_matches('`').len();
        let inner = range.start + ticks..range.end.saturating_sub(ticks).max(range.start + ticks);
        self.inline.push(text, inner);
    }

    /// A line break is one; other tags are decoration, and what is no tag is a word: `<token>`.
    fn inline_html(&mut self, html: &str, range: Range<usize>) {
        const DECORATION: [&str; 21] = [
            "a", "abbr", "b", "br", "code", "del", "details", "em", "font", "i", "img", "ins",
            "kbd", "mark", "p", "small", "span", "strong", "sub", "summary", "u",
        ];
        let name = html.trim_start_matches(['<', '/']);
        let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        let name = name.to_ascii_lowercase();
        if name == "br" || name == "p" {
            self.inline.push("\n", range);
        } else if !html.starts_with("<!") && !DECORATION.contains(&name.as_str()) {
            self.inline.push(html, range);
        }
    }

    fn html_block(&mut self, range: Range<usize>) {
        let html = self.html.take().unwrap_or(range);
        let written = self.source.get(html.clone()).unwrap_or("").trim_start().to_ascii_lowercase();
        if written.contains("<table") {
            self.push(Block::Foreign(Origin::new(self.file, html), "a table in HTML"));
        }
    }

    /// What was written since the last block began: a paragraph, or the words of an item.
    fn flush(&mut self) {
        let text = std::mem::replace(&mut self.inline, Text::new(self.file));
        self.strong.clear();
        if text.is_blank() || self.is_metadata {
            return;
        }
        let items = self.lists.last_mut().map(|list| &mut list.items);
        match items.and_then(|items| items.last_mut()) {
            Some(item) if item.text.is_blank() && item.blocks.is_empty() => item.text = text,
            Some(item) => item.blocks.push(Block::Paragraph(text)),
            None => match grid::table(&text) {
                Some(table) => self.push(Block::Table(table)),
                None => self.push(Block::Paragraph(text)),
            },
        }
    }

    fn push(&mut self, block: Block) {
        let items = self.lists.last_mut().map(|list| &mut list.items);
        if let Some(item) = items.and_then(|items| items.last_mut()) {
            item.blocks.push(block);
        } else if let Some(section) = self.sections.last_mut() {
            section.blocks.push(block);
        }
    }

    fn end_heading(&mut self) {
        let text = std::mem::replace(&mut self.inline, Text::new(self.file));
        self.strong.clear();
        let Some(level) = self.heading.take() else { return };
        // A heading inside a list is a line of it.
        if self.lists.is_empty() {
            self.sections.push(Section { title: text.trim(), level, ..Section::default() });
        } else {
            self.push(Block::Paragraph(text));
        }
    }

    fn table_row(&mut self) {
        self.table.iter_mut().for_each(|table| table.rows.push(Vec::new()));
    }

    fn table_cell(&mut self) {
        let cell = std::mem::replace(&mut self.inline, Text::new(self.file)).trim();
        self.strong.clear();
        let Some(table) = &mut self.table else { return };
        match table.rows.last_mut() {
            Some(row) => row.push(cell),
            None => table.columns.push(cell),
        }
    }

    fn finish(mut self) -> Document {
        self.flush();
        let mut sections = Vec::new();
        for section in self.sections {
            fields::split(section, &mut sections);
        }
        // The last section of each lower level is the one a section belongs to.
        let mut last = [None; LABEL as usize + 1];
        for (at, section) in sections.iter_mut().enumerate() {
            let level = usize::from(section.level);
            section.topic = topic(section.title.as_str());
            section.parent = last.iter().take(level).rev().copied().flatten().next();
            if let Some(slots) = last.get_mut(level..) {
                slots.fill(None);
            }
            if let Some(slot) = last.get_mut(level) {
                *slot = Some(at);
            }
        }
        Document { sections, front_matter: self.front_matter }
    }
}

fn depth(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
