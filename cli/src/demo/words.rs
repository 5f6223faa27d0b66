//! Word lists for made-up names, and how accents are lost.
//!
//! No word occurs as a given name in one list and as a family name in another, and none is a particle ("van", "le", "al"):
//! so two different pairs never have the same canonical form.

/// Names of one region: any given name goes with any family name.
pub(crate) struct Culture {
    pub(crate) given: &'static [&'static str],
    /// Particle ("van den", or empty) and family name.
    pub(crate) family: &'static [(&'static str, &'static str)],
}

/// The name with number `index`, in `0..names()`: given name, particle, family name.
pub(crate) fn name(mut index: u64) -> (&'static str, &'static str, &'static str) {
    for culture in CULTURES {
        if index < culture.len() {
            let families = culture.family.len() as u64;
            let (particle, family) = culture.family[(index % families) as usize];
            return (culture.given[(index / families) as usize], particle, family);
        }
        index -= culture.len();
    }
    unreachable!("the caller draws from 0..names()")
}

/// How many names there are.
pub(crate) fn names() -> u64 {
    CULTURES.iter().map(Culture::len).sum()
}

impl Culture {
    fn len(&self) -> u64 {
        (self.given.len() * self.family.len()) as u64
    }
}

/// `text` in ASCII, the way a system without accents would have it.
pub(crate) fn fold(text: &str) -> String {
    text.chars().map(plain).collect()
}

/// `text` with only the letters that Windows-1252 has.
pub(crate) fn fold_to_latin1(text: &str) -> String {
    text.chars()
        .map(|c| if c <= '\u{ff}' || c == '€' { c } else { plain(c) })
        .collect()
}

fn plain(c: char) -> char {
    PLAIN
        .iter()
        .find(|(_, accented)| accented.contains(c))
        .map_or(c, |(plain, _)| *plain)
}

const PLAIN: &[(char, &str)] = &[
    ('a', "áàäâãăąảạấầẩẫậắằẵặ"),
    ('c', "çčć"),
    ('d', "đď"),
    ('D', "ĐĎ"),
    ('e', "éèëêęěếềểễệẹẽ"),
    ('E', "ÉÈËÊ"),
    ('g', "ğ"),
    ('i', "íìïîịỉĩ"),
    ('l', "ł"),
    ('L', "Ł"),
    ('n', "ñńň"),
    ('o', "óòöôõơốồổỗộớờỡợọỏ"),
    ('O', "ÓÖÔ"),
    ('r', "ř"),
    ('s', "šśş"),
    ('S', "ŠŚ"),
    ('t', "ť"),
    ('u', "úùüûůưứừửữựụủũ"),
    ('U', "ÚÜ"),
    ('y', "ýỳỹỷ"),
    ('z', "žźż"),
    ('Z', "ŽŹŻ"),
];

const CULTURES: &[Culture] = &[
    Culture {
        given: &[
            "Anouk",
            "Bram",
            "Chloë",
            "Daan",
            "Eefje",
            "Floor",
            "Gijs",
            "Hanneke",
            "Ilse",
            "Joost",
            "Karlijn",
            "Loïs",
            "Marieke",
            "Niek",
            "Pieter Jan",
            "René",
            "Sanne",
            "Thijs",
            "Willem",
            "Zoë",
        ],
        family: &[
            ("van den", "Berg"),
            ("", "Bakker"),
            ("de", "Groot"),
            ("van der", "Meer"),
            ("", "Coenen"),
            ("van", "Dijk"),
            ("", "Hoekstra"),
            ("", "Jansen"),
            ("", "Kuipers"),
            ("", "Möller"),
            ("van de", "Ven"),
            ("", "Noordhuis"),
            ("", "Postma"),
            ("de", "Ruiter"),
            ("", "Seegers"),
            ("van", "Tuin"),
            ("", "Veenstra"),
            ("", "Wielinga"),
        ],
    },
    Culture {
        given: &[
            "Minh Đức",
            "Thu Hà",
            "Ngọc Lan",
            "Quang Huy",
            "Thanh Tùng",
            "Bích Thảo",
            "Hải Yến",
            "Gia Bảo",
            "Kim Chi",
            "Xuân Mai",
            "Hữu Phước",
            "Thùy Linh",
            "Anh Tuấn",
            "Khánh Vy",
        ],
        family: &[
            ("", "Nguyễn"),
            ("", "Trần"),
            ("", "Phạm"),
            ("", "Hoàng"),
            ("", "Vũ"),
            ("", "Đặng"),
            ("", "Bùi"),
            ("", "Ngô"),
            ("", "Dương"),
            ("", "Lý"),
            ("", "Trịnh"),
            ("", "Đoàn"),
        ],
    },
    Culture {
        given: &[
            "Agnieszka",
            "Bogdan",
            "Czesława",
            "Dragan",
            "Elżbieta",
            "František",
            "Grzegorz",
            "Iwona",
            "Jiří",
            "Katarzyna",
            "Łukasz",
            "Milena",
            "Oksana",
            "Radovan",
            "Snežana",
            "Tomáš",
            "Wojciech",
            "Žaneta",
        ],
        family: &[
            ("", "Kowalczyk"),
            ("", "Wiśniewski"),
            ("", "Zając"),
            ("", "Dvořák"),
            ("", "Petrović"),
            ("", "Bondarenko"),
            ("", "Šimek"),
            ("", "Grabowska"),
            ("", "Marinov"),
            ("", "Wójcik"),
            ("", "Horvat"),
            ("", "Tkachenko"),
            ("", "Jabłoński"),
            ("", "Novotný"),
            ("", "Stoyanova"),
        ],
    },
    Culture {
        given: &[
            "Abena",
            "Blessing",
            "Chidi",
            "Efua",
            "Folake",
            "Ifeoma",
            "Kwame",
            "Mamadou",
            "Ngozi",
            "Osagie",
            "Fatoumata",
            "Tunde",
            "Yaw",
            "Aïssatou",
            "Sékou",
        ],
        family: &[
            ("", "Adeyemi"),
            ("", "Boateng"),
            ("", "Camara"),
            ("", "Diallo"),
            ("", "Eze"),
            ("", "Koné"),
            ("", "Mensah"),
            ("", "Okafor"),
            ("", "Osei"),
            ("", "Sesay"),
            ("", "Traoré"),
            ("", "Uwaifo"),
            ("", "Keïta"),
        ],
    },
    Culture {
        given: &[
            "Amina", "Bilal", "Dounia", "Farid", "Hicham", "Ibtissam", "Jamila", "Khadija", "Nabil", "Rachida",
            "Samir", "Tarek", "Youssef", "Zineb",
        ],
        family: &[
            ("", "Amrani"),
            ("", "Bouzid"),
            ("", "Chahine"),
            ("", "Darwish"),
            ("", "Fassi"),
            ("", "Haddad"),
            ("", "Kassem"),
            ("", "Lahlou"),
            ("", "Mansouri"),
            ("", "Najjar"),
            ("", "Rahmani"),
            ("", "Saïdi"),
            ("", "Zeroual"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_has_its_own_canonical_form() {
        let mut seen = BTreeSet::new();
        for index in 0..names() {
            let (given, _, family) = name(index);
            let text = fold(&format!("{given} {family}")).to_ascii_lowercase();
            assert!(text.is_ascii(), "{text}");
            let mut tokens: Vec<String> = text.split(' ').map(str::to_owned).collect();
            tokens.sort();
            assert!(seen.insert(tokens), "{text}");
        }
    }

    #[test]
    fn no_word_is_a_particle() {
        const PARTICLES: &str =
            "van von de den der des di da do dos du la le el al ul bin bint ibn ben abu ten ter te op 't y zu";
        for index in 0..names() {
            let (given, _, family) = name(index);
            for token in fold(&format!("{given} {family}")).to_ascii_lowercase().split(' ') {
                assert!(PARTICLES.split(' ').all(|particle| particle != token), "{token}");
            }
        }
    }

    #[test]
    fn latin1_keeps_what_it_can() {
        assert_eq!(fold_to_latin1("Łukasz Möller, Đức, €"), "Lukasz Möller, Duc, €");
        assert_eq!(fold("Thùy Šimek Zoë"), "Thuy Simek Zoe");
    }
}
