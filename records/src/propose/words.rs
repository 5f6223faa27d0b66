//! What columns are called, in Dutch, English, German and French.

use crate::kind::{Platform, Role};

/// What a column's name says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Something that no mapping uses and that is called like something else.
    Nothing,
    Reference,
    Role,
    Visibility,
    Observed,
    Expires,
    Origin,
    /// Identifiers of the kind with this word.
    Kind(&'static str),
    /// Lines of a machine-readable zone.
    Mrz,
    PlateCountry,
    Issuer,
    Name,
    Given,
    Family,
    Particle,
    Born,
    Sex,
    Postcode,
    HouseNumber,
    Addition,
    Street,
    Place,
}

/// The first line that fits a name decides. `==name` is the whole name, `=word` one of its words, anything else a part of the name
/// without blanks, since Dutch and German write such names in one word.
#[rustfmt::skip]
const WORDS: &[(Meaning, &[&str])] = &[
    (Meaning::Nothing, &["geburtsname", "nomdenaissance", "geboortenaam", "maidenname", "birthname", "gebplaats", "geborenin", "geborente"]),
    (Meaning::Name, &["namevorname", "nometprenom", "nomprenom", "naamvoornaam", "namefirstname"]),
    (Meaning::Street, &["strassehausnr", "strassehausnummer", "straathuisnummer", "straatenhuisnummer"]),
    (Meaning::Nothing, &["geboorteplaats", "geboorteland", "birthplace", "placeofbirth", "geburtsort", "lieudenaissance"]),
    (Meaning::Nothing, &["nationaliteit", "nationality", "staatsangehorigkeit", "nationalite"]),
    (Meaning::PlateCountry, &["landkenteken", "kentekenland", "platecountry", "countryofregistration", "zulassungsland"]),
    (Meaning::Issuer, &["landdocument", "documentland", "issuer", "issuingcountry", "landvanafgifte", "ausstellungsland", "paysdelivrance"]),
    (Meaning::Expires, &["bewarentot", "bewaartermijn", "vernietig", "retain", "expires", "reviewdate", "retentionend", "loschdatum", "aussonderung", "datedeconservation", "effacement", "==exp", "==expiry", "==expirydate", "==bewaren", "loschfrist", "loeschfrist", "conserver"]),
    (Meaning::Observed, &["gezien", "waargenomen", "peildatum", "observed", "checked", "lastseen", "gesehen", "constate"]),
    (Meaning::Visibility, &["zichtbaarheid", "visibility", "=klasse", "==classification", "sichtbarkeit", "visibilite"]),
    (Meaning::Origin, &["=team", "=eenheid", "=afdeling", "=unit", "=origin", "herkomst", "dienststelle", "=service", "==bron", "==source", "==quelle", "==bronsysteem", "==sourcesystem"]),
    (Meaning::Role, &["=rol", "hoedanigheid", "=role", "=rolle", "=qualite"]),
    (Meaning::Born, &["geboortedatum", "geboren", "gebdat", "=gebdatum", "birth", "=dob", "=born", "==geb", "==neele", "==nele", "geburt", "naissance"]),
    (Meaning::Mrz, &["=mrz", "machinereadable", "machineleesbaar"]),
    (Meaning::Kind("email"), &["email", "=mail", "courriel"]),
    (Meaning::Kind("iban"), &["iban", "rekening", "bankaccount", "=account", "konto", "comptebancaire"]),
    (Meaning::Kind("bsn"), &["bsn", "burgerservice", "sofinummer"]),
    (Meaning::Kind("imei"), &["imei"]),
    (Meaning::Kind("imsi"), &["imsi"]),
    (Meaning::Kind("vin"), &["=vin", "chassis", "voertuigidentificatie", "fahrgestell", "fahrzeugident"]),
    (Meaning::Kind("plate"), &["kenteken", "plate", "==vrm", "=plaque", "=vehicle", "=registration", "kennzeichen", "immatriculation"]),
    (Meaning::Kind("wallet"), &["wallet", "bitcoin", "crypto", "portefeuille"]),
    (Meaning::Kind("ip"), &["=ip", "ipadres", "ipaddress", "ipadresse"]),
    (Meaning::Kind("handle"), &["handle", "username", "gebruikersnaam", "benutzername", "telegram", "insta", "facebook", "tiktok", "snapchat", "twitter"]),
    (Meaning::Kind("url"), &["=url", "website", "webseite", "weblink", "siteweb"]),
    (Meaning::Kind("national"), &["nationalid", "nationalnumber", "personalnumber", "personnummer", "rijksregister", "pesel", "natinsno", "nationalinsurance", "steuerid"]),
    (Meaning::Kind("company"), &["kvk", "companynumber", "companyno", "handelsregister", "siren", "siret"]),
    (Meaning::Kind("document"), &["document", "paspoort", "passport", "reisepass", "ausweis", "passeport", "idkaart", "=idcard", "carteidentite", "piecedidentite", "==iddoc", "==doc", "==docnr", "==docno"]),
    (Meaning::Kind("phone"), &["telefoon", "telefon", "phone", "=tel", "telnr", "mobiel", "=mobile", "=mobil", "=gsm", "=handy", "=portable"]),
    (Meaning::Particle, &["tussenvoegsel", "voorvoegsel", "=tussenv", "particle", "=prefix", "namenszusatz", "particule"]),
    (Meaning::Given, &["voornaam", "voornamen", "roepnaam", "given", "firstname", "forename", "vorname", "prenom"]),
    (Meaning::Family, &["achternaam", "familienaam", "geslachtsnaam", "surname", "lastname", "family", "nachname", "familienname", "nomdefamille"]),
    (Meaning::Sex, &["geslacht", "==mv", "=sex", "gender", "geschlecht", "=sexe"]),
    (Meaning::Postcode, &["postcode", "zipcode", "=zip", "postalcode", "=plz", "==pc", "postleitzahl", "codepostal"]),
    (Meaning::HouseNumber, &["huisnummer", "=huisnr", "==huisnr", "housenumber", "=houseno", "==houseno", "hausnummer", "=hausnr", "numerodevoie"]),
    (Meaning::Addition, &["toevoeging", "addition", "hausnummerzusatz"]),
    (Meaning::Street, &["straat", "street", "strasse", "=rue"]),
    (Meaning::Place, &["woonplaats", "=plaats", "=city", "=town", "wohnort", "=ort", "=ville", "=gemeente"]),
    (Meaning::Reference, &["zaaknr", "zaaknummer", "dossier", "mutatienummer", "registratienummer", "caseno", "casenumber", "casereference", "=case"]),
    (Meaning::Reference, &["=reference", "referentie", "referenz", "=ref", "=id", "recordid", "aktenzeichen", "vorgangsnummer", "vorgangsnr", "bvhnr", "=kenmerk", "==nr", "==nummer", "==no", "==number"]),
    (Meaning::Name, &["=naam", "=name", "=nom", "volledigenaam", "fullname", "namelijst"]),
];

/// The agencies' own words for roles.
const ROLES: &[(&str, Role)] = &[
    ("verdachte", Role::Suspect),
    ("beschuldigde", Role::Suspect),
    ("beschuldigter", Role::Suspect),
    ("tatverdachtiger", Role::Suspect),
    ("suspecte", Role::Suspect),
    ("veroordeelde", Role::Convicted),
    ("dader", Role::Convicted),
    ("verurteilter", Role::Convicted),
    ("condamne", Role::Convicted),
    ("slachtoffer", Role::Victim),
    ("opfer", Role::Victim),
    ("victime", Role::Victim),
    ("getuige", Role::Witness),
    ("melder", Role::Witness),
    ("zeuge", Role::Witness),
    ("temoin", Role::Witness),
    ("betrokkene", Role::Other),
    ("overig", Role::Other),
    ("anders", Role::Other),
    ("sonstige", Role::Other),
    ("autre", Role::Other),
];

/// What a column's name says.
pub(super) fn meaning(name: &str) -> Option<Meaning> {
    let folded = any_ascii::any_ascii(name).to_ascii_lowercase();
    let words: Vec<&str> = folded.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let joined = words.concat();
    let fits = |pattern: &&str| match pattern.strip_prefix('=') {
        Some(word) if word.starts_with('=') => word.strip_prefix('=') == Some(joined.as_str()),
        Some(word) => words
            .iter()
            .any(|one| one.trim_end_matches(|c: char| c.is_ascii_digit()) == word),
        None => joined.contains(pattern),
    };
    WORDS
        .iter()
        .find(|(_, patterns)| patterns.iter().any(fits))
        .map(|(meaning, _)| *meaning)
}

/// The platform that a column is called after.
pub(super) fn platform(name: &str) -> Option<Platform> {
    let folded = any_ascii::any_ascii(name).to_ascii_lowercase();
    let own = [("insta", Platform::Instagram), ("twitter", Platform::X)];
    // the shorter ones are parts of other words
    let all = Platform::ALL.iter().map(|one| (one.as_str(), *one));
    all.filter(|(word, _)| word.len() > 2)
        .chain(own)
        .find(|(word, _)| folded.contains(word))
        .map(|(_, platform)| platform)
}

/// The role that a word stands for; none for a word that an agency made for itself.
pub(super) fn role(word: &str) -> Option<Role> {
    let folded = any_ascii::any_ascii(word).to_ascii_lowercase();
    let known = ROLES.iter().find(|(known, _)| *known == folded);
    known.map(|(_, role)| *role).or_else(|| folded.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_four_languages() {
        for (name, expected) in [
            ("Telefoonnummer", Some(Meaning::Kind("phone"))),
            ("tel. 2", Some(Meaning::Kind("phone"))),
            ("telefoon2", Some(Meaning::Kind("phone"))),
            ("Mobile", Some(Meaning::Kind("phone"))),
            ("e-mail", Some(Meaning::Kind("email"))),
            ("E-Mail-Adresse", Some(Meaning::Kind("email"))),
            ("Rekeningnummer", Some(Meaning::Kind("iban"))),
            ("Kennzeichen", Some(Meaning::Kind("plate"))),
            ("land_kenteken", Some(Meaning::PlateCountry)),
            ("Geburtsdatum", Some(Meaning::Born)),
            ("Geburtsort", Some(Meaning::Nothing)),
            ("Date de naissance", Some(Meaning::Born)),
            ("Prénom", Some(Meaning::Given)),
            ("Nom", Some(Meaning::Name)),
            ("Nom de famille", Some(Meaning::Family)),
            ("surname", Some(Meaning::Family)),
            ("document_no", Some(Meaning::Kind("document"))),
            ("case_no", Some(Meaning::Reference)),
            ("zaaknr", Some(Meaning::Reference)),
            ("id", Some(Meaning::Reference)),
            ("bewaren_tot", Some(Meaning::Expires)),
            ("geb.", Some(Meaning::Born)),
            ("Nr", Some(Meaning::Reference)),
            ("huis nr", Some(Meaning::HouseNumber)),
            ("expiry date", Some(Meaning::Expires)),
            // a passport's, not the record's
            ("passport expiry date", Some(Meaning::Kind("document"))),
            ("Bron", Some(Meaning::Origin)),
            ("Geburtsname", Some(Meaning::Nothing)),
            ("Geb.-Datum", Some(Meaning::Born)),
            ("Geb.plaats", Some(Meaning::Nothing)),
            ("Name, Vorname", Some(Meaning::Name)),
            ("Nom et prénom", Some(Meaning::Name)),
            ("Straße, Hausnr.", Some(Meaning::Street)),
            ("ID doc", Some(Meaning::Kind("document"))),
            ("Löschdatum", Some(Meaning::Expires)),
            ("opmerking", None),
            ("video", None),
            ("", None),
        ] {
            assert_eq!(meaning(name), expected, "{name}");
        }
    }

    #[test]
    fn roles_by_the_usual_words() {
        assert_eq!(role("Slachtoffer"), Some(Role::Victim));
        assert_eq!(role("témoin"), Some(Role::Witness));
        assert_eq!(role("suspect"), Some(Role::Suspect));
        assert_eq!(role("Jansen"), None);
    }
}
