//! The UpSet plot (Lex and others, 2014): which combinations of agencies have how many subjects in common.

use super::{Anchor, BLUE, CHARACTER, Chart, GREY, INK, LIGHT, grouped, scaled, widest};
use crate::picture::{Combination, KindPicture, Picture};

/// Most combinations in one plot, the largest.
const MOST: usize = 40;
const ROW: f64 = 26.0;
const BARS: f64 = 200.0;
const SIDE: f64 = 120.0;
const TOP: f64 = 56.0;

/// Draws what was found of one kind: a column for each combination of two agencies and more, the largest first; on the left what
/// each agency has, and how much of it nobody else.
pub fn upset(picture: &Picture, found: &KindPicture) -> String {
    let names = picture.names();
    let several = found.combinations.iter().filter(|one| one.agencies.len() > 1);
    let shown: Vec<&Combination> = several.clone().take(MOST).collect();
    let sizes: Vec<u64> = names.iter().map(|name| found.of_agency(name)).collect();
    let labels: Vec<String> = names
        .iter()
        .zip(&sizes)
        .map(|(name, size)| label(found, name, *size))
        .collect();
    let label_width = widest(labels.iter().map(String::as_str));
    let left = 16.0 + label_width + 10.0 + SIDE + widest(names.iter().copied()) + 20.0;
    let most = shown.iter().map(|one| one.count).max().unwrap_or_default();
    let column = (widest([grouped(most).as_str()]) + 10.0).max(34.0);
    let notes = notes(picture, found, several.count());
    let width = (left + column * shown.len() as f64).max(widest(notes.iter().map(String::as_str)) + 16.0) + 24.0;
    let rows = TOP + BARS + 16.0;
    let height = rows + ROW * names.len() as f64 + 20.0 * notes.len() as f64 + 24.0;
    let title = format!("{}: who shares what", found.kind);
    let describes = format!(
        "UpSet plot of {} combinations of {} agencies; the text file beside it has the same numbers.",
        shown.len(),
        names.len()
    );
    let mut chart = Chart::new(width, height, &title, &describes);

    let middle_of = |at: usize| left + column * (at as f64 + 0.5);
    for (at, one) in shown.iter().enumerate() {
        let bar = scaled(one.count, most, BARS - 24.0);
        chart.bar(middle_of(at) - 10.0, TOP + BARS - bar, 20.0, bar, BLUE);
        chart.text(
            middle_of(at),
            TOP + BARS - bar - 5.0,
            &grouped(one.count),
            Anchor::Middle,
        );
    }
    chart.line(
        (left, TOP + BARS),
        (left + column * shown.len() as f64, TOP + BARS),
        1.0,
    );

    let largest = sizes.iter().copied().max().unwrap_or_default();
    for (row, ((name, size), label)) in names.iter().zip(&sizes).zip(&labels).enumerate() {
        let middle = rows + ROW * (row as f64 + 0.5);
        if row % 2 == 0 {
            chart.bar(left, middle - ROW / 2.0, column * shown.len() as f64, ROW, LIGHT);
        }
        let bar = scaled(*size, largest, SIDE);
        let end = 16.0 + label_width + 10.0 + SIDE;
        // of what is told in part a bar is not the whole
        let fill = if found.is_partial() { GREY } else { INK };
        chart.bar(end - bar, middle - 8.0, bar, 16.0, fill);
        chart.text(end - bar - 6.0, middle + 4.5, label, Anchor::End);
        chart.text(left - 8.0, middle + 4.5, name, Anchor::End);
        for (at, one) in shown.iter().enumerate() {
            let fill = if has(one, name) { BLUE } else { GREY };
            chart.dot(middle_of(at), middle, 7.0, fill);
        }
    }
    for (at, one) in shown.iter().enumerate() {
        let held = names.iter().enumerate().filter(|(_, name)| has(one, name));
        let held: Vec<usize> = held.map(|(row, _)| row).collect();
        if let (Some(first), Some(last)) = (held.first(), held.last()) {
            let y = |row: usize| rows + ROW * (row as f64 + 0.5);
            chart.line((middle_of(at), y(*first)), (middle_of(at), y(*last)), 2.5);
        }
    }
    for (at, note) in notes.iter().enumerate() {
        let y = rows + ROW * names.len() as f64 + 24.0 + 20.0 * at as f64;
        chart.text(16.0, y, note, Anchor::Start);
    }
    chart.finish()
}

fn has(one: &Combination, name: &str) -> bool {
    one.agencies.iter().any(|agency| agency == name)
}

/// What an agency has, and what of it nobody else has, as far as both are told.
fn label(found: &KindPicture, name: &str, size: u64) -> String {
    let alone = found.combinations.iter().find(|one| one.agencies == [name]);
    match alone {
        Some(alone) => format!("{}{}, {} alone", found.at_least(), grouped(size), grouped(alone.count)),
        None => format!("{}{}", found.at_least(), grouped(size)),
    }
}

/// What has to be said under it, in lines that are not too long.
fn notes(picture: &Picture, found: &KindPicture, several: usize) -> Vec<String> {
    const LONGEST: f64 = 640.0;
    let mut notes = Vec::new();
    match found.unique {
        Some(unique) => {
            let (several, is_all) = found.known_to_several(picture.agencies.len());
            notes.push(format!(
                "{} unique subjects; {}{} are known to two or more agencies.",
                grouped(unique),
                if is_all { "" } else { "at least " },
                grouped(several)
            ));
        }
        None => notes.push(format!(
            "Nothing is told: there are fewer than {least}, or it would give away a count below {least}.",
            least = picture.min_count
        )),
    }
    if found.is_partial() && found.unique.is_some() {
        notes.push("Grey bars and ≥: an agency has at least as many.".to_owned());
        notes.push("Combinations that are not shown have none, or are withheld:".to_owned());
        notes.push(format!(
            "counts below {}, and those that they could be worked out from.",
            picture.min_count
        ));
    }
    if several > MOST {
        notes.push(format!(
            "{} smaller combinations are in the table alone.",
            several - MOST
        ));
    }
    debug_assert!(
        notes
            .iter()
            .all(|note| note.chars().count() as f64 * CHARACTER < LONGEST)
    );
    notes
}
