//! Which match keys each pair of records agrees on: what the asker of a match comes to know.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use anyhow::Result;
use overlap_psi::{Item, dh::Label};
use overlap_records::{Agreed, Identifier, Profile};

use super::psi;
use super::set::Set;

/// Handles of the peer's records that come with an item.
const HANDLES: usize = 4;

/// The pairs of a set that agree on a key at least.
pub(crate) struct Pairs {
    /// By place in the two files.
    pub(crate) agreed: HashMap<(u32, u32), Vec<Agreed>>,
    /// The peer's items in the comparison.
    pub(crate) peer_items: u64,
    /// Match keys per own record.
    pub(crate) keys_per_record: f64,
}

/// The records that hold each match key.
type Holders = BTreeMap<(u16, Vec<u8>), Vec<u32>>;

/// Compares two files, by PSI or by a plain join, which finds the same.
pub(crate) fn compare(set: &Set, profile: &Profile, plain: bool) -> Result<Pairs> {
    let (own, peer) = (holders(&set.a, profile), holders(&set.b, profile));
    let keys: usize = own.values().map(Vec::len).sum();
    let labels: Vec<Label> = peer.values().map(|records| label(records)).collect();
    let hits = if plain {
        let found = own
            .keys()
            .enumerate()
            .filter_map(|(place, key)| Some((place, peer.get(key)?)));
        found.map(|(place, records)| (place, label(records))).collect()
    } else {
        psi::hits(&items(&own, profile), &items(&peer, profile), &labels)?
    };
    Ok(Pairs {
        agreed: join(&own, &hits),
        peer_items: peer.len() as u64,
        keys_per_record: keys as f64 / set.a.len().max(1) as f64,
    })
}

/// Items that are too common at their side are left out, as in a node.
fn holders(persons: &[Option<Identifier>], profile: &Profile) -> Holders {
    let mut holders = Holders::new();
    for (index, person) in (0..).zip(persons) {
        for key in person.iter().flat_map(|person| person.match_keys(profile)) {
            holders
                .entry((key.key(), key.as_bytes().to_vec()))
                .or_default()
                .push(index);
        }
    }
    holders.retain(|_, records| records.len() <= profile.common() as usize);
    holders
}

fn items(holders: &Holders, profile: &Profile) -> Vec<Item> {
    holders
        .keys()
        .map(|(key, bytes)| {
            let name = profile.keys().get(usize::from(*key)).map_or("", |key| key.name());
            Item::derive(profile.name(), name, bytes)
        })
        .collect()
}

/// The first records that hold an item, as a node's labels name them; here by their places, counted from 1.
fn label(records: &[u32]) -> Label {
    let mut label = Label::default();
    for (handle, record) in label
        .as_chunks_mut::<8>()
        .0
        .iter_mut()
        .zip(records.iter().take(HANDLES))
    {
        *handle = (u64::from(*record) + 1).to_be_bytes();
    }
    label
}

fn join(own: &Holders, hits: &[(usize, Label)]) -> HashMap<(u32, u32), Vec<Agreed>> {
    let mut pairs: HashMap<_, Vec<Agreed>> = HashMap::new();
    let mut hits = hits.iter().peekable();
    for (place, ((key, _), own)) in own.iter().enumerate() {
        let Some((_, label)) = hits.next_if(|(hit, _)| *hit == place) else {
            continue;
        };
        let handles = label
            .as_chunks::<8>()
            .0
            .iter()
            .map(|handle| u64::from_be_bytes(*handle));
        let peer: Vec<u32> = handles
            .filter_map(|handle| u32::try_from(handle.checked_sub(1)?).ok())
            .collect();
        let agreed = Agreed {
            key: *key,
            own: own.len() as u32,
            peer: peer.len() as u32,
        };
        for a in own {
            for b in &peer {
                pairs.entry((*a, *b)).or_default().push(agreed);
            }
        }
    }
    pairs
}

/// What weights are fitted from, summed up: `set records links own-keys agreed-keys rarest linked others`, keys as bits in hex.
pub(crate) fn patterns(set: &Set, profile: &Profile, pairs: &Pairs, out: &mut String) {
    let bits = |keys: &mut dyn Iterator<Item = u16>| {
        keys.fold(0_u128, |mask, key| mask | 1_u128.checked_shl(key.into()).unwrap_or(0))
    };
    let mut sums: BTreeMap<(u128, u128, u32), (u32, u32)> = BTreeMap::new();
    for ((a, b), agreed) in &pairs.agreed {
        let person = set.a.get(*a as usize).and_then(Option::as_ref);
        let keys = person.map(|person| person.match_keys(profile)).unwrap_or_default();
        let own = bits(&mut keys.iter().map(|key| key.key()));
        let hit = bits(&mut agreed.iter().map(|agreed| agreed.key));
        let rarest = agreed
            .iter()
            .map(|agreed| agreed.own.max(agreed.peer))
            .min()
            .unwrap_or(1);
        let sum = sums.entry((own, hit, rarest)).or_default();
        match set.links.contains(&(*a, *b)) {
            true => sum.0 += 1,
            false => sum.1 += 1,
        }
    }
    let (records, links) = (set.a.len(), set.links.len());
    for ((own, hit, rarest), (linked, others)) in sums {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{} {records} {links} {own:x} {hit:x} {rarest} {linked} {others}",
            set.name
        );
    }
}
