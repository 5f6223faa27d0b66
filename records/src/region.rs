//! Countries, as ISO 3166-1 codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// ISO 3166-1 alpha-2 and alpha-3 of every country, in order, and XK for Kosovo (user-assigned, used by the EU).
#[rustfmt::skip]
const CODES: &[&str; 250] = &[
    "ADAND", "AEARE", "AFAFG", "AGATG", "AIAIA", "ALALB", "AMARM", "AOAGO", "AQATA", "ARARG", "ASASM", "ATAUT", "AUAUS", "AWABW", "AXALA", "AZAZE",
    "BABIH", "BBBRB", "BDBGD", "BEBEL", "BFBFA", "BGBGR", "BHBHR", "BIBDI", "BJBEN", "BLBLM", "BMBMU", "BNBRN", "BOBOL", "BQBES", "BRBRA", "BSBHS",
    "BTBTN", "BVBVT", "BWBWA", "BYBLR", "BZBLZ", "CACAN", "CCCCK", "CDCOD", "CFCAF", "CGCOG", "CHCHE", "CICIV", "CKCOK", "CLCHL", "CMCMR", "CNCHN",
    "COCOL", "CRCRI", "CUCUB", "CVCPV", "CWCUW", "CXCXR", "CYCYP", "CZCZE", "DEDEU", "DJDJI", "DKDNK", "DMDMA", "DODOM", "DZDZA", "ECECU", "EEEST",
    "EGEGY", "EHESH", "ERERI", "ESESP", "ETETH", "FIFIN", "FJFJI", "FKFLK", "FMFSM", "FOFRO", "FRFRA", "GAGAB", "GBGBR", "GDGRD", "GEGEO", "GFGUF",
    "GGGGY", "GHGHA", "GIGIB", "GLGRL", "GMGMB", "GNGIN", "GPGLP", "GQGNQ", "GRGRC", "GSSGS", "GTGTM", "GUGUM", "GWGNB", "GYGUY", "HKHKG", "HMHMD",
    "HNHND", "HRHRV", "HTHTI", "HUHUN", "IDIDN", "IEIRL", "ILISR", "IMIMN", "ININD", "IOIOT", "IQIRQ", "IRIRN", "ISISL", "ITITA", "JEJEY", "JMJAM",
    "JOJOR", "JPJPN", "KEKEN", "KGKGZ", "KHKHM", "KIKIR", "KMCOM", "KNKNA", "KPPRK", "KRKOR", "KWKWT", "KYCYM", "KZKAZ", "LALAO", "LBLBN", "LCLCA",
    "LILIE", "LKLKA", "LRLBR", "LSLSO", "LTLTU", "LULUX", "LVLVA", "LYLBY", "MAMAR", "MCMCO", "MDMDA", "MEMNE", "MFMAF", "MGMDG", "MHMHL", "MKMKD",
    "MLMLI", "MMMMR", "MNMNG", "MOMAC", "MPMNP", "MQMTQ", "MRMRT", "MSMSR", "MTMLT", "MUMUS", "MVMDV", "MWMWI", "MXMEX", "MYMYS", "MZMOZ", "NANAM",
    "NCNCL", "NENER", "NFNFK", "NGNGA", "NINIC", "NLNLD", "NONOR", "NPNPL", "NRNRU", "NUNIU", "NZNZL", "OMOMN", "PAPAN", "PEPER", "PFPYF", "PGPNG",
    "PHPHL", "PKPAK", "PLPOL", "PMSPM", "PNPCN", "PRPRI", "PSPSE", "PTPRT", "PWPLW", "PYPRY", "QAQAT", "REREU", "ROROU", "RSSRB", "RURUS", "RWRWA",
    "SASAU", "SBSLB", "SCSYC", "SDSDN", "SESWE", "SGSGP", "SHSHN", "SISVN", "SJSJM", "SKSVK", "SLSLE", "SMSMR", "SNSEN", "SOSOM", "SRSUR", "SSSSD",
    "STSTP", "SVSLV", "SXSXM", "SYSYR", "SZSWZ", "TCTCA", "TDTCD", "TFATF", "TGTGO", "THTHA", "TJTJK", "TKTKL", "TLTLS", "TMTKM", "TNTUN", "TOTON",
    "TRTUR", "TTTTO", "TVTUV", "TWTWN", "TZTZA", "UAUKR", "UGUGA", "UMUMI", "USUSA", "UYURY", "UZUZB", "VAVAT", "VCVCT", "VEVEN", "VGVGB", "VIVIR",
    "VNVNM", "VUVUT", "WFWLF", "WSWSM", "XKXKX", "YEYEM", "YTMYT", "ZAZAF", "ZMZMB", "ZWZWE",
];

/// What ICAO Doc 9303 part 3 section 5 writes in travel documents in place of, or besides, the ISO code.
const ICAO_CODES: &[(&str, &str)] = &[
    ("D", "DE"),
    ("GBD", "GB"),
    ("GBN", "GB"),
    ("GBO", "GB"),
    ("GBP", "GB"),
    ("GBS", "GB"),
    ("RKS", "XK"),
];

/// A country code that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(&'static str);

impl Region {
    /// The Netherlands.
    pub const NL: Self = Self("NL");

    /// The two upper-case letters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Reads a code as travel documents write it: ISO 3166-1, `D` for Germany, `GBD` and the like, `RKS` for Kosovo.
    pub(crate) fn from_icao(code: &str) -> Option<Self> {
        let special = ICAO_CODES.iter().find(|(icao, _)| *icao == code);
        special.map_or(code, |(_, iso)| iso).parse().ok()
    }
}

impl Default for Region {
    fn default() -> Self {
        Self::NL
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl FromStr for Region {
    type Err = UnknownRegion;

    /// Reads a code of two or three letters, in upper or lower case.
    fn from_str(code: &str) -> Result<Self, UnknownRegion> {
        let mut letters = [0; 3];
        let letters = letters.get_mut(..code.len()).ok_or(UnknownRegion)?;
        letters.copy_from_slice(code.as_bytes());
        letters.make_ascii_uppercase();
        let entry = match letters.len() {
            2 => CODES
                .binary_search_by(|entry| entry.as_bytes().iter().take(2).cmp(letters.iter()))
                .ok()
                .and_then(|at| CODES.get(at)),
            3 => CODES.iter().find(|entry| entry.as_bytes().ends_with(letters)),
            _ => None,
        };
        entry.and_then(|entry| entry.get(..2)).map(Self).ok_or(UnknownRegion)
    }
}

impl Serialize for Region {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Region {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let code = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        code.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no ISO 3166-1 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown country, use a two-letter ISO 3166-1 code such as NL, DE or GB")]
pub struct UnknownRegion;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert!(CODES.is_sorted() && CODES.iter().all(|entry| entry.len() == 5));
        for entry in CODES {
            let (two, three) = entry.split_at(2);
            assert_eq!(two.parse::<Region>().unwrap().as_str(), two);
            assert_eq!(three.parse::<Region>().unwrap().as_str(), two);
        }
        assert_eq!("nl".parse(), Ok(Region::NL));
        assert_eq!("Nld".parse(), Ok(Region::NL));
        assert_eq!(Region::from_icao("D").map(Region::as_str), Some("DE"));
        assert_eq!(Region::from_icao("GBO").map(Region::as_str), Some("GB"));
        for bad in ["", "N", "NLX", "DAN", "UK", "D", "A ", "  ", "é", "NLDN"] {
            assert_eq!(bad.parse::<Region>(), Err(UnknownRegion), "{bad:?}");
        }
    }
}
