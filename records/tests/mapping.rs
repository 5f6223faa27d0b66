//! Mapping files, good and broken.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use overlap_records::{Kind, Mapping};

const RECORD: &str = "[record]\nreference = \"zaaknr\"\n";
const PHONE: &str = "[[identifier]]\nkind = \"phone\"\ncolumns = [\"telefoon\"]\n";

#[test]
fn the_smallest_mapping() {
    let mapping = Mapping::parse(&format!("{RECORD}{PHONE}")).unwrap();
    assert!(mapping.kinds().iter().eq(&[Kind::Phone]));
    assert!(mapping.columns().into_iter().eq(["telefoon", "zaaknr"]));
}

#[test]
fn errors_name_the_setting() {
    let person = "[[identifier]]\nkind = \"person\"\nborn = \"c\"\n";
    for (toml, expected) in [
        (RECORD.to_owned(), "has no [[identifier]]"),
        (PHONE.to_owned(), "missing field `record`"),
        (format!("[record]\n{PHONE}"), "missing field `reference`"),
        (format!("{RECORD}colour = 1\n{PHONE}"), "unknown field `colour`"),
        (format!("{RECORD}{PHONE}format = 1\n"), "unknown field `format`"),
        (
            format!("[source]\nsheets = 1\n{RECORD}{PHONE}"),
            "unknown field `sheets`",
        ),
        (
            format!("[source]\nformat = \"ods\"\n{RECORD}{PHONE}"),
            "unknown format, use one of: csv",
        ),
        (
            format!("[source]\nmixed_dates = \"guess\"\n{RECORD}{PHONE}"),
            "`stop` or `reject`",
        ),
        (
            format!("{RECORD}default_origin = \"\"\n{PHONE}"),
            "`default_origin` must be 1 to 128 bytes",
        ),
        (
            format!("{RECORD}{PHONE}mrz = \"x\"\n"),
            "`mrz` does not go with an identifier of kind phone",
        ),
        (
            format!("{RECORD}[[identifier]]\nkind = \"person\"\nname = \"n\"\nborn = [\"y\", \"m\"]\n"),
            "a list of three: [year, month, day]",
        ),
        (
            format!("[source]\ndelimiter = \"::\"\n{RECORD}{PHONE}"),
            "`delimiter` must be one character",
        ),
        (
            format!("[source]\ndelimiter = '\"'\n{RECORD}{PHONE}"),
            "`delimiter` must be one character",
        ),
        (
            format!("[source]\nencoding = \"ebcdic\"\n{RECORD}{PHONE}"),
            "unknown `encoding`",
        ),
        (
            format!("[source]\nregion = \"UK\"\n{RECORD}{PHONE}"),
            "two-letter ISO 3166-1",
        ),
        (
            format!("[source]\ndates = \"ydm\"\n{RECORD}{PHONE}"),
            "`dmy`, `mdy`, `ymd`",
        ),
        (
            format!("{RECORD}visibility = \"e\"\n{PHONE}"),
            "unknown visibility class, use one of: a, b, c, d",
        ),
        (
            format!("{RECORD}default_role = \"dader\"\n{PHONE}"),
            "suspect, convicted, victim, witness, other",
        ),
        (
            format!("{RECORD}roles = {{ a = \"victim\" }}\n{PHONE}"),
            "`roles` needs `role` beside it",
        ),
        (
            format!("{RECORD}role = \"r\"\nroles = {{ a = \"victim\", A = \"suspect\" }}\n{PHONE}"),
            "two roles",
        ),
        (
            format!("{RECORD}observed = \" \"\n{PHONE}"),
            "column name in the mapping is empty",
        ),
        (
            format!("{RECORD}[[identifier]]\nkind = \"fax\"\n"),
            "phone, email, iban",
        ),
        (
            format!("{RECORD}[[identifier]]\nkind = \"bsn\"\n"),
            "kind bsn needs `columns`",
        ),
        (
            format!("{RECORD}[[identifier]]\nkind = \"bsn\"\ncolumns = []\n"),
            "kind bsn needs `columns`",
        ),
        (
            format!("{RECORD}{PHONE}born = \"x\"\n"),
            "`born` does not go with an identifier of kind phone",
        ),
        (
            format!("{RECORD}[[identifier]]\nkind = \"bsn\"\ncolumns = [\"x\"]\ncountry = \"NL\"\n"),
            "`country` does not go with",
        ),
        (format!("{RECORD}{person}"), "kind person needs `name, given or family`"),
        (
            format!("{RECORD}{person}name = \"n\"\ncolumns = [\"d\"]\n"),
            "`columns` does not go with an identifier of kind person",
        ),
    ] {
        let error = Mapping::parse(&toml).unwrap_err().to_string();
        assert!(error.contains(expected), "{toml}\n{error}");
    }
}

#[test]
fn every_setting() {
    let mapping = Mapping::parse(
        r#"
        [source]
        delimiter = "\t"
        encoding = "latin1"
        region = "de"
        dates = "mdy"
        mixed_dates = "reject"
        format = "xlsx"
        sheet = "Sheet 2"
        [record]
        reference = "id"
        role = "role"
        roles = { Opfer = "victim" }
        default_role = "other"
        visibility = "c"
        visibility_column = "class"
        observed = "seen"
        expires = "until"
        origin = "unit"
        default_origin = "Unit 7"
        [[identifier]]
        kind = "plate"
        columns = ["plate", "trailer"]
        country = "DE"
        country_column = "country"
        [[identifier]]
        kind = "document"
        columns = ["passport"]
        issuer_column = "issuer"
        mrz = "mrz"
        [[identifier]]
        kind = "person"
        given = "given"
        family = "family"
        particle = "particle"
        born = "born"
        [[identifier]]
        kind = "person"
        name = "name"
        born = ["y", "m", "d"]
        sex = "sex"
        postcode = "postcode"
        house_number = "number"
        street = "street"
        place = "place"
        "#,
    )
    .unwrap();
    assert!(
        mapping
            .kinds()
            .into_iter()
            .eq([Kind::Plate, Kind::Document, Kind::Person])
    );
    assert_eq!(mapping.columns().len(), 25);
}
