//! When subjects were first observed.

use std::collections::BTreeMap;

use super::{Anchor, BLUE, Chart, GREY, INK, grouped, scaled, widest};
use crate::{
    picture::{KindPicture, Picture},
    tally::Month,
};

const ROW: f64 = 22.0;
const BARS: f64 = 420.0;
/// Most months in one chart, the latest.
const MOST: usize = 48;

/// Draws per month how many subjects of one kind were first observed in it: victims in blue, suspects and convicted in black, all others,
/// who are both among them, in grey.
pub fn timeline(picture: &Picture, found: &KindPicture) -> String {
    let mut months: BTreeMap<Month, [u64; 3]> = BTreeMap::new();
    for role in &found.roles {
        let is = |name: &str| role.roles.iter().any(|one| one == name);
        let part = match (is("victim"), is("suspect") || is("convicted")) {
            (true, false) => 0,
            (false, true) => 1,
            _ => 2,
        };
        for month in &role.months {
            if let Some(count) = months
                .entry(month.month.parse().unwrap_or_default())
                .or_default()
                .get_mut(part)
            {
                *count += month.count;
            }
        }
    }
    let unknown: u64 = months.remove(&Month::UNKNOWN).map_or(0, |parts| parts.iter().sum());
    let skipped = months.len().saturating_sub(MOST);
    let shown: Vec<(Month, [u64; 3])> = months.into_iter().skip(skipped).collect();
    let (left, top) = (16.0 + widest(["unknown"]) + 12.0, 76.0);
    let mut notes = Vec::new();
    if unknown > 0 {
        notes.push(format!("Of {} no agency knows the month.", grouped(unknown)));
    }
    if skipped > 0 {
        notes.push(format!("{skipped} earlier months are in the table alone."));
    }
    if picture.withholds() {
        notes.push(format!(
            "Parts that are not shown are none, or withheld (below {}).",
            picture.min_count
        ));
    }
    let height = top + ROW * shown.len() as f64 + 20.0 * notes.len() as f64 + 24.0;
    let width = left + BARS + 90.0;
    let title = format!("{}: first observed, by month", found.kind);
    let describes = format!(
        "Bars of {} months; the text file beside it has the same numbers.",
        shown.len()
    );
    let mut chart = Chart::new(width, height, &title, &describes);
    let legend = [("victims", BLUE), ("suspects, convicted", INK), ("both, others", GREY)];
    let mut x = left;
    for (name, fill) in legend {
        chart.bar(x, 46.0, 12.0, 12.0, fill);
        chart.text(x + 17.0, 57.0, name, Anchor::Start);
        x += widest([name]) + 40.0;
    }
    let most = shown
        .iter()
        .map(|(_, parts)| parts.iter().sum())
        .max()
        .unwrap_or_default();
    for (at, (month, parts)) in shown.iter().enumerate() {
        let y = top + ROW * at as f64;
        chart.text(left - 8.0, y + 14.5, &month.to_string(), Anchor::End);
        let mut x = left;
        for (count, (_, fill)) in parts.iter().zip(legend) {
            let bar = scaled(*count, most, BARS);
            chart.bar(x, y + 3.0, bar, ROW - 6.0, fill);
            x += bar;
        }
        chart.text(x + 6.0, y + 14.5, &grouped(parts.iter().sum()), Anchor::Start);
    }
    for (at, note) in notes.iter().enumerate() {
        chart.text(
            16.0,
            top + ROW * shown.len() as f64 + 26.0 + 20.0 * at as f64,
            note,
            Anchor::Start,
        );
    }
    chart.finish()
}
