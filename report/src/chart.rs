//! Charts, as SVG: black, grey and one blue that the colour-blind tell from both, with every number beside its bar. Each says the same as
//! the tables.

mod day;
mod matrix;
mod timeline;
mod upset;

pub use day::day;
pub use matrix::agency_matrix;
pub use timeline::timeline;
pub use upset::upset;

use svg::{
    Document, Node,
    node::element::{Circle, Description, Line, Rectangle, Text, Title},
};

const INK: &str = "#1a1a1a";
const GREY: &str = "#d9d9d9";
/// Of the palette of Okabe and Ito.
const BLUE: &str = "#0072b2";
const LIGHT: &str = "#f4f4f4";

/// Width of a character of the charts' text, about.
const CHARACTER: f64 = 7.2;

/// A chart in the making, in units of one pixel at 96 dpi.
struct Chart {
    document: Document,
}

#[derive(Clone, Copy)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl Chart {
    fn new(width: f64, height: f64, title: &str, describes: &str) -> Self {
        let document = Document::new()
            .set("viewBox", (0, 0, width.ceil() as i64, height.ceil() as i64))
            .set("width", width.ceil())
            .set("height", height.ceil())
            .set("role", "img")
            .set("font-family", "Liberation Sans, Arial, Helvetica, sans-serif")
            .set("font-size", 13)
            .add(Title::new(title))
            .add(Description::new().add(svg::node::Text::new(describes)));
        let mut chart = Self { document };
        chart.bar(0.0, 0.0, width, height, "white");
        chart.text(16.0, 26.0, title, Anchor::Start);
        chart
    }

    fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let bar = Rectangle::new()
            .set("x", round(x))
            .set("y", round(y))
            .set("width", round(width))
            .set("height", round(height))
            .set("fill", fill);
        self.document.append(bar);
    }

    fn text(&mut self, x: f64, y: f64, text: &str, anchor: Anchor) {
        self.document.append(label(x, y, text, anchor, INK));
    }

    fn text_in(&mut self, x: f64, y: f64, text: &str, anchor: Anchor, fill: &str) {
        self.document.append(label(x, y, text, anchor, fill));
    }

    /// Text that is read with the head to the left, ending at the point.
    fn slanted(&mut self, x: f64, y: f64, text: &str) {
        let turned =
            label(x, y, text, Anchor::Start, INK).set("transform", format!("rotate(-45 {} {})", round(x), round(y)));
        self.document.append(turned);
    }

    fn dot(&mut self, x: f64, y: f64, radius: f64, fill: &str) {
        let dot = Circle::new()
            .set("cx", round(x))
            .set("cy", round(y))
            .set("r", radius)
            .set("fill", fill);
        self.document.append(dot);
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64), width: f64) {
        let line = Line::new()
            .set("x1", round(from.0))
            .set("y1", round(from.1))
            .set("x2", round(to.0))
            .set("y2", round(to.1))
            .set("stroke", INK)
            .set("stroke-width", width);
        self.document.append(line);
    }

    fn finish(self) -> String {
        self.document.to_string() + "\n"
    }
}

fn label(x: f64, y: f64, text: &str, anchor: Anchor, fill: &str) -> Text {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    Text::new(text)
        .set("x", round(x))
        .set("y", round(y))
        .set("text-anchor", anchor)
        .set("fill", fill)
}

/// A tenth of a pixel is enough, and keeps files the same from machine to machine.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Width of the longest of some names.
fn widest<'a>(names: impl IntoIterator<Item = &'a str>) -> f64 {
    let longest = names.into_iter().map(|name| name.chars().count()).max();
    longest.unwrap_or_default() as f64 * CHARACTER
}

/// Part of a length that a count takes of the largest.
fn scaled(count: u64, most: u64, length: f64) -> f64 {
    match most {
        0 => 0.0,
        _ => count as f64 / most as f64 * length,
    }
}

/// A number with thin spaces between thousands.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}
