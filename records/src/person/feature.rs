//! Features: what of a person two records can agree on, as text that is equal where they do.

use zeroize::Zeroizing;

use super::birth::Birth;
use super::parts::Person;
use super::root::root_sound;

/// The fields that weights are added up over: within one field the best agreement counts, not all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Field {
    Given,
    Family,
    Born,
    Sex,
    Postcode,
    House,
    Street,
    Place,
}

/// All fields with their words in a profile.
pub(crate) const FIELDS: [(Field, &str); 8] = [
    (Field::Given, "given"),
    (Field::Family, "family"),
    (Field::Born, "born"),
    (Field::Sex, "sex"),
    (Field::Postcode, "postcode"),
    (Field::House, "house"),
    (Field::Street, "street"),
    (Field::Place, "place"),
];

/// Every feature once: variant, word in a profile, the rule in words (part of the profile's hash).
macro_rules! features {
    ($($variant:ident $word:literal $rule:literal)+) => {
        /// Something of a person that two records can agree on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Feature {
            $(#[doc = $rule] $variant,)+
        }

        impl Feature {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its word in a profile.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What it is, in words: change the text with the rule.
            pub(crate) const fn rule(self) -> &'static str {
                match self {
                    $(Self::$variant => $rule,)+
                }
            }
        }
    };
}

features! {
    Given "given" "first given name"
    GivenSound "given.sound" "first given name as it sounds"
    GivenHead "given.head" "first three sounds of the first given name"
    GivenTail "given.tail" "last three sounds of the first given name"
    GivenThree "given.3" "first three letters of the first given name"
    GivenInitial "given.1" "initial of the first given name"
    Family "family" "family names joined"
    FamilySound "family.sound" "family names joined, as they sound"
    FamilyHead "family.head" "first three sounds of the family names"
    FamilyTail "family.tail" "last three sounds of the family names"
    FamilyThree "family.3" "first three letters of the family names"
    FamilyInitial "family.1" "initial of the family names"
    Names "names" "all names, sorted"
    Pair "pair" "first given name and family names, sorted"
    PairSound "pair.sound" "first given name and family names as they sound, sorted"
    Born "born" "whole birth date"
    BornSorted "born.sorted" "century, sorted digits of the year in it, sorted month and day"
    BornDay "born.md" "month and day of birth"
    BornMonth "born.ym" "year and month of birth"
    BornYearDay "born.yd" "year and day of the month of birth"
    BornYear "born.y" "birth year"
    Sex "sex" "sex"
    Postcode "postcode" "postcode"
    PostcodeArea "postcode.4" "first four characters of the postcode"
    House "house" "house number"
    Street "street" "first five letters of the street without the words for its sort"
    Place "place" "first five letters of the town"
}

impl Feature {
    /// The feature of that word.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.as_str() == word)
    }

    /// The features of one field each that it stands for.
    pub(crate) fn parts(self) -> &'static [(Field, Self)] {
        use Feature as F;
        match self {
            F::Given => &[(Field::Given, F::Given)],
            F::GivenSound => &[(Field::Given, F::GivenSound)],
            F::GivenHead => &[(Field::Given, F::GivenHead)],
            F::GivenTail => &[(Field::Given, F::GivenTail)],
            F::GivenThree => &[(Field::Given, F::GivenThree)],
            F::GivenInitial => &[(Field::Given, F::GivenInitial)],
            F::Family => &[(Field::Family, F::Family)],
            F::FamilySound => &[(Field::Family, F::FamilySound)],
            F::FamilyHead => &[(Field::Family, F::FamilyHead)],
            F::FamilyTail => &[(Field::Family, F::FamilyTail)],
            F::FamilyThree => &[(Field::Family, F::FamilyThree)],
            F::FamilyInitial => &[(Field::Family, F::FamilyInitial)],
            F::Names | F::Pair => &[(Field::Given, F::Given), (Field::Family, F::Family)],
            F::PairSound => &[(Field::Given, F::GivenSound), (Field::Family, F::FamilySound)],
            F::Born => &[(Field::Born, F::Born)],
            F::BornSorted => &[(Field::Born, F::BornSorted)],
            F::BornDay => &[(Field::Born, F::BornDay)],
            F::BornMonth => &[(Field::Born, F::BornMonth)],
            F::BornYearDay => &[(Field::Born, F::BornYearDay)],
            F::BornYear => &[(Field::Born, F::BornYear)],
            F::Sex => &[(Field::Sex, F::Sex)],
            F::Postcode => &[(Field::Postcode, F::Postcode)],
            F::PostcodeArea => &[(Field::Postcode, F::PostcodeArea)],
            F::House => &[(Field::House, F::House)],
            F::Street => &[(Field::Street, F::Street)],
            F::Place => &[(Field::Place, F::Place)],
        }
    }

    /// The weaker features of the same field that two records agree on with it.
    pub(crate) fn implied(self) -> &'static [Self] {
        use Feature as F;
        match self {
            F::Given => &[
                F::GivenSound,
                F::GivenHead,
                F::GivenTail,
                F::GivenThree,
                F::GivenInitial,
            ],
            F::GivenSound => &[F::GivenHead, F::GivenTail],
            F::GivenThree => &[F::GivenInitial],
            F::Family => &[
                F::FamilySound,
                F::FamilyHead,
                F::FamilyTail,
                F::FamilyThree,
                F::FamilyInitial,
            ],
            F::FamilySound => &[F::FamilyHead, F::FamilyTail],
            F::FamilyThree => &[F::FamilyInitial],
            F::Born => &[F::BornSorted, F::BornDay, F::BornMonth, F::BornYearDay, F::BornYear],
            F::BornMonth | F::BornYearDay => &[F::BornYear],
            F::Postcode => &[F::PostcodeArea],
            _ => &[],
        }
    }

    /// Its value for a person; none where the record does not say.
    pub(crate) fn value(self, person: &Person<'_>) -> Option<Zeroizing<String>> {
        let given = || person.given.first().map(|name| Zeroizing::new((*name).to_owned()));
        let family = || known(person.family.concat());
        let born = person.birth;
        match self {
            Self::Given => given(),
            Self::GivenSound => heard(root_sound(&given()?)),
            Self::GivenHead => known(head(&root_sound(&given()?))),
            Self::GivenTail => known(tail(&root_sound(&given()?))),
            Self::GivenThree => start(&given()?, 3),
            Self::GivenInitial => start(&given()?, 1),
            Self::Family => family(),
            Self::FamilySound => heard(root_sound(&family()?)),
            Self::FamilyHead => known(head(&root_sound(&family()?))),
            Self::FamilyTail => known(tail(&root_sound(&family()?))),
            Self::FamilyThree => start(&family()?, 3),
            Self::FamilyInitial => start(&family()?, 1),
            Self::Names => names(person),
            Self::Pair => pair(&given()?, &family()?),
            Self::PairSound => pair(&root_sound(&given()?), &root_sound(&family()?)),
            Self::Born => known(born.to_string()).filter(|_| born.year != 0 && born.day != 0),
            Self::BornSorted => sorted(born),
            Self::BornDay => digits(&[born.month, born.day]),
            Self::BornMonth => digits(&[born.year, born.month]),
            Self::BornYearDay => digits(&[born.year, born.day]),
            Self::BornYear => digits(&[born.year]),
            Self::Sex => known(person.sex.to_owned()),
            Self::Postcode => known(person.postcode.to_owned()),
            Self::House => known(person.house_number.to_owned()),
            Self::PostcodeArea => start(person.postcode, 4),
            Self::Street => start(&super::address::street(person.street), 5),
            Self::Place => start(&person.place.replace(' ', ""), 5),
        }
    }
}

fn digits(numbers: &[i16]) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    for number in numbers {
        if *number == 0 {
            return None;
        }
        text.push_str(&format!("{number:02}"));
    }
    Some(text)
}

fn head(sound: &str) -> String {
    sound.chars().take(3).collect()
}

fn tail(sound: &str) -> String {
    sound
        .get(sound.len().saturating_sub(3)..)
        .unwrap_or_default()
        .to_owned()
}

fn names(person: &Person<'_>) -> Option<Zeroizing<String>> {
    let mut names: Vec<&str> = person.given.iter().chain(&person.family).copied().collect();
    names.sort_unstable();
    (names.len() > 1).then(|| Zeroizing::new(names.join(" ")))
}

fn known(text: String) -> Option<Zeroizing<String>> {
    let text = Zeroizing::new(text);
    (!text.is_empty()).then_some(text)
}

fn heard(sound: Zeroizing<String>) -> Option<Zeroizing<String>> {
    (!sound.is_empty()).then_some(sound)
}

/// The first letters of a name, or all of a shorter one.
fn start(name: &str, letters: usize) -> Option<Zeroizing<String>> {
    known(name.get(..letters).unwrap_or(name).to_owned())
}

fn pair(a: &str, b: &str) -> Option<Zeroizing<String>> {
    let (first, second) = if a <= b { (a, b) } else { (b, a) };
    (!first.is_empty()).then(|| Zeroizing::new(format!("{first} {second}")))
}

/// Digits of a year are swapped more often than misread, and month and day taken for each other.
fn sorted(born: Birth) -> Option<Zeroizing<String>> {
    if born.year == 0 || born.day == 0 {
        return None;
    }
    let (century, year) = (born.year / 100, born.year % 100);
    let (ten, one) = (year / 10, year % 10);
    let year = format!("{century}{}{}", ten.min(one), ten.max(one));
    let (low, high) = (born.month.min(born.day), born.month.max(born.day));
    Some(Zeroizing::new(format!("{year}{low:02}{high:02}")))
}
