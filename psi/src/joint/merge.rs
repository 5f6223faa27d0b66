//! The coordinator's part: which pseudonyms which parties have in common.

use std::collections::VecDeque;

use super::Pseudonym;
use crate::PeerMisbehaved;

/// What a party says of a pseudonym beside it; what it means is for the caller.
pub type Mark = [u8; 4];

/// One line of a party's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The pseudonym.
    pub pseudonym: Pseudonym,
    /// What the party says of it.
    pub mark: Mark,
}

/// Merges the sorted lists of all parties, and holds no more of them than it is given ahead.
///
/// A party's list ascends, has no pseudonym twice, and exactly as many as were announced.
#[derive(Debug)]
pub struct Merge {
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    announced: u64,
    received: u64,
    last: Option<Pseudonym>,
    ahead: VecDeque<Entry>,
}

/// A pseudonym, and which parties have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// The pseudonym.
    pub pseudonym: Pseudonym,
    /// The parties, ascending, each with its mark.
    pub parties: Vec<(usize, Mark)>,
}

impl Merge {
    /// Starts with the size that each party announced.
    pub fn new(announced: &[u64]) -> Self {
        let list = |announced: &u64| List {
            announced: *announced,
            received: 0,
            last: None,
            ahead: VecDeque::new(),
        };
        Self {
            lists: announced.iter().map(list).collect(),
        }
    }

    /// A party whose next entry is needed before anything more can be told.
    pub fn wants(&self) -> Option<usize> {
        (0..self.lists.len()).find(|party| self.is_hungry(*party))
    }

    /// Whether this party's next entry is needed.
    pub fn is_hungry(&self, party: usize) -> bool {
        let list = self.lists.get(party);
        list.is_some_and(|list| list.ahead.is_empty() && list.received < list.announced)
    }

    /// Takes the next entries of a party's list.
    ///
    /// # Errors
    /// [`PeerMisbehaved::NotSorted`], [`PeerMisbehaved::TooMany`]; of a party that there is not, [`PeerMisbehaved::OutOfTurn`].
    pub fn push(&mut self, party: usize, entries: impl IntoIterator<Item = Entry>) -> Result<(), PeerMisbehaved> {
        let list = self.lists.get_mut(party).ok_or(PeerMisbehaved::OutOfTurn)?;
        for entry in entries {
            if list.last.is_some_and(|last| last >= entry.pseudonym) {
                return Err(PeerMisbehaved::NotSorted);
            }
            if list.received == list.announced {
                return Err(PeerMisbehaved::TooMany {
                    announced: list.announced,
                });
            }
            list.received += 1;
            list.last = Some(entry.pseudonym);
            list.ahead.push_back(entry);
        }
        Ok(())
    }

    /// A party's list has ended.
    ///
    /// # Errors
    /// [`PeerMisbehaved::TooFew`].
    pub fn end(&self, party: usize) -> Result<(), PeerMisbehaved> {
        let list = self.lists.get(party).ok_or(PeerMisbehaved::OutOfTurn)?;
        match list.received == list.announced {
            true => Ok(()),
            false => Err(PeerMisbehaved::TooFew {
                announced: list.announced,
                received: list.received,
            }),
        }
    }

    /// The next pseudonym of all lists, ascending, into `met`; `false` when [`Self::wants`] some party's entries first, or all lists are at
    /// their end.
    pub fn next(&mut self, met: &mut Met) -> bool {
        if self.wants().is_some() {
            return false;
        }
        let heads = self.lists.iter().filter_map(|list| list.ahead.front());
        let Some(least) = heads.map(|entry| entry.pseudonym).min() else {
            return false;
        };
        met.pseudonym = least;
        met.parties.clear();
        for (party, list) in self.lists.iter_mut().enumerate() {
            if let Some(entry) = list.ahead.pop_front_if(|entry| entry.pseudonym == least) {
                met.parties.push((party, entry.mark));
            }
        }
        true
    }
}
