//! The normal forms that this build has: what a profile's `[kinds]` names.

use crate::kind::Kind;
use crate::normalise::{VIETNAM_2018, WORD_LISTS};
use crate::person::{NAMESAKES, SOUNDS, STARTS};

/// A normal form of one kind.
pub(super) struct Form {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    /// Change this text with every change of a rule: it is what makes two builds with different rules refuse each other.
    pub(super) rules: &'static str,
}

/// All of them, in the order of [`Kind::ALL`].
pub(super) const FORMS: &[Form] = &[
    Form {
        kind: Kind::Phone,
        name: "e164/1",
        rules: "NFKC, ASCII; tel: and wa.me; extension and (0) dropped; valid by libphonenumber as in rlibphonenumber 2.2; VN renumbered 2018; E.164",
    },
    Form {
        kind: Kind::Email,
        name: "email/1",
        rules: "NFKC, lower case; mailto: and display name dropped; ASCII dot-atom and host name; gmail dots, tags and googlemail folded",
    },
    Form {
        kind: Kind::Iban,
        name: "iban/1",
        rules: "NFKC, ASCII, upper case; label and separators dropped; ISO 13616 structure and check digits",
    },
    Form {
        kind: Kind::Plate,
        name: "plate/1",
        rules: "country:letters and digits; NFKC, upper case; Cyrillic and Greek by shape; 2 to 12",
    },
    Form {
        kind: Kind::Vin,
        name: "vin/1",
        rules: "letters and digits; 17, no I O Q; check digit if it starts with 1 to 5 (49 CFR 565)",
    },
    Form {
        kind: Kind::Document,
        name: "document/1",
        rules: "issuer:letters and digits; MRZ by ICAO 9303; NFKC, upper case; Cyrillic and Greek by shape; ICAO 9303 check digit of 10 dropped; 5 to 24, one digit",
    },
    Form {
        kind: Kind::Bsn,
        name: "bsn/1",
        rules: "digits; 8 padded to 9; not zero; eleven test",
    },
    Form {
        kind: Kind::National,
        name: "national/1",
        rules: "country:letters and digits, check digits by country; not NL; zeros padded; FI keeps its sign; GB without suffix; SE ten digits",
    },
    Form {
        kind: Kind::Handle,
        name: "handle/1",
        rules: "platform:name; lower case but YouTube channel ids; Facebook without dots; phones, posts, groups and invitations refused",
    },
    Form {
        kind: Kind::Url,
        name: "url/1",
        rules: "WHATWG; IPv4 hosts as four decimal groups only; https for both; host lower case, IDNA, no www; default port, fragment not starting with ! or /, tracking parameters (si at youtube, youtu.be, spotify), slashes at the end dropped",
    },
    Form {
        kind: Kind::Ip,
        name: "ip/1",
        rules: "four decimal groups, leading zeros dropped; RFC 5952; IPv4 in IPv6 is IPv4; loopback, link-local, multicast, unspecified refused",
    },
    Form {
        kind: Kind::Imei,
        name: "imei/1",
        rules: "first 14 digits; Luhn of 15 unless 0; shared numbers refused",
    },
    Form {
        kind: Kind::Imsi,
        name: "imsi/1",
        rules: "14 or 15 digits; country code 2xx to 7xx, 901, 902",
    },
    Form {
        kind: Kind::Wallet,
        name: "wallet/1",
        rules: "currency:address; checksums verified; bech32 and Ethereum lower case; Litecoin scripts as M",
    },
    Form {
        kind: Kind::Company,
        name: "company/1",
        rules: "country:letters and digits; check digits BE FR PL; VAT number is BE, FR, PL company number, else in full with its country",
    },
    Form {
        kind: Kind::Address,
        name: "address/1",
        rules: "country:postcode:number; street between, but for NL and GB; capitals; number and addition joined, hyphen between digits",
    },
    Form {
        kind: Kind::Person,
        name: "person/1",
        rules: "NFKC, any_ascii 0.3, lower case; Greek by ELOT 743, Arabic script by its consonants with the article split off, dj for \
                the Slavic d with stroke; apostrophes join, other non-letters split; halves of Arabic names joined; particles \
                dropped if two names remain; as they sound: the namesakes' first, without an article at the start; given|family|yyyy-mm-dd|sex|postcode|house number|street|place",
    },
];

/// The word lists that the forms use.
pub(super) fn word_lists() -> impl Iterator<Item = &'static [&'static str]> {
    WORD_LISTS.iter().copied().chain([NAMESAKES])
}

/// The pairs of words that the forms use.
pub(super) fn word_pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    VIETNAM_2018.iter().chain(SOUNDS).chain(STARTS).copied()
}
