//! How much every two agencies have in common.

use super::{Anchor, BLUE, Chart, INK, grouped, widest};
use crate::picture::{KindPicture, Picture};

const CELL: f64 = 64.0;

/// Draws what every two agencies have in common of one kind, whoever else has it; on the diagonal what each has at all. The
/// darker, the larger a part of what the smaller of the two has, or, where sizes are withheld, the more.
pub fn agency_matrix(picture: &Picture, found: &KindPicture) -> String {
    let names = picture.names();
    let side = widest(names.iter().copied()) + 24.0;
    let (left, top) = (16.0 + side, 48.0 + side * 0.75);
    let width = (left + CELL * names.len() as f64 + side * 0.75).max(480.0);
    let height = top + CELL * names.len() as f64 + 48.0;
    let title = format!("{}: what every two agencies have in common", found.kind);
    let describes = format!(
        "Matrix of {} agencies; the text file beside it has the same numbers.",
        names.len()
    );
    let mut chart = Chart::new(width, height, &title, &describes);
    // what two have in common, as a part of what the smaller of them has; of sizes that are withheld nothing can be a part
    let part = |one: &str, other: &str| {
        if found.is_partial() {
            return found.of_both(one, other) as f64;
        }
        let least = found.of_agency(one).min(found.of_agency(other));
        super::scaled(found.of_both(one, other), least, 1.0)
    };
    let pairs = names.iter().flat_map(|one| {
        names
            .iter()
            .filter(move |other| *other != one)
            .map(move |other| (one, other))
    });
    let largest = pairs
        .map(|(one, other)| part(one, other))
        .fold(f64::MIN_POSITIVE, f64::max);
    for (row, one) in names.iter().enumerate() {
        let y = top + CELL * row as f64;
        chart.text(left - 10.0, y + CELL / 2.0 + 4.5, one, Anchor::End);
        chart.slanted(left + CELL * (row as f64 + 0.4), top - 8.0, one);
        for (column, other) in names.iter().enumerate() {
            let x = left + CELL * column as f64;
            let both = found.of_both(one, other);
            let (fill, ink) = match row == column {
                true => (INK.to_owned(), "white"),
                false => shade(part(one, other) / largest),
            };
            chart.bar(x + 1.0, y + 1.0, CELL - 2.0, CELL - 2.0, &fill);
            let told = match both {
                // none, or withheld
                0 if found.is_partial() => "–".to_owned(),
                _ => format!("{}{}", found.at_least(), grouped(both)),
            };
            chart.text_in(x + CELL / 2.0, y + CELL / 2.0 + 4.5, &told, Anchor::Middle, ink);
        }
    }
    let note = match found.is_partial() {
        true => format!(
            "≥: what is told of it; counts below {} are withheld.",
            picture.min_count
        ),
        false => "On the diagonal: all that the agency took part with.".to_owned(),
    };
    chart.text(16.0, height - 16.0, &note, Anchor::Start);
    chart.finish()
}

/// A blue as deep as a part of the largest, and what is read on it.
fn shade(depth: f64) -> (String, &'static str) {
    if depth > 0.95 {
        return (BLUE.to_owned(), "white");
    }
    let channel = |full: f64| (255.0 + (full - 255.0) * depth).round() as u8;
    let fill = format!("#{:02x}{:02x}{:02x}", channel(0.0), channel(114.0), channel(178.0));
    (fill, if depth > 0.75 { "white" } else { INK })
}
