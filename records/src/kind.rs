//! The closed vocabularies: kinds of identifier, platforms, roles of a subject, visibility classes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// One enum of fixed words: its text form is the same in `Display`, `FromStr` and serde.
macro_rules! words {
    (
        $(#[$meta:meta])* $name:ident, $unknown:ident, $what:literal, $count:literal;
        $($(#[$doc:meta])* $variant:ident = $word:literal,)+
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All of them, in their fixed order.
            pub const ALL: [Self; $count] = [$(Self::$variant,)+];

            /// The word that stands for it in text, configuration and messages.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $unknown;

            fn from_str(word: &str) -> Result<Self, $unknown> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($unknown),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        #[doc = concat!("A word that names no ", $what, "; the message lists the words that do.")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
        #[error("unknown {}, use one of: {}", $what, [$($word),+].join(", "))]
        pub struct $unknown;
    };
}

words! {
    /// What an identifier points with.
    Kind, UnknownKind, "kind", 17;
    /// Telephone number, ITU-T E.164.
    Phone = "phone",
    /// E-mail address, RFC 5321.
    Email = "email",
    /// Bank account, ISO 13616.
    Iban = "iban",
    /// Vehicle registration mark with its country.
    Plate = "plate",
    /// Vehicle identification number, ISO 3779.
    Vin = "vin",
    /// Travel or identity document number with its issuer, ICAO 9303.
    Document = "document",
    /// Dutch citizen service number (Wet algemene bepalingen burgerservicenummer).
    Bsn = "bsn",
    /// Personal number that another state gave, with that state.
    National = "national",
    /// Account on a platform, by its name there.
    Handle = "handle",
    /// Web address, WHATWG URL.
    Url = "url",
    /// Internet address, RFC 791 and RFC 5952.
    Ip = "ip",
    /// Mobile device, 3GPP TS 23.003 section 6.
    Imei = "imei",
    /// SIM card, ITU-T E.212.
    Imsi = "imsi",
    /// Address of a crypto-asset.
    Wallet = "wallet",
    /// Company by its number in a register, with the country.
    Company = "company",
    /// Place: postcode and house number with the country.
    Address = "address",
    /// Names, birth date and address, compared by several match keys; agreement of these makes a scored candidate.
    Person = "person",
}

impl Kind {
    /// Whether the country counts when text is read: given by the text itself, a column, or [`Hints`](crate::Hints).
    #[must_use]
    pub const fn has_country(self) -> bool {
        matches!(
            self,
            Self::Phone | Self::Plate | Self::Document | Self::National | Self::Company | Self::Address
        )
    }
}

words! {
    /// Where a [handle](Kind::Handle) is a name.
    Platform, UnknownPlatform, "platform", 16;
    /// Telegram: a user name, or the number of an account.
    Telegram = "telegram",
    /// Instagram, and Threads, which shares its names.
    Instagram = "instagram",
    /// Facebook: a user name, or the number of a profile.
    Facebook = "facebook",
    /// X, formerly Twitter.
    X = "x",
    /// TikTok.
    Tiktok = "tiktok",
    /// Snapchat.
    Snapchat = "snapchat",
    /// YouTube: a handle, or the id of a channel.
    Youtube = "youtube",
    /// LinkedIn: a personal profile.
    Linkedin = "linkedin",
    /// VKontakte.
    Vk = "vk",
    /// Odnoklassniki.
    Ok = "ok",
    /// Discord: a user name, or the number of an account.
    Discord = "discord",
    /// Reddit.
    Reddit = "reddit",
    /// OnlyFans.
    Onlyfans = "onlyfans",
    /// Signal: a user name such as `jan.01`.
    Signal = "signal",
    /// WeChat.
    Wechat = "wechat",
    /// Skype, closed in 2025; names live on in records.
    Skype = "skype",
}

words! {
    /// In what quality an agency knows the subject of a record; data on them are kept apart (Directive (EU) 2016/680 art. 6).
    Role, UnknownRole, "role", 5;
    /// Suspected of an offence.
    Suspect = "suspect",
    /// Convicted of an offence.
    Convicted = "convicted",
    /// Victim, or presumed to be one.
    Victim = "victim",
    /// Witness or informant.
    Witness = "witness",
    /// Anyone else, contacts and associates among them.
    Other = "other",
}

words! {
    /// What another agency sees when it hits a record.
    Visibility, UnknownVisibility, "visibility class", 4;
    /// Related data visible on a hit.
    A = "a",
    /// Hit visible, the rest after consent.
    B = "b",
    /// Agency and kind visible, the rest after consent.
    C = "c",
    /// Hit invisible to the asker: only the holder learns of it.
    D = "d",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse::<Kind>(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
            assert_eq!(serde_json::from_str::<Kind>(&format!("\"{kind}\"")).unwrap(), kind);
        }
        for role in Role::ALL {
            assert_eq!(role.to_string().parse::<Role>(), Ok(role));
        }
        for visibility in Visibility::ALL {
            assert_eq!(visibility.to_string().parse::<Visibility>(), Ok(visibility));
        }
    }

    #[test]
    fn unknown_words_name_the_known_ones() {
        let error = "fax".parse::<Kind>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown kind, use one of: phone, email, iban, plate, vin, document, bsn, national, handle, url, ip, imei, imsi, \
             wallet, company, address, person"
        );
    }
}
