//! A picture on the terminal.

use std::io::{self, Write};

use overlap_report::{Combination, Figures, KindPicture, Picture};

use crate::output::{grouped, table};

/// Combinations, and shared subjects, that are printed; the exports have all.
const ROWS: usize = 20;

/// Prints a picture for people.
pub(crate) fn print(out: &mut dyn Write, picture: &Picture) -> io::Result<()> {
    let took_part: Vec<String> = picture
        .agencies
        .iter()
        .map(|agency| match agency.items {
            Some(items) => format!("{} ({} items)", agency.name, grouped(items)),
            None => agency.name.clone(),
        })
        .collect();
    writeln!(
        out,
        "{} picture of {}, of {}",
        picture.form.name(),
        took_part.join(", "),
        picture.roles.join(", ")
    )?;
    if let Some(since) = &picture.since {
        writeln!(
            out,
            "of records observed from {since} on; those without a date take no part, nor does an agency that keeps none"
        )?;
    }
    for one in &picture.dropped {
        writeln!(out, "without {}: {}", one.name, one.why)?;
    }
    for kind in &picture.kinds {
        writeln!(out)?;
        print_kind(out, picture, kind)?;
    }
    if !picture.shared.is_empty() {
        writeln!(out)?;
        print_shared(out, picture)?;
    }
    writeln!(
        out,
        "\npicture {}, under agreement {}, kept until {}",
        picture.id,
        picture.agreement,
        picture.expires.get(..10).unwrap_or(&picture.expires)
    )
}

fn print_kind(out: &mut dyn Write, picture: &Picture, kind: &KindPicture) -> io::Result<()> {
    let Some(unique) = kind.unique else {
        return writeln!(
            out,
            "{}: not told; there are fewer than {least}, or it would give away a count below {least}",
            kind.kind,
            least = picture.min_count
        );
    };
    writeln!(
        out,
        "{}: {} unique, {} known to two or more agencies",
        kind.kind,
        grouped(unique),
        several(picture, kind)
    )?;
    let mut shown = table(["known to exactly", "agencies", "subjects", "as"]);
    for one in kind.combinations.iter().take(ROWS) {
        shown.add_row([
            one.agencies.join(" + "),
            one.agencies.len().to_string(),
            grouped(one.count),
            by_role(one),
        ]);
    }
    writeln!(out, "{shown}")?;
    if kind.combinations.len() > ROWS {
        writeln!(out, "  and {} smaller combinations", kind.combinations.len() - ROWS)?;
    }
    if kind.is_partial() {
        writeln!(
            out,
            "  {} subjects are in combinations that are withheld: counts below {}, and what they could be worked out from",
            grouped(unique - kind.told().min(unique)),
            picture.min_count
        )?;
    }
    let mut roles = table(["known as", "subjects"]);
    for one in &kind.roles {
        roles.add_row([one.roles.join(" and "), grouped(one.count)]);
    }
    match kind.roles.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{roles}"),
    }
}

/// In which roles a combination knows its subjects, as far as that is told.
fn by_role(one: &Combination) -> String {
    let roles = one.roles.iter();
    let roles: Vec<String> = roles
        .map(|role| format!("{} {}", role.roles.join(" and "), grouped(role.count)))
        .collect();
    match roles.is_empty() {
        true => "-".to_owned(),
        false => roles.join(", "),
    }
}

/// How many two or more agencies know.
fn several(picture: &Picture, kind: &KindPicture) -> String {
    let (several, is_all) = kind.known_to_several(picture.agencies.len());
    format!("{}{}", if is_all { "" } else { "at least " }, grouped(several))
}

fn print_shared(out: &mut dyn Write, picture: &Picture) -> io::Result<()> {
    writeln!(
        out,
        "Shared: `overlap picture follow-up {} PSEUDONYM --reason ...` asks the holders",
        picture.id.get(..13).unwrap_or(&picture.id)
    )?;
    let mut shown = table(["pseudonym", "kind", "known to", "as"]);
    let mut rows: Vec<_> = picture.shared.iter().collect();
    rows.sort_by_key(|one| std::cmp::Reverse(one.agencies.len()));
    for one in rows.iter().take(ROWS) {
        shown.add_row([
            one.pseudonym.get(..12).unwrap_or(&one.pseudonym).to_owned(),
            one.kind.clone(),
            one.agencies.join(" + "),
            one.roles.join(" and "),
        ]);
    }
    writeln!(out, "{shown}")?;
    match rows.len().saturating_sub(ROWS) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more", grouped(more as u64)),
    }
}

/// All numbers of one kind as text: what its charts show.
pub(super) fn tables(picture: &Picture, kind: &KindPicture) -> String {
    let mut text = format!(
        "{}: {} unique subjects, {} known to two or more agencies\n",
        kind.kind,
        kind.unique.map_or("not told".to_owned(), grouped),
        several(picture, kind)
    );
    if kind.is_partial() {
        text.push_str(&format!(
            "What is not here is none, or withheld: counts below {}, and what they could be worked out from.\n",
            picture.min_count
        ));
    }
    let mut combinations = table(["known to exactly", "agencies", "subjects"]);
    for one in &kind.combinations {
        combinations.add_row([
            one.agencies.join(" + "),
            one.agencies.len().to_string(),
            grouped(one.count),
        ]);
    }
    let names = picture.names();
    let mut matrix = table(["both know", ""]);
    matrix.set_header(std::iter::once("both know").chain(names.iter().copied()));
    for one in &names {
        let counts = names.iter().map(|other| match kind.of_both(one, other) {
            // none, or withheld
            0 if kind.is_partial() => "-".to_owned(),
            both => grouped(both),
        });
        matrix.add_row(std::iter::once((*one).to_owned()).chain(counts));
    }
    let mut months = table(["known to exactly", "known as", "first observed", "subjects"]);
    for (agencies, role) in kind.role_counts() {
        let whose = if agencies.is_empty() {
            "all".to_owned()
        } else {
            agencies.join(" + ")
        };
        let row = |month: &str, count| {
            [
                whose.clone(),
                role.roles.join(" and "),
                month.to_owned(),
                grouped(count),
            ]
        };
        for month in &role.months {
            months.add_row(row(&month.month, month.count));
        }
        months.add_row(row("all months", role.count));
    }
    for shown in [combinations, matrix, months] {
        text.push_str(&format!("\n{shown}\n"));
    }
    text
}

/// Prints figures for people.
pub(super) fn figures(out: &mut dyn Write, told: &Figures) -> io::Result<()> {
    let least = if told.at_least { "at least " } else { "" };
    writeln!(
        out,
        "{} known as {}: {least}{} from {} through {} (months: {})",
        told.kind,
        told.role,
        grouped(told.to_date),
        told.since,
        told.through,
        told.months
    )?;
    writeln!(out, "projection for twelve months: {least}{:.0}", told.projection)?;
    if let Some(target) = told.target {
        let share = told.projection / (target.max(1) as f64) * 100.0;
        writeln!(
            out,
            "target: {} (projection is {least}{share:.0} % of it)",
            grouped(target)
        )?;
    }
    writeln!(
        out,
        "of subjects whose month some agency knows: an agency that keeps no dates adds none"
    )?;
    if told.undated > 0 {
        writeln!(
            out,
            "not counted: {} of which no agency knows a month",
            grouped(told.undated)
        )?;
    }
    let mut shown = table(["month", "first observed"]);
    for (month, count) in &told.by_month {
        shown.add_row([month.clone(), grouped(*count)]);
    }
    match told.by_month.is_empty() {
        true => Ok(()),
        false => writeln!(out, "{shown}"),
    }
}
