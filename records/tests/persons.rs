//! Persons: what their match keys forgive, and what a score says.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use overlap_records::{Agreed, DateOrder, Hints, Identifier, Kind, PersonParts, Profile, Sizes, salvage_birth_date};
use proptest::prelude::*;

const SIZES: Sizes = Sizes {
    own: 5_000,
    peer: 100_000,
};

fn person(given: &str, family: &str, born: &str) -> Identifier {
    let parts = PersonParts {
        given,
        family,
        born,
        ..PersonParts::default()
    };
    Identifier::person(&parts, &Hints::default()).unwrap()
}

/// The keys that two records agree on, each item held once.
fn agreed(a: &Identifier, b: &Identifier) -> Vec<Agreed> {
    let profile = Profile::eu_thb_1();
    let theirs = b.match_keys(&profile);
    let shared = a.match_keys(&profile).into_iter().filter(|key| theirs.contains(key));
    shared
        .map(|key| Agreed {
            key: key.key(),
            own: 1,
            peer: 1,
        })
        .collect()
}

fn score(a: &Identifier, b: &Identifier) -> f64 {
    Profile::eu_thb_1().score(a, &agreed(a, b), SIZES)
}

/// Names as one agency and another write them, with one birth date: whole names, given names first.
const SPELLINGS: &[(&str, &str)] = &[
    // particles, swapped names, several languages
    ("Jan van den Berg", "Berg Jan"),
    ("Willem Herasymenko", "Bill Gerasimenko"),
    ("Giovanni Rossi", "Johan Rossi"),
    // Vietnamese
    ("Nguyễn Thị Hương", "Huong Nguyen Thi"),
    ("Lê Văn Đức", "Le Van Duc"),
    ("Trần Đặng Phương", "Tran Dang Phuong"),
    // Slavic: Ukrainian and Russian, English, German, Polish and passport spellings
    ("Тетяна Шевченко", "Tetiana Shevchenko"),
    ("Євген Коваленко", "Yevhen Kovalenko"),
    ("Євген Коваленко", "Evgeny Kovalenko"),
    ("Юлия Ющенко", "Julia Juschtschenko"),
    ("Юлія Ющенко", "Yuliia Yushchenko"),
    ("Галина Щербак", "Halyna Szczerbak"),
    ("Сергій Мельничук", "Sergei Melnitschuk"),
    ("Дмитро Жук", "Dmytro Zhuk"),
    ("Đorđe Đorđević", "Djordje Djordjevic"),
    ("Ђорђе Ђорђевић", "Đorđe Đorđević"),
    ("Łukasz Kowalczyk", "Lukasz Kovalchyk"),
    ("Георги Димитров", "Georgi Dimitroff"),
    // Greek
    ("Γιώργος Παπαδόπουλος", "Giorgos Papadopoulos"),
    ("Ευάγγελος Αγγελόπουλος", "Evangelos Angelopoulos"),
    ("Μπάμπης Παπανδρέου", "Bampis Papandreou"),
    ("Ντίνος Γκίκας", "Ntinos Gkikas"),
    ("Ντίνος Γκίκας", "Dinos Gikas"),
    ("Ευθύμιος Σταύρου", "Efthymios Stavrou"),
    ("Χρήστος Ξενάκης", "Christos Xenakis"),
    // Arabic script and its romanisations
    ("محمد علي", "Mohammed Ali"),
    ("محمد علي", "Muhammad Aly"),
    ("أحمد حسن", "Ahmad Hassan"),
    ("يوسف إبراهيم", "Yusuf Ibrahim"),
    ("يوسف إبراهيم", "Youssef Ebrahim"),
    ("خالد الحسيني", "Khalid Al-Husseini"),
    ("خالد الحسيني", "Khaled Alhusseini"),
    ("عبد الرحمن محمود", "Abdulrahman Mahmoud"),
    ("عبد الله السيد", "Abdallah El Sayed"),
    ("فاطمة الزهراء", "Fatima Zahra"),
    ("Abd al-Rahman Saleh", "Abdulrahman Salih"),
    ("Abdul Rahman Saleh", "Abdurrahman Saleh"),
    ("Abdul Jabbar Saleh", "Abdeljabbar Saleh"),
    ("Abd al-Hamid Saleh", "Abdelhamid Saleh"),
    ("Abd al-Aziz Saleh", "Abdulaziz Saleh"),
    ("Abdessalam Amrani", "Abd as-Salam El Amrani"),
    ("Salah al-Din Amrani", "Salaheddine Elamrani"),
    ("Mohammed El Amrani", "Mohamed Elamrani"),
    ("Mohammed Al-Rashid", "Muhamad Rashid"),
    ("Jamal Hussein", "Djamel Hossein"),
    ("Sarah Haddad", "Sara Hadad"),
    // Persian
    ("پروین حسینی", "Parvin Hosseini"),
    // West African: French, English and Portuguese spellings
    ("Mamadou Diallo", "Mamadu Jallow"),
    ("Mamadou Diallo", "Mamadou Jalloh"),
    ("Alassane Ouattara", "Alasan Watara"),
    ("Fatoumata Cissé", "Fatou Ceesay"),
    ("Ousmane Ndiaye", "Usman Njie"),
    ("Cheikh N'Diaye", "Sheikh Njie"),
    ("Chukwuemeka Okafor", "Emeka Okafor"),
    ("Oluwaseun Adeyemi", "Seun Adeyemi"),
];

#[test]
fn one_person_written_in_two_ways_is_a_candidate() {
    let of = |name| {
        let parts = PersonParts {
            name,
            born: "1985-02-23",
            ..PersonParts::default()
        };
        Identifier::person(&parts, &Hints::default()).unwrap()
    };
    let missed: Vec<String> = SPELLINGS
        .iter()
        .map(|(a, b)| (a, b, score(&of(a), &of(b)), score(&of(b), &of(a))))
        .filter(|(_, _, there, back)| there.min(*back) < Profile::eu_thb_1().threshold())
        .map(|(a, b, there, back)| {
            format!(
                "{a} = {} and {b} = {}: {there:.1}, {back:.1}",
                of(a).canonical(),
                of(b).canonical()
            )
        })
        .collect();
    assert!(missed.is_empty(), "\n{}", missed.join("\n"));
}

#[test]
fn names_that_only_look_alike_do_not_sound_alike() {
    let keys = |name: &str| {
        let parts = PersonParts {
            name,
            born: "1985-02-23",
            ..PersonParts::default()
        };
        let person = Identifier::person(&parts, &Hints::default()).unwrap();
        let profile = Profile::eu_thb_1();
        let keys: BTreeSet<Vec<u8>> = person
            .match_keys(&profile)
            .iter()
            .filter(|key| profile.keys()[usize::from(key.key())].name().contains("sound"))
            .map(|key| key.as_bytes().to_vec())
            .collect();
        keys
    };
    for (a, b) in [
        ("Inge de Jong", "Inge Dieng"),
        ("Julian Berg", "Helena Berg"),
        ("Owen Berg", "Jan Berg"),
        ("Juliana Berg", "Anna Berg"),
        ("Alice Berg", "Elizabeth Berg"),
        ("Jan de Vries", "Jan Frederick"),
    ] {
        assert!(keys(a).is_disjoint(&keys(b)), "{a} and {b}");
    }
}

#[test]
fn a_date_in_other_digits_is_forgiven() {
    for (a, b) in [
        (
            person("Oleksandr", "Kovalchuk", "1978-02-23"),
            person("Aleksandr", "Kovalchuk", "1987-02-23"),
        ),
        (
            person("Mohammed", "Al-Rashid", "1985-02-03"),
            person("Muhamad", "Rashid", "1985-03-02"),
        ),
    ] {
        assert!(score(&a, &b) >= Profile::eu_thb_1().threshold());
    }
}

#[test]
fn chance_is_no_candidate() {
    let born = "1985-02-23";
    let a = person("Jan", "Berg", born);
    for b in [
        person("Olga", "Petrenko", born),
        person("Jan", "Petrenko", "1990-02-23"),
        person("Jan", "Berg", "1962-11-05"),
    ] {
        assert!(score(&a, &b) < Profile::eu_thb_1().threshold());
    }
    assert_eq!(Profile::eu_thb_1().score(&a, &[], SIZES), f64::NEG_INFINITY);
}

#[test]
fn a_brother_at_the_same_address_is_no_candidate() {
    let at_home = |given, born| {
        let parts = PersonParts {
            given,
            family: "Berg",
            born,
            sex: "m",
            postcode: "1012 AB",
            house_number: "12",
            street: "Dorpsstraat",
            ..PersonParts::default()
        };
        Identifier::person(&parts, &Hints::default()).unwrap()
    };
    let (jan, piet) = (at_home("Jan", "1985-02-23"), at_home("Piet", "1988-07-11"));
    assert!(score(&jan, &piet) < Profile::eu_thb_1().threshold());
    assert!(score(&jan, &jan) > score(&jan, &at_home("Jan", "1985-02-24")));
}

#[test]
fn what_many_hold_tells_less() {
    let profile = Profile::eu_thb_1();
    let a = person("Jan", "Berg", "1985-02-23");
    let once = agreed(&a, &a);
    let often: Vec<Agreed> = once.iter().map(|agreed| Agreed { own: 8, ..*agreed }).collect();
    assert!(profile.score(&a, &often, SIZES) < profile.score(&a, &once, SIZES));
    let larger = Sizes {
        own: 5_000_000,
        ..SIZES
    };
    assert!(profile.score(&a, &once, larger) < profile.score(&a, &once, SIZES));
}

#[test]
fn rules_that_do_not_exist_are_nothing() {
    let a = person("Jan", "Berg", "1985-02-23");
    let odd = [Agreed {
        key: u16::MAX,
        own: 0,
        peer: 0,
    }];
    assert_eq!(Profile::eu_thb_1().score(&a, &odd, SIZES), f64::NEG_INFINITY);
}

#[test]
fn whole_names_and_parts_give_the_same() {
    let whole = PersonParts {
        name: "BERG, Jan v.d.",
        born: "1985-02-23",
        ..PersonParts::default()
    };
    assert_eq!(
        Identifier::person(&whole, &Hints::default()),
        Ok(person("Jan", "van den Berg", "1985-02-23"))
    );
}

#[test]
fn bad_dates_leave_what_may_be_right() {
    let cases = [
        ("1985-02-30", "1985-02-00"),
        ("1985-19-02", "1985-00-00"),
        ("9985-02-23", "0000-02-23"),
        ("nonsense", ""),
    ];
    for (raw, expected) in cases {
        assert_eq!(salvage_birth_date(raw, DateOrder::Ymd).as_str(), expected, "{raw}");
    }
}

#[test]
fn partial_dates_give_keys_of_their_own() {
    let year = person("Jan", "Berg", "1985");
    assert_eq!(year.canonical(), "jan|berg|1985-00-00");
    assert!(!agreed(&year, &person("Jan", "Berg", "1985-02-23")).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_follow_from_the_canonical_form(
        given in "\\PC{0,12}", family in "\\PC{0,12}", born in "(19[0-9]{2}-[01][0-9]-[0-3][0-9])?", street in "\\PC{0,60}", place in "\\PC{0,12}",
        postcode in "\\PC{0,14}", house_number in "\\PC{0,8}", sex in "[mfvx12]?",
    ) {
        let parts = PersonParts { given: &given, family: &family, born: &born, street: &street, place: &place, postcode: &postcode,
            house_number: &house_number, sex: &sex, ..PersonParts::default() };
        if let Ok(person) = Identifier::person(&parts, &Hints::default()) {
            let profile = Profile::eu_thb_1();
            let again = Identifier::from_canonical(Kind::Person, person.canonical()).unwrap();
            let keys = person.match_keys(&profile);
            prop_assert_eq!(&keys, &again.match_keys(&profile));
            prop_assert!(!keys.is_empty());
            let distinct: BTreeSet<_> = keys.iter().map(|key| (key.key(), key.as_bytes())).collect();
            prop_assert_eq!(distinct.len(), keys.len());
            prop_assert!(profile.score(&person, &agreed(&person, &again), SIZES).is_finite());
        }
    }

    #[test]
    fn swapped_names_still_meet(given in "[a-z]{4,9}", family in "[a-z]{4,9}", year in 1900_i16..2020, month in 1_i8..13, day in 1_i8..29) {
        let born = jiff::civil::date(year, month, day).to_string();
        let (a, b) = (person(&given, &family, &born), person(&family, &given, &born));
        let profile = Profile::eu_thb_1();
        let shared = agreed(&a, &b);
        for name in ["person:names+born", "person:pair.sound+born.sorted", "person:pair+born.y"] {
            let key = profile.keys().iter().position(|key| key.name() == name).unwrap();
            prop_assert!(shared.iter().any(|agreed| usize::from(agreed.key) == key), "{}", name);
        }
    }
}
