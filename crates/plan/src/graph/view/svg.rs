//! The graph as a picture: a column for each tier, a box for each service, needs as curves.
//!
//! Text fits its box because it is cut to a width that holds in any sans-serif font; the whole of it
//! is in the box's title, which browsers show.

use std::collections::HashMap;

use super::{Mood, ServiceView, View};

const BOX_WIDTH: usize = 280;
const BOX_HEIGHT: usize = 58;
const GAP: usize = 18;
const COLUMN_GAP: usize = 110;
const MARGIN: usize = 28;
const HEAD: usize = 92;
const FOOT: usize = 56;
/// A wide letter of 14 px is about 8 px; the box has 12 px of padding on each side.
const TITLE_MAX: usize = 31;
/// Letters of 11.5 px.
const WORDS_MAX: usize = 40;

struct Place {
    x: usize,
    y: usize,
    column: usize,
}

pub(super) fn draw(view: &View) -> String {
    let places = places(view);
    let columns = view.tiers.len().max(1);
    let rows = view.tiers.iter().map(|tier| tier.services.len()).max().unwrap_or(0).max(1);
    let width = (MARGIN * 2 + columns * BOX_WIDTH + (columns - 1) * COLUMN_GAP).max(720);
    let height = HEAD + rows * (BOX_HEIGHT + GAP) + FOOT;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"Services by tier\">\n\
         <style>{STYLE}</style>\n{MARKERS}\
         <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n"
    );
    line!(svg, "<text class=\"head\" x=\"{MARGIN}\" y=\"36\">Services by tier</text>");
    let path = if view.critical_path.is_empty() {
        String::new()
    } else {
        let titles: Vec<&str> = view.critical_path.iter().map(|name| title(view, name)).collect();
        format!("critical path: {}", titles.join(" → "))
    };
    let most = width / 7;
    line!(svg, "<text class=\"sub\" x=\"{MARGIN}\" y=\"56\">{}</text>", escaped(&cut(&path, most)));
    for (at, tier) in view.tiers.iter().enumerate() {
        let x = MARGIN + at * (BOX_WIDTH + COLUMN_GAP);
        let name = escaped(&cut(&tier.title, TITLE_MAX));
        line!(svg, "<text class=\"tier\" x=\"{x}\" y=\"{}\">{name}</text>", HEAD - 10);
    }
    draw_edges(view, &places, &mut svg);
    for service in view.services() {
        if let Some(place) = places.get(service.name.as_str()) {
            draw_box(service, place, &mut svg);
        }
    }
    draw_legend(height, &mut svg);
    svg.push_str("</svg>\n");
    svg
}

fn title<'v>(view: &'v View, name: &'v str) -> &'v str {
    let found = view.services().find(|service| service.name == name);
    found.map_or(name, |service| service.title.as_str())
}

/// In each column the services stand about where those stand that they are tied to in the columns
/// before; so curves cross less.
fn places(view: &View) -> HashMap<&str, Place> {
    let mut places: HashMap<&str, Place> = HashMap::new();
    for (column, tier) in view.tiers.iter().enumerate() {
        let mut order: Vec<(usize, usize, &ServiceView)> = Vec::new();
        for (at, service) in tier.services.iter().enumerate() {
            let tied: Vec<usize> = service
                .needs
                .iter()
                .filter_map(|need| places.get(need.as_str()).map(|place| place.y))
                .collect();
            let mean = tied.iter().sum::<usize>().checked_div(tied.len());
            order.push((mean.unwrap_or(HEAD + at * (BOX_HEIGHT + GAP)), at, service));
        }
        order.sort_by_key(|(mean, at, _)| (*mean, *at));
        for (row, (_, _, service)) in order.into_iter().enumerate() {
            let x = MARGIN + column * (BOX_WIDTH + COLUMN_GAP);
            let y = HEAD + row * (BOX_HEIGHT + GAP);
            places.insert(&service.name, Place { x, y, column });
        }
    }
    places
}

fn draw_edges(view: &View, places: &HashMap<&str, Place>, svg: &mut String) {
    let mut plain = String::new();
    let mut bold = String::new();
    for service in view.services() {
        let Some(from) = places.get(service.name.as_str()) else { continue };
        for need in &service.needs {
            let Some(to) = places.get(need.as_str()) else { continue };
            let is_critical = view.on_path(&service.name, need);
            let class = if is_critical { "edge critical" } else { "edge" };
            let end = if is_critical { "critical" } else { "plain" };
            let line = format!(
                "<path class=\"{class}\" d=\"{}\" marker-end=\"url(#{end})\"><title>{} needs {}</title></path>\n",
                curve(from, to),
                escaped(&service.title),
                escaped(title(view, need))
            );
            if is_critical { &mut bold } else { &mut plain }.push_str(&line);
        }
    }
    // The critical path lies on top.
    svg.push_str(&plain);
    svg.push_str(&bold);
}

/// From who needs to what is needed. Within a column the curve goes round on the right side.
fn curve(from: &Place, to: &Place) -> String {
    let (y1, y2) = (from.y + BOX_HEIGHT / 2, to.y + BOX_HEIGHT / 2);
    if from.column == to.column {
        let x = from.x + BOX_WIDTH;
        let rows = from.y.abs_diff(to.y) / (BOX_HEIGHT + GAP);
        let out = x + (24 + rows * 9).min(COLUMN_GAP - 20);
        let (y1, y2) = if y1 > y2 { (y1 - 9, y2 + 9) } else { (y1 + 9, y2 - 9) };
        return format!("M{x} {y1} C{out} {y1} {out} {y2} {} {y2}", x + 5);
    }
    let (x1, x2) = if from.column > to.column {
        (from.x, to.x + BOX_WIDTH + 5)
    } else {
        (from.x + BOX_WIDTH, to.x - 5)
    };
    let middle = usize::midpoint(x1, x2);
    format!("M{x1} {y1} C{middle} {y1} {middle} {y2} {x2} {y2}")
}

fn draw_box(service: &ServiceView, place: &Place, svg: &mut String) {
    let Place { x, y, .. } = place;
    let mood = match service.mood() {
        Mood::Broken => "broken",
        Mood::None => "none",
        Mood::Little => "little",
        Mood::Enough => "enough",
        Mood::Unbound => "unbound",
    };
    let critical = if service.is_critical { " critical" } else { "" };
    let words = service.words();
    line!(
        svg,
        "<g class=\"service {mood}{critical}\"><title>{}: {}</title>\
         <rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\" rx=\"7\"/>\
         <rect class=\"slack\" x=\"{x}\" y=\"{y}\" width=\"7\" height=\"{BOX_HEIGHT}\" rx=\"3.5\"/>\
         <text class=\"name\" x=\"{}\" y=\"{}\">{}</text>\
         <text class=\"words\" x=\"{}\" y=\"{}\">{}</text></g>",
        escaped(&service.title),
        escaped(&words),
        x + 18,
        y + 24,
        escaped(&cut(&service.title, TITLE_MAX)),
        x + 18,
        y + 44,
        escaped(&cut(&words, WORDS_MAX)),
    );
}

fn draw_legend(height: usize, svg: &mut String) {
    let y = height - 26;
    let moods = [
        ("broken", "promise broken"),
        ("none", "no slack"),
        ("little", "little slack"),
        ("enough", "slack"),
        ("unbound", "nothing promised"),
    ];
    for (at, (class, words)) in moods.into_iter().enumerate() {
        let x = MARGIN + at * 132;
        line!(
            svg,
            "<g class=\"service {class}\"><rect class=\"slack\" x=\"{x}\" y=\"{}\" width=\"12\" \
             height=\"12\" rx=\"3\"/><text class=\"words\" x=\"{}\" y=\"{y}\">{words}</text></g>",
            y - 10,
            x + 18,
        );
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const MARKERS: &str = "<defs>\
<marker id=\"plain\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
orient=\"auto\"><path class=\"tip\" d=\"M0 0 L8 4 L0 8 z\"/></marker>\
<marker id=\"critical\" viewBox=\"0 0 8 8\" refX=\"6\" refY=\"4\" markerWidth=\"5\" markerHeight=\"5\" \
orient=\"auto\"><path class=\"tip critical\" d=\"M0 0 L8 4 L0 8 z\"/></marker></defs>\n";

const STYLE: &str = "\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#1d2733}\
.paper{fill:#fbfbf9}.head{font-size:20px;font-weight:650}.sub{font-size:12px;fill:#5b6775}\
.tier{font-size:14px;font-weight:650;fill:#44505e}\
.box{fill:#fff;stroke:#cfd6dd;stroke-width:1}.critical .box{stroke:#1d2733;stroke-width:2.5}\
.name{font-size:14px;font-weight:600}.words{font-size:11.5px;fill:#5b6775}\
.edge{fill:none;stroke:#9aa6b2;stroke-width:1.3}.edge.critical{stroke:#1d2733;stroke-width:3}\
.tip{fill:#9aa6b2}.tip.critical{fill:#1d2733}\
.broken .slack{fill:#c8322b}.none .slack{fill:#e07b1a}.little .slack{fill:#e8b923}\
.enough .slack{fill:#3a9a5b}.unbound .slack{fill:#b5bec7}\
@media(prefers-color-scheme:dark){text{fill:#e6ebf0}.paper{fill:#14191f}.sub,.words{fill:#9fabb8}\
.tier{fill:#c2ccd6}.box{fill:#1c232b;stroke:#3a4653}.critical .box,.edge.critical{stroke:#e6ebf0}\
.edge{stroke:#5d6b79}.tip{fill:#5d6b79}.tip.critical{fill:#e6ebf0}}";
