//! When an action checked, and hit.

use super::{Anchor, BLUE, Chart, GREY, INK, grouped, scaled, widest};
use crate::action::{Figures, Minute};

const ROW: f64 = 18.0;
const BARS: f64 = 420.0;
/// Most rows; with more minutes, several are one.
const MOST: usize = 96;

/// Draws the course of an action: checks that own users made in grey, checks of partners that were answered in black, hits of either in blue.
pub fn day(figures: &Figures) -> String {
    let minutes: Vec<(&String, &Minute)> = figures.minutes.iter().collect();
    let together = minutes.len().div_ceil(MOST).max(1);
    let rows: Vec<(String, Minute)> = minutes.chunks(together).filter_map(row).collect();
    let (left, top) = (16.0 + widest(["2026-06-01 06:00"]) + 12.0, 92.0);
    let height = top + ROW * rows.len() as f64 + 32.0;
    let title = format!("{}: checks and hits by time (UTC)", figures.action);
    let describes = format!(
        "Bars of {} spans of time; the JSON beside it has every minute.",
        rows.len()
    );
    let mut chart = Chart::new(left + BARS + 180.0, height, &title, &describes);
    let sum = figures.sum();
    let sums = format!(
        "{} own checks, {} of partners answered, {} hits on own checks, {} told, {} confirmed",
        grouped(figures.checks),
        grouped(sum.answered),
        grouped(sum.hits),
        grouped(sum.told),
        grouped(sum.confirmed)
    );
    chart.text(16.0, 48.0, &sums, Anchor::Start);
    let mut x = left;
    for (name, fill) in [("own checks", GREY), ("answered", INK), ("hits", BLUE)] {
        chart.bar(x, 62.0, 12.0, 12.0, fill);
        chart.text(x + 17.0, 73.0, name, Anchor::Start);
        x += widest([name]) + 40.0;
    }
    let of = |minute: &Minute| minute.checks + minute.answered;
    let most = rows.iter().map(|(_, minute)| of(minute)).max().unwrap_or_default();
    for (at, (begin, minute)) in rows.iter().enumerate() {
        let y = top + ROW * at as f64;
        chart.text(left - 8.0, y + 13.0, begin, Anchor::End);
        let own = scaled(minute.checks, most, BARS);
        let answered = scaled(minute.answered, most, BARS);
        chart.bar(left, y + 3.0, own, ROW - 6.0, GREY);
        chart.bar(left + own, y + 3.0, answered, ROW - 6.0, INK);
        let mut end = left + own + answered;
        if minute.hits > 0 {
            chart.dot(end + 10.0, y + ROW / 2.0, 5.0, BLUE);
            end += 14.0;
        }
        let text = match minute.hits {
            0 => grouped(of(minute)),
            hits => format!("{}, {} hits", grouped(of(minute)), grouped(hits)),
        };
        chart.text(end + 6.0, y + 13.0, &text, Anchor::Start);
    }
    chart.finish()
}

/// Several minutes as one, under the time of the first.
fn row(minutes: &[(&String, &Minute)]) -> Option<(String, Minute)> {
    let (begin, _) = minutes.first()?;
    let mut sum = Minute::default();
    for (_, minute) in minutes {
        sum.checks += minute.checks;
        sum.answered += minute.answered;
        sum.hits += minute.hits;
    }
    let text: String = begin.chars().take(16).collect();
    Some((text.replace('T', " "), sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_minutes_are_few_rows_and_no_number_is_lost() {
        let mut figures = Figures::new("jad", "2026-06-01T06:00:00Z", "2026-06-02T06:00:00Z");
        for at in 0..1000 {
            figures
                .minute(&format!("2026-06-01T{:02}:{:02}:00Z", at / 60, at % 60))
                .checks += 1;
        }
        figures.minute("2026-06-01T00:00:00Z").hits = 1;
        let chart = day(&figures);
        let rows = chart.matches("text-anchor=\"end\"").count();
        assert!((80..=MOST).contains(&rows), "{rows}");
        assert!(chart.contains("11, 1 hits"), "{chart}");
        assert!(chart.contains("jad"));
    }
}
