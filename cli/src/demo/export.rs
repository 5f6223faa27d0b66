//! How each agency's system writes a record: its own columns, encoding, spellings and mistakes.

use super::chance::Chance;
use super::spelling::{
    capitals, dmy, document_spaced, in_fours, phone_emm, phone_grouped, phone_iszw, phone_politie, quote, ymd,
};
use super::values::Date;
use super::words::{fold, fold_to_latin1};
use super::world::{Agency, Slot, Slots, Subject};

/// One record of one agency.
pub(crate) struct Record<'a> {
    /// Unique within the export.
    pub(crate) number: u64,
    pub(crate) subject: &'a Subject,
    /// What the record holds of the subject.
    pub(crate) slots: Slots,
    /// Index into the role words: suspect, convicted, victim, witness, other.
    pub(crate) role: usize,
    /// Whether another agency knows the subject too.
    pub(crate) shared: bool,
}

/// What an import must reject.
#[derive(Clone, Copy, Default)]
pub(crate) struct Faults {
    /// Cells with something invalid in them.
    pub(crate) bad_cells: u64,
    /// Names without a birth date.
    pub(crate) undated_names: u64,
}

/// The mapping file of `agency`'s export.
pub(crate) fn mapping(agency: Agency) -> &'static str {
    match agency {
        Agency::Politie => include_str!("../../demo/politie.toml"),
        Agency::Kmar => include_str!("../../demo/kmar.toml"),
        Agency::Iszw => include_str!("../../demo/iszw.toml"),
        Agency::Emm => include_str!("../../demo/emm.toml"),
    }
}

/// The first line of `agency`'s export, with what goes before it.
pub(crate) fn header(agency: Agency) -> Vec<u8> {
    let mark = if agency == Agency::Kmar { "\u{feff}" } else { "" };
    let columns = match agency {
        Agency::Politie => {
            "zaaknr;rol;achternaam;tussenvoegsel;voornamen;geboortedatum;bsn;telefoon;telefoon2;e-mail;kenteken;rekening;opmerking"
        }
        Agency::Kmar => {
            "case_no,role,surname,given_names,date_of_birth,document_no,phone,vehicle,visibility,checked_on,remarks"
        }
        Agency::Iszw => {
            "dossier;naam;voornaam;geboren;hoedanigheid;bsn;rekeningnummer;emailadres;telefoonnummer;waargenomen;bewaren_tot;notitie"
        }
        Agency::Emm => {
            "id\trole\tfirst_names\tlast_name\tborn\tphone\tother_phone\temail\taccount\tplate\tdocument\tbsn\tobserved\tretain_until\tnote"
        }
    };
    format!("{mark}{columns}{}", line_end(agency)).into_bytes()
}

/// The line for `record`, encoded, and what an import must reject in it.
pub(crate) fn row(agency: Agency, record: &Record<'_>, chance: Chance) -> (Vec<u8>, Faults) {
    let mut cells = Cells {
        record,
        chance,
        cells: Vec::with_capacity(15),
        faults: Faults::default(),
    };
    match agency {
        Agency::Politie => politie(&mut cells),
        Agency::Kmar => kmar(&mut cells),
        Agency::Iszw => iszw(&mut cells),
        Agency::Emm => emm(&mut cells),
    }
    let delimiter = match agency {
        Agency::Politie | Agency::Iszw => ";",
        Agency::Kmar => ",",
        Agency::Emm => "\t",
    };
    let quote_all = agency == Agency::Kmar;
    let quoted: Vec<String> = cells
        .cells
        .iter()
        .map(|cell| quote(cell, delimiter, quote_all))
        .collect();
    let line = quoted.join(delimiter) + line_end(agency);
    let bytes = match agency {
        Agency::Politie => encoding_rs::WINDOWS_1252.encode(&fold_to_latin1(&line)).0.into_owned(),
        _ => line.into_bytes(),
    };
    (bytes, cells.faults)
}

/// A row in the making.
struct Cells<'a> {
    record: &'a Record<'a>,
    chance: Chance,
    cells: Vec<String>,
    faults: Faults,
}

impl Cells<'_> {
    fn text(&mut self, text: impl Into<String>) {
        self.cells.push(text.into());
    }

    /// The cell for `slot`: spelled by `good` where the record has it, else empty or now and then one of `bad`.
    fn slot(&mut self, slot: Slot, good: impl FnOnce(&Subject, &mut Chance) -> String, bad: &[&str]) {
        let cell = if self.record.slots.has(slot) {
            good(self.record.subject, &mut self.chance)
        } else if self.chance.percent(BAD_PERCENT) {
            self.faults.bad_cells += 1;
            (*self.chance.pick(bad)).to_owned()
        } else {
            String::new()
        };
        self.cells.push(cell);
    }

    /// Given name, particle, family name and date of birth: all four when the person is known, else a name without a
    /// (right) date, or nothing.
    fn person(&mut self, date: fn(Date) -> String, bad: &[&str]) -> [String; 4] {
        let Subject {
            given,
            particle,
            family,
            born,
            ..
        } = self.record.subject;
        let born = if self.record.slots.has(Slot::Person) {
            date(*born)
        } else if self.chance.percent(BAD_PERCENT) {
            self.faults.bad_cells += 1;
            (*self.chance.pick(bad)).to_owned()
        } else if self.chance.percent(40) {
            self.faults.undated_names += 1;
            String::new()
        } else {
            return Default::default();
        };
        [(*given).to_owned(), (*particle).to_owned(), (*family).to_owned(), born]
    }

    /// A date between the given years.
    fn date(&mut self, first_year: u64, years: u64) -> Date {
        let chance = &mut self.chance;
        Date {
            year: first_year + chance.below(years),
            month: chance.below(12) + 1,
            day: chance.below(28) + 1,
        }
    }

    /// One of `remarks` in `percent` of the rows.
    fn remark(&mut self, percent: u64, remarks: &[&str]) {
        let remark = if self.chance.percent(percent) {
            *self.chance.pick(remarks)
        } else {
            ""
        };
        self.text(remark);
    }
}

/// How often a cell that should be empty holds something invalid: about 1 % of all cells.
const BAD_PERCENT: u64 = 4;

fn politie(cells: &mut Cells<'_>) {
    const ROLES: [&str; 5] = ["verdachte", "veroordeelde", "slachtoffer", "getuige", "betrokkene"];
    cells.text(format!("PL1300-2024{:06}", cells.record.number));
    // now and then not filled in: the default role
    let role = if cells.chance.percent(4) {
        ""
    } else {
        ROLES[cells.record.role]
    };
    cells.text(role);
    let [given, particle, family, born] =
        cells.person(|date| dmy(date, '-'), &["31-02-1990", "30-02-1984", "12-13-1971"]);
    let bare = cells.chance.percent(25);
    cells.text(if bare { fold(&family) } else { family });
    cells.text(particle);
    cells.text(if bare { fold(&given) } else { given });
    cells.text(born);
    cells.slot(Slot::Bsn, |subject, _| subject.bsn.clone(), BAD_BSN);
    cells.slot(
        Slot::Phone,
        |subject, chance| phone_politie(&subject.phones[0], chance),
        BAD_PHONE,
    );
    cells.slot(
        Slot::Phone2,
        |subject, chance| phone_politie(&subject.phones[1], chance),
        BAD_PHONE,
    );
    cells.slot(Slot::Email, |subject, _| subject.email.clone(), BAD_EMAIL);
    cells.slot(Slot::Plate, |subject, _| subject.plate.join("-"), BAD_PLATE);
    cells.slot(Slot::Iban, |subject, _| subject.iban.clone(), BAD_IBAN);
    cells.remark(
        35,
        &[
            "Aangetroffen bij controle; zie bijlage",
            "Zegt \"geen vaste woon- of verblijfplaats\" te hebben",
            "Contante betaling, € 250; herkomst onbekend",
            "Tolk nodig.\nTerugbellen na overleg met de zaaksofficier",
            "Verhuisd naar België; adres nagaan",
            "Noemt zich \"Bébé\";\nin dezelfde woning als eerdere melding",
            "Geen bijzonderheden",
        ],
    );
}

fn kmar(cells: &mut Cells<'_>) {
    const ROLES: [&str; 5] = ["S", "C", "V", "W", "O"];
    cells.text(format!("KM-24-{:06}", cells.record.number));
    cells.text(ROLES[cells.record.role]);
    let [given, particle, family, born] = cells.person(ymd, &["1990-02-31", "1984-00-12", "1971-13-12"]);
    let surname = if particle.is_empty() {
        family
    } else {
        format!("{particle} {family}")
    };
    let [surname, given] = if cells.chance.percent(70) {
        [fold(&surname), fold(&given)]
    } else {
        [surname, given]
    };
    // surname and given names in the wrong column
    let swapped = particle.is_empty() && cells.chance.percent(10);
    let (first, second) = if swapped { (given, surname) } else { (surname, given) };
    cells.text(first.to_uppercase());
    cells.text(second.to_uppercase());
    cells.text(born);
    cells.slot(
        Slot::Document,
        |subject, chance| document_spaced(&subject.document, chance),
        BAD_DOCUMENT,
    );
    cells.slot(Slot::Phone, |subject, _| phone_grouped(&subject.phones[0]), BAD_PHONE);
    cells.slot(
        Slot::Plate,
        |subject, chance| subject.plate.join(*chance.pick(&["-", " ", " - "])),
        BAD_PLATE,
    );
    // the asker learns nothing of a hit on class d, and of class c the kind: kept off shared subjects, so that the counts are those of the truth
    let visibility = if cells.record.shared {
        cells.chance.pick(&["a", "b", "b"])
    } else {
        cells.chance.pick(&["a", "b", "c", "d"])
    };
    cells.text(*visibility);
    let checked = cells.date(2023, 2);
    cells.text(ymd(checked));
    cells.remark(
        15,
        &[
            "TRAVELLED ALONE, NO LUGGAGE",
            "SAID \"VISITING FAMILY\"",
            "SECOND LINE CHECK, INTERPRETER USED",
        ],
    );
}

fn iszw(cells: &mut Cells<'_>) {
    const ROLES: [&str; 5] = ["verdacht", "veroordeeld", "benadeelde", "getuige", "overig"];
    cells.text(format!("24/{:06}/ARB", cells.record.number));
    let [given, particle, family, born] =
        cells.person(|date| dmy(date, '/'), &["31/02/1990", "29/02/1985", "99/99/9999"]);
    cells.text(if particle.is_empty() {
        family
    } else {
        format!("{particle} {family}")
    });
    cells.text(given);
    cells.text(born);
    cells.text(ROLES[cells.record.role]);
    cells.slot(
        Slot::Bsn,
        |subject, chance| {
            let bsn = &subject.bsn;
            match chance.below(3) {
                0 => format!("{}.{}.{}", &bsn[..4], &bsn[4..6], &bsn[6..]),
                1 => format!("{}.{}.{}", &bsn[..3], &bsn[3..6], &bsn[6..]),
                _ => bsn.clone(),
            }
        },
        BAD_BSN,
    );
    cells.slot(
        Slot::Iban,
        |subject, chance| match chance.below(4) {
            0 => format!("IBAN: {}", in_fours(&subject.iban, " ")),
            1 => in_fours(&subject.iban, "-"),
            2 => in_fours(&subject.iban, " ").to_lowercase(),
            _ => in_fours(&subject.iban, " "),
        },
        BAD_IBAN,
    );
    cells.slot(
        Slot::Email,
        |subject, chance| match chance.below(3) {
            0 => format!(" {} ", subject.email),
            1 => subject.email.to_uppercase(),
            _ => capitals(&subject.email),
        },
        BAD_EMAIL,
    );
    cells.slot(
        Slot::Phone,
        |subject, chance| phone_iszw(&subject.phones[0], chance),
        BAD_PHONE,
    );
    let (observed, expires) = (cells.date(2023, 2), cells.date(2035, 5));
    cells.text(dmy(observed, '/'));
    cells.text(dmy(expires, '/'));
    cells.remark(
        15,
        &[
            "Onderbetaling; loonstroken gevraagd",
            "Werkgever noemt hem \"oproepkracht\"",
            "Huisvesting via uitzendbureau",
        ],
    );
}

fn emm(cells: &mut Cells<'_>) {
    const ROLES: [&str; 5] = ["suspect", "convicted", "victim", "witness", "other"];
    cells.text(format!("EMM{:07}", cells.record.number));
    cells.text(ROLES[cells.record.role]);
    let [given, particle, family, born] = cells.person(ymd, &["1990-02-31", "1984-11-31", "1971-13-12"]);
    cells.text(given);
    cells.text(if particle.is_empty() {
        family
    } else {
        format!("{particle} {family}")
    });
    cells.text(born);
    cells.slot(
        Slot::Phone,
        |subject, chance| phone_emm(&subject.phones[0], chance),
        BAD_PHONE,
    );
    cells.slot(
        Slot::Phone2,
        |subject, chance| phone_emm(&subject.phones[1], chance),
        BAD_PHONE,
    );
    cells.slot(Slot::Email, |subject, _| subject.email.clone(), BAD_EMAIL);
    cells.slot(
        Slot::Iban,
        |subject, chance| {
            if chance.percent(50) {
                in_fours(&subject.iban, " ")
            } else {
                subject.iban.clone()
            }
        },
        BAD_IBAN,
    );
    cells.slot(
        Slot::Plate,
        |subject, _| subject.plate.concat().to_lowercase(),
        BAD_PLATE,
    );
    cells.slot(Slot::Document, |subject, _| subject.document.clone(), BAD_DOCUMENT);
    cells.slot(Slot::Bsn, |subject, _| subject.bsn.clone(), BAD_BSN);
    let (observed, expires) = (cells.date(2023, 2), cells.date(2036, 4));
    cells.text(ymd(observed));
    cells.text(ymd(expires));
    cells.remark(
        15,
        &["reported by a partner", "open source; see file", "alias \"the driver\""],
    );
}

const BAD_BSN: &[&str] = &["123456789", "111111111", "000000000", "12345"];
const BAD_PHONE: &[&str] = &["onbekend", "112", "06-123", "geen"];
const BAD_EMAIL: &[&str] = &["geen e-mail", "info(at)example.com", "@example.com", "onbekend"];
const BAD_IBAN: &[&str] = &["NL00 DEMO 0000 0000 01", "NL91 ABNA 0417 1643 01", "NL91", "contant"];
const BAD_PLATE: &[&str] = &["???", "onbekend kenteken"];
const BAD_DOCUMENT: &[&str] = &["???", "--/--"];

fn line_end(agency: Agency) -> &'static str {
    if agency == Agency::Politie { "\r\n" } else { "\n" }
}
