//! The UpSet plot (Lex and others, 2014): which combinations of agencies have how many subjects in common.

use super::{Anchor, BLUE, Chart, GREY, INK, LIGHT, grouped, scaled, widest};
use crate::picture::{Combination, KindPicture, Picture};

/// Most combinations in one plot, the largest.
const MOST: usize = 40;
const ROW: f64 = 26.0;
const COLUMN: f64 = 34.0;
const BARS: f64 = 200.0;
const SIDE: f64 = 120.0;
const TOP: f64 = 56.0;

/// Draws what was found of one kind. Agencies from the top down as in the picture; combinations from the largest on, those of two and
/// more agencies in blue.
pub fn upset(picture: &Picture, found: &KindPicture) -> String {
    let names = picture.names();
    let shown: Vec<&Combination> = found.combinations.iter().take(MOST).collect();
    let names_width = widest(names.iter().copied()) + 12.0;
    let left = 16.0 + SIDE + 60.0 + names_width;
    let width = (left + COLUMN * shown.len().max(1) as f64 + 24.0).max(520.0);
    let rows = TOP + BARS + 16.0;
    let notes = notes(picture, found, shown.len());
    let height = rows + ROW * names.len() as f64 + 20.0 * notes.len() as f64 + 24.0;
    let title = format!("{}: who has what in common", found.kind);
    let describes = format!(
        "UpSet plot of {} combinations of {} agencies; the table beside it has the same numbers.",
        shown.len(),
        names.len()
    );
    let mut chart = Chart::new(width, height, &title, &describes);

    let most = shown.iter().map(|one| one.count).max().unwrap_or_default();
    for (at, one) in shown.iter().enumerate() {
        let middle = left + COLUMN * (at as f64 + 0.5);
        let bar = scaled(one.count, most, BARS - 24.0);
        let fill = if one.agencies.len() > 1 { BLUE } else { INK };
        chart.bar(middle - 10.0, TOP + BARS - bar, 20.0, bar, fill);
        chart.text(middle, TOP + BARS - bar - 5.0, &grouped(one.count), Anchor::Middle);
    }
    chart.line(
        (left, TOP + BARS),
        (left + COLUMN * shown.len() as f64, TOP + BARS),
        1.0,
    );

    let sizes: Vec<u64> = names.iter().map(|name| found.of_agency(name)).collect();
    let largest = sizes.iter().copied().max().unwrap_or_default();
    for (row, (name, size)) in names.iter().zip(&sizes).enumerate() {
        let middle = rows + ROW * (row as f64 + 0.5);
        if row % 2 == 0 {
            chart.bar(left, middle - ROW / 2.0, COLUMN * shown.len() as f64, ROW, LIGHT);
        }
        let bar = scaled(*size, largest, SIDE);
        let end = 16.0 + 60.0 + SIDE;
        chart.bar(end - bar, middle - 8.0, bar, 16.0, INK);
        chart.text(end - bar - 5.0, middle + 4.5, &grouped(*size), Anchor::End);
        chart.text(left - 8.0, middle + 4.5, name, Anchor::End);
        for (at, one) in shown.iter().enumerate() {
            let has = one.agencies.iter().any(|agency| agency == name);
            let fill = match (has, one.agencies.len()) {
                (false, _) => GREY,
                (true, 1) => INK,
                (true, _) => BLUE,
            };
            chart.dot(left + COLUMN * (at as f64 + 0.5), middle, 7.0, fill);
        }
    }
    for (at, one) in shown.iter().enumerate() {
        let held = names
            .iter()
            .enumerate()
            .filter(|(_, name)| one.agencies.iter().any(|agency| agency == *name));
        let held: Vec<usize> = held.map(|(row, _)| row).collect();
        if let (Some(first), Some(last)) = (held.first(), held.last())
            && first < last
        {
            let x = left + COLUMN * (at as f64 + 0.5);
            let y = |row: usize| rows + ROW * (row as f64 + 0.5);
            chart.line((x, y(*first)), (x, y(*last)), 2.5);
        }
    }
    for (at, note) in notes.iter().enumerate() {
        let y = rows + ROW * names.len() as f64 + 24.0 + 20.0 * at as f64;
        chart.text(16.0, y, note, Anchor::Start);
    }
    chart.finish()
}

/// What has to be said under it.
fn notes(picture: &Picture, found: &KindPicture, shown: usize) -> Vec<String> {
    let mut notes = Vec::new();
    match found.unique {
        Some(unique) => notes.push(format!(
            "{} unique subjects; {} are known to two or more agencies.",
            grouped(unique),
            grouped(found.shared())
        )),
        None => notes.push(format!("Nothing is told: there are fewer than {}.", picture.min_count)),
    }
    if found.is_partial() && found.unique.is_some() {
        notes.push(format!(
            "Combinations that are not shown have none, or are withheld: counts below {}, and what they could be worked out from.",
            picture.min_count
        ));
    }
    if found.combinations.len() > shown {
        let more = found.combinations.len() - shown;
        notes.push(format!("{more} smaller combinations are in the table alone."));
    }
    notes
}
