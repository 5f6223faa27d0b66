//! The initiator: blinds its own set, then finds what it shares.

use rand_core::CryptoRng;
use rayon::prelude::*;

use super::{First, Label, LabelledToken, Mode, Terms, Token, mask};
use crate::{ApiMisuse, Encoded, Error, Key, PeerMisbehaved, Stored};

/// Blinds the own set, chunk by chunk; runs beside the [`Matcher`].
#[derive(Debug)]
pub struct Blinder {
    key: Key,
    left: u64,
    announced: u64,
}

/// Takes the responder's messages and keeps the table.
#[derive(Debug)]
pub struct Matcher {
    terms: Terms,
    unblind: Key,
    evaluated: Counted,
    tokens: Counted,
    table: Table,
    matched: Vec<u32>,
    /// With labels: those of `matched`, in its order.
    labels: Vec<Label>,
}

/// A message from the responder.
#[derive(Debug)]
pub enum Reply {
    /// Blinded elements under the responder's key as well.
    Evaluated(Vec<Encoded>),
    /// Tokens of the responder's set.
    Tokens(Vec<Token>),
    /// The same with labels.
    Labelled(Vec<LabelledToken>),
}

/// What the initiator learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matched {
    /// Positions in the own set, in the order in which it was blinded; ascending.
    Hits(Vec<u32>),
    /// The same, each with the label that the responder gave the item.
    Labels(Vec<(u32, Label)>),
    /// How many items both sets hold.
    Count(u64),
}

/// The smaller set, as it arrives; sorted by token once it is complete.
#[derive(Debug)]
enum Table {
    /// Own tokens with their positions; the responder's sorted tokens are merged against them from `cursor` on.
    /// With labels, `pads` opens the label of the item at a position.
    Own {
        entries: Vec<(Token, u32)>,
        pads: Vec<Label>,
        cursor: usize,
    },
    /// The responder's tokens, which arrive sorted, and their sealed labels if they carry any.
    Peer { tokens: Vec<Token>, labels: Vec<Label> },
}

/// A stream of announced length, with the last element where it has to be sorted.
#[derive(Debug)]
struct Counted {
    announced: u64,
    received: u64,
    last: Option<Vec<u8>>,
}

impl Blinder {
    /// Starts a session with a fresh key: one machine for each direction.
    pub fn start<R: CryptoRng + ?Sized>(terms: Terms, rng: &mut R) -> (Self, Matcher) {
        let key = Key::random(rng);
        let table = match terms.first() {
            First::Evaluated => Table::Own {
                entries: Vec::new(),
                pads: Vec::new(),
                cursor: 0,
            },
            First::Tokens => Table::Peer {
                tokens: Vec::new(),
                labels: Vec::new(),
            },
        };
        let matcher = Matcher {
            terms,
            unblind: key.inverse(),
            evaluated: Counted::new(terms.initiator),
            tokens: Counted::new(terms.responder),
            table,
            matched: Vec::new(),
            labels: Vec::new(),
        };
        (
            Self {
                key,
                left: terms.initiator,
                announced: terms.initiator,
            },
            matcher,
        )
    }

    /// Blinds a chunk of the own set: distinct elements, each once, in the order that hits will refer to.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] past the announced size, [`ApiMisuse::OwnElement`] for bytes that are no element.
    pub fn blind(mut self, own: &[Stored]) -> Result<(Self, Vec<Encoded>), Error> {
        self.left = self.left.checked_sub(own.len() as u64).ok_or(ApiMisuse::OwnSize {
            announced: self.announced,
            given: self.announced + 1,
        })?;
        let blinded = self.key.multiply_stored(own)?;
        Ok((self, blinded))
    }

    /// Evaluates the points of a mirrored pass ([`crate::mirror`]): how many the responder may have evaluated is for the caller to bound.
    ///
    /// # Errors
    /// [`PeerMisbehaved`] for bytes that are no element.
    pub fn evaluate(&self, points: &[Encoded]) -> Result<Vec<Encoded>, PeerMisbehaved> {
        self.key.multiply_all(points)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// [`ApiMisuse::OwnSize`] before the announced size was blinded.
    pub fn finish(self) -> Result<(), ApiMisuse> {
        match self.left {
            0 => Ok(()),
            left => Err(ApiMisuse::OwnSize {
                announced: self.announced,
                given: self.announced - left,
            }),
        }
    }
}

impl Matcher {
    /// Takes one message of the responder.
    ///
    /// # Errors
    /// [`PeerMisbehaved`], whatever its variant: the session is over.
    pub fn receive(self, reply: Reply) -> Result<Self, PeerMisbehaved> {
        match reply {
            Reply::Evaluated(elements) => self.evaluated(&elements),
            Reply::Tokens(tokens) if self.terms.mode != Mode::Labels => self.tokens(&tokens, &[]),
            Reply::Labelled(labelled) if self.terms.mode == Mode::Labels => {
                let (tokens, labels): (Vec<Token>, Vec<Label>) = labelled.iter().map(split).unzip();
                self.tokens(&tokens, &labels)
            }
            Reply::Tokens(_) | Reply::Labelled(_) => Err(PeerMisbehaved::OutOfTurn),
        }
    }

    /// Whether all announced messages came.
    pub fn is_complete(&self) -> bool {
        self.evaluated.is_complete() && self.tokens.is_complete()
    }

    /// How many elements came so far, of both streams, and how many will: for showing progress.
    pub fn progress(&self) -> (u64, u64) {
        (
            self.evaluated.received + self.tokens.received,
            self.evaluated.announced + self.tokens.announced,
        )
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`PeerMisbehaved::TooFew`] when a stream ended early.
    pub fn finish(mut self) -> Result<Matched, PeerMisbehaved> {
        for stream in [&self.evaluated, &self.tokens] {
            stream.complete()?;
        }
        // One token, one own item: more are answers that repeat an element. Told only now that the peer has sent all it will: a session
        // that broke off at a match would tell the peer of it.
        if let Table::Peer { tokens, .. } = &self.table
            && self.matched.len() > tokens.len()
        {
            return Err(PeerMisbehaved::Duplicate);
        }
        Ok(match self.terms.mode {
            Mode::Hits => {
                self.matched.par_sort_unstable();
                Matched::Hits(self.matched)
            }
            Mode::Labels => {
                let mut matched: Vec<(u32, Label)> = self.matched.into_iter().zip(self.labels).collect();
                matched.par_sort_unstable();
                Matched::Labels(matched)
            }
            Mode::Count => Matched::Count(self.matched.len() as u64),
        })
    }

    fn evaluated(mut self, elements: &[Encoded]) -> Result<Self, PeerMisbehaved> {
        if self.terms.first() == First::Tokens && !self.tokens.is_complete() {
            return Err(PeerMisbehaved::OutOfTurn);
        }
        let start = self.evaluated.received;
        self.evaluated.take(elements.len())?;
        if self.terms.mode == Mode::Count {
            self.evaluated.sorted(elements)?;
        }
        let unblinded = self.unblind.multiply_all(elements)?;
        let terms = self.terms;
        let own = unblinded.par_iter().enumerate().map(|(i, element)| {
            let (token, pad) = terms.token_and_pad(element);
            (token, (start + i as u64) as u32, pad)
        });
        match &mut self.table {
            Table::Own { entries, pads, .. } => {
                match terms.mode {
                    Mode::Labels => {
                        let own: Vec<_> = own.collect();
                        pads.extend(own.iter().map(|(_, _, pad)| pad));
                        entries.extend(own.iter().map(|(token, position, _)| (*token, *position)));
                    }
                    Mode::Hits | Mode::Count => {
                        entries.par_extend(own.map(|(token, position, _)| (token, position)));
                    }
                }
                if self.evaluated.is_complete() {
                    entries.par_sort_unstable();
                    // equal tokens come from equal elements, and no two of the own set are equal
                    if entries.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                        return Err(PeerMisbehaved::Duplicate);
                    }
                }
            }
            Table::Peer { tokens, labels } => {
                let matched: Vec<(u32, Option<Label>)> = own
                    .filter_map(|(token, position, pad)| {
                        let at = tokens.binary_search(&token).ok()?;
                        Some((position, labels.get(at).map(|label| mask(*label, &pad))))
                    })
                    .collect();
                self.matched.extend(matched.iter().map(|(position, _)| position));
                self.labels.extend(matched.iter().filter_map(|(_, label)| *label));
            }
        }
        Ok(self)
    }

    /// `labels` belong to `received`, or are none.
    fn tokens(mut self, received: &[Token], sealed: &[Label]) -> Result<Self, PeerMisbehaved> {
        if self.terms.first() == First::Evaluated && !self.evaluated.is_complete() {
            return Err(PeerMisbehaved::OutOfTurn);
        }
        self.tokens.take(received.len())?;
        self.tokens.sorted(received)?;
        match &mut self.table {
            Table::Own { entries, pads, cursor } => {
                for (i, token) in received.iter().enumerate() {
                    while entries.get(*cursor).is_some_and(|(own, _)| own < token) {
                        *cursor += 1;
                    }
                    if let Some((own, position)) = entries.get(*cursor)
                        && own == token
                    {
                        self.matched.push(*position);
                        if let (Some(label), Some(pad)) = (sealed.get(i), pads.get(*position as usize)) {
                            self.labels.push(mask(*label, pad));
                        }
                    }
                }
            }
            Table::Peer { tokens, labels } => {
                tokens.extend_from_slice(received);
                labels.extend_from_slice(sealed);
            }
        }
        Ok(self)
    }
}

fn split(labelled: &LabelledToken) -> (Token, Label) {
    let (mut token, mut label) = (Token::default(), Label::default());
    token.copy_from_slice(&labelled[..16]);
    label.copy_from_slice(&labelled[16..]);
    (token, label)
}

impl Counted {
    fn new(announced: u64) -> Self {
        Self {
            announced,
            received: 0,
            last: None,
        }
    }

    fn is_complete(&self) -> bool {
        self.received == self.announced
    }

    fn take(&mut self, count: usize) -> Result<(), PeerMisbehaved> {
        match self.received.checked_add(count as u64) {
            Some(received) if received <= self.announced => {
                self.received = received;
                Ok(())
            }
            _ => Err(PeerMisbehaved::TooMany {
                announced: self.announced,
            }),
        }
    }

    /// Checks that elements ascend strictly, from the last chunk on.
    fn sorted<const N: usize>(&mut self, elements: &[[u8; N]]) -> Result<(), PeerMisbehaved> {
        let Some(last) = elements.last() else { return Ok(()) };
        let follows = match (&self.last, elements.first()) {
            (Some(previous), Some(first)) => previous.as_slice() < first.as_slice(),
            _ => true,
        };
        if !follows || !elements.is_sorted_by(|a, b| a < b) {
            return Err(PeerMisbehaved::NotSorted);
        }
        self.last = Some(last.to_vec());
        Ok(())
    }

    fn complete(&self) -> Result<(), PeerMisbehaved> {
        if self.is_complete() {
            return Ok(());
        }
        Err(PeerMisbehaved::TooFew {
            announced: self.announced,
            received: self.received,
        })
    }
}
