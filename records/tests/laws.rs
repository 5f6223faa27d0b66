//! Laws that hold for any input.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use overlap_records::{
    AddressParts, DateOrder, Hints, Identifier, Import, Kind, MAX_CANONICAL, Mapping, Mrz, PersonParts, Platform,
    Region, explain, parse_date,
};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn hints() -> impl Strategy<Value = Hints> {
    let regions = ["NL", "DE", "BE", "VN", "US", "IT", "AQ", "XK"].map(|code| code.parse::<Region>().unwrap());
    let orders = [DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd];
    (
        prop::sample::select(regions.to_vec()),
        prop::sample::select(orders.to_vec()),
        prop::option::of(prop::sample::select(Platform::ALL.to_vec())),
    )
        .prop_map(|(region, dates, platform)| Hints {
            region,
            dates,
            platform,
        })
}

/// Text that often gets past the first checks of its kind.
fn near(kind: Kind) -> BoxedStrategy<String> {
    match kind {
        Kind::Phone => {
            "(\\+|00|0|\\+31|\\+84 ?1[26]|\\+1|\\+39 ?0)?[ ()0-9٠-٩/.-]{3,16}( (tst|ext) [0-9]{1,3})?".boxed()
        }
        Kind::Email => {
            "(mailto:)?[A-Za-z0-9.+_-]{1,12}@([a-zA-Z0-9-]{1,8}\\.(nl|com)|(gmail|GoogleMail)\\.com)".boxed()
        }
        Kind::Iban => "(IBAN:? )?(NL|DE|BE)[0-9]{2} ?[A-Z0-9]{4}[ 0-9]{10,24}".boxed(),
        Kind::Plate => "(NL:|de: ?)?[A-Za-zÄÖÜА-Я0-9 ·-]{1,14}".boxed(),
        Kind::Document => "[A-Za-zА-Я0-9 <-]{4,12}".boxed(),
        Kind::Bsn => "[0-9 .]{8,11}".boxed(),
        Kind::Vin => "[1-5W][A-HJ-NPR-Z0-9]{15,17}".boxed(),
        Kind::National => "(BE|CZ|DK|ES|FI|FR|GB|IE|LV|SE|SI|XK|PL|TR): ?[0-3][0-9][01][0-9][0-9A-Z+ -]{2,10}".boxed(),
        Kind::Handle => "((https://)?(www\\.)?(x|instagram|facebook|youtube|tiktok)\\.com/(@|in/|add/|UC)?|tg:|live:|discord: ?)[A-Za-z0-9._#-]{1,22}[/?]?".boxed(),
        Kind::Url => "(https?://)?(www\\.)?\\PC{0,6}[a-z0-9]{1,5}\\.(nl|com)(:[0-9]{1,4})?(/[a-zA-Z%0-9ä. ]{0,5}){0,3}[?]?(utm_a=1&)?\\PC{0,9}".boxed(),
        Kind::Ip => "([0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[?[0-9a-f:]{2,20}(:[0-9]{1,3}(\\.[0-9]{1,3}){3})?\\]?)(:[0-9]{1,5})?".boxed(),
        Kind::Imei => "(IMEI )?[0-9]{14,16}".boxed(),
        Kind::Imsi => "[2-9][0-9]{13,14}".boxed(),
        Kind::Wallet => "((eth:)?0x[0-9a-f]{40}|(btc:|ltc:)?[13LM][1-9A-HJ-NP-Za-km-z]{32,33}|sol:[1-9A-HJ-NP-Z]{43,44}|4[1-9A-HJ-NP-Za-km-z]{94})".boxed(),
        Kind::Company => "(NL|BE|DE|FR|GB|PL|EL)?:?[A-Z0-9 .]{5,14}".boxed(),
        Kind::Address => "((NL|GB|DE|BE)[: ])?([A-Za-z]{2,6} [0-9]{1,3} ?[a-z]?, )?[0-9]{4}[0-9 ]?[A-Z]{0,2}[ :,-][0-9]{0,4}[ /-]?[a-z0-9]{0,3}".boxed(),
        Kind::Person => {
            "\\PC{1,12}[ '-](van |de |'t |v\\.d\\. )?\\pL{1,8}[|](18|19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]".boxed()
        }
    }
}

fn raw() -> impl Strategy<Value = (Kind, String)> {
    kind().prop_flat_map(|kind| {
        (
            Just(kind),
            prop_oneof![3 => near(kind), 1 => any::<String>(), 1 => "\\PC{0,40}"],
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn canonical_forms_are_fixed_points((kind, raw) in raw(), hints in hints(), others in hints()) {
        if let Ok(identifier) = Identifier::normalise(kind, &raw, &hints) {
            let canonical = identifier.canonical();
            prop_assert!(canonical.is_ascii() && canonical.len() <= MAX_CANONICAL);
            prop_assert_eq!(Identifier::from_canonical(kind, canonical), Ok(identifier.clone()));
            prop_assert_eq!(Identifier::normalise(kind, canonical, &others), Ok(identifier.clone()), "hints count twice");
        }
    }

    #[test]
    fn explanations_end_where_normalisation_does((kind, raw) in raw(), hints in hints()) {
        let explanation = explain(kind, &raw, &hints);
        prop_assert_eq!(&explanation.outcome, &Identifier::normalise(kind, &raw, &hints));
        match (&explanation.outcome, explanation.steps.last()) {
            (Ok(identifier), Some(step)) => prop_assert_eq!(step.text.as_str(), identifier.canonical()),
            (Ok(identifier), None) => prop_assert_eq!(raw.as_str(), identifier.canonical()),
            (Err(_), _) => {}
        }
        let debug = format!("{explanation:?} {:?}", explanation.steps);
        prop_assert!(raw.len() < 12 || !debug.contains(&raw));
    }

    #[test]
    fn any_zone_is_read_or_refused(zone in "[A-Z0-9<]{72}|[A-Z0-9<]{88}|[A-Z0-9<]{90}|\\PC{0,120}") {
        prop_assert!(Mrz::parse(&zone).is_err() || zone.contains('<'));
    }

    #[test]
    fn one_wrong_character_of_a_zone_is_noticed(at in 44_usize..88, to in "[A-Z0-9<]") {
        let zone = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<L898902C36UTO7408122F1204159ZE184226B<<<<<10";
        let mut wrong = zone.to_owned();
        wrong.replace_range(at..=at, &to);
        let sum = |zone: &str| zone.chars().map(|c| c.to_digit(36).unwrap_or(0)).sum::<u32>();
        // nothing checks nationality and sex, and check digits do not tell characters whose worth differs by ten
        if !matches!(at, 54..=56 | 64) && sum(zone).abs_diff(sum(&wrong)) % 10 != 0 {
            prop_assert!(Mrz::parse(&wrong).is_err());
        }
    }

    #[test]
    fn addresses_by_parts_and_in_a_line(digits in 1000_u32..10_000, letters in "[A-RT-Z][A-Z]", number in 1_u32..99_999, addition in "[A-Z]{0,3}") {
        let parts = AddressParts {
            postcode: &format!("{digits} {}", letters.to_lowercase()),
            number: &number.to_string(),
            addition: &addition,
            ..AddressParts::default()
        };
        let address = Identifier::address(&parts, &Hints::default());
        let line = format!("{digits}{letters}, {number}-{}", addition.to_lowercase());
        prop_assert_eq!(&address, &Identifier::normalise(Kind::Address, &line, &Hints::default()));
        let expected = format!("NL:{digits}{letters}:{number}{addition}");
        prop_assert_eq!(address.unwrap().canonical().to_owned(), expected);
    }

    #[test]
    fn every_valid_number_is_found(number in 0_u32..100_000_000) {
        // a mobile number and its spellings
        let digits = format!("{number:08}");
        let spellings = [format!("06{digits}"), format!("06-{digits}"), format!("+31 6 {digits}"), format!("0031(0)6{digits}")];
        let found: Vec<_> =
            spellings.iter().map(|raw| Identifier::normalise(Kind::Phone, raw, &Hints::default())).collect();
        prop_assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
    }

    #[test]
    fn names_count_in_any_field_and_order(
        given in "[A-Z][a-z]{2,8}", family in "[A-Z][a-z]{2,8}", particle in prop::sample::select(vec!["", "van", "van der", "in 't"]),
        year in 1850_i16..2150, month in 1_i8..13, day in 1_i8..29,
    ) {
        let born = jiff::civil::date(year, month, day).to_string();
        let hints = Hints::default();
        let whole = PersonParts { given: &given, family: &family, particle, born: &born, ..PersonParts::default() };
        let apart = Identifier::person(&whole, &hints);
        let joined = format!("{particle} {family}");
        prop_assert_eq!(&apart, &Identifier::person(&PersonParts { family: &joined, particle: "", ..whole }, &hints));
        let line = format!("{}, {given}|{born}", joined.to_uppercase());
        prop_assert_eq!(apart, Identifier::normalise(Kind::Person, &line, &hints));
    }

    #[test]
    fn dates_in_every_order(year in 1000_i16..10000, month in 1_i8..13, day in 1_i8..29) {
        let date = jiff::civil::date(year, month, day);
        for order in [DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd] {
            prop_assert_eq!(parse_date(&date.to_string(), order), Ok(date));
        }
        prop_assert_eq!(parse_date(&format!("{day}.{month}.{year}"), DateOrder::Dmy), Ok(date));
        prop_assert_eq!(parse_date(&format!("{month}/{day}/{year}"), DateOrder::Mdy), Ok(date));
        prop_assert_eq!(parse_date(&format!("{day:02}{month:02}{year}"), DateOrder::Dmy), Ok(date));
    }

    #[test]
    fn any_text_is_a_date_or_not(raw in any::<String>()) {
        let _ = parse_date(&raw, DateOrder::Dmy);
    }

    #[test]
    fn any_bytes_are_imported_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), tail in any::<bool>()) {
        let mapping = Mapping::parse("[record]\nreference = \"a\"\n[[identifier]]\nkind = \"bsn\"\ncolumns = [\"b\"]").unwrap();
        let mut file = if tail { b"a;b\r\n".to_vec() } else { Vec::new() };
        file.extend(&bytes);
        if let Ok(mut import) = Import::open(file.as_slice(), "file", &mapping) {
            let rows = import.by_ref().filter(Result::is_ok).count();
            prop_assert_eq!(import.summary().rows, rows as u64);
            prop_assert!(import.next().is_none());
            prop_assert!(import.bytes_read() <= file.len() as u64);
        }
    }

    #[test]
    fn rows_survive_any_chunking(rows in prop::collection::vec("[a-z \"\n;é]{1,30}", 1..20), step in 1_usize..50) {
        let mut file = String::from("a;b\n");
        for row in &rows {
            file.push_str(&format!("\"{}\";111222333\n", row.replace('"', "\"\"")));
        }
        let mapping = Mapping::parse("[record]\nreference = \"a\"\n[[identifier]]\nkind = \"bsn\"\ncolumns = [\"b\"]").unwrap();
        let whole: Vec<_> = Import::open(file.as_bytes(), "f", &mapping).unwrap().map(Result::unwrap).collect();
        let pieces: Vec<_> =
            Import::open(Pieces(file.as_bytes(), step), "f", &mapping).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(&whole, &pieces);
        prop_assert_eq!(whole.len(), rows.len());
        let mut line = 2;
        for (row, text) in whole.iter().zip(&rows) {
            prop_assert_eq!(row.number, line);
            line += 1 + text.matches('\n').count() as u64;
        }
    }
}

/// A reader that gives a few bytes at a time.
struct Pieces<'a>(&'a [u8], usize);

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(out.len()).min(self.0.len());
        let (piece, rest) = self.0.split_at(count);
        out[..count].copy_from_slice(piece);
        self.0 = rest;
        Ok(count)
    }
}
