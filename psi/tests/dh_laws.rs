//! DH-PSI against the plain meaning: set intersection, whatever the chunking; and against a peer that lies.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;

use overlap_psi::{
    Encoded, Error, Item, Key, PeerMisbehaved, Stored,
    dh::{Blinder, Evaluator, First, Label, LabelledToken, Matched, Mode, Reply, Terms, Token},
};
use proptest::prelude::*;
use rand::{SeedableRng, rngs::StdRng};

fn item(n: u32) -> Item {
    Item::derive("test/1", "phone", &n.to_be_bytes())
}

fn element(n: u32) -> Encoded {
    item(n).to_element().encode()
}

fn elements(set: &BTreeSet<u32>) -> Vec<Stored> {
    Stored::of(&set.iter().map(|n| item(*n)).collect::<Vec<_>>())
}

#[test]
fn what_is_stored_goes_over_the_wire_as_the_hash_itself() {
    let key = Key::random(&mut StdRng::seed_from_u64(1));
    let stored = key.multiply_stored(&elements(&(0..300).collect())).unwrap();
    let plain: Vec<_> = (0..300).map(|n| key.multiply(&item(n).to_element()).encode()).collect();
    assert_eq!(stored, plain);
}

/// What the responder sends, in the order of the protocol.
struct Transcript {
    evaluated: Vec<Encoded>,
    tokens: Vec<Token>,
    terms: Terms,
}

fn run(mode: Mode, own: &[Stored], peer: &[Stored], chunk: usize, seed: u64) -> (overlap_psi::dh::Matcher, Transcript) {
    let mut rng = StdRng::seed_from_u64(seed);
    let terms = Terms::new(mode, [7; 32], own.len() as u64, peer.len() as u64).unwrap();
    let (mut blinder, matcher) = Blinder::start(terms, &mut rng);
    let (mut evaluator, mut tokeniser) = Evaluator::start(terms, &mut rng);
    let (mut evaluated, mut tokens) = (Vec::new(), Vec::new());
    for part in own.chunks(chunk) {
        let (next, blinded) = blinder.blind(part).unwrap();
        blinder = next;
        let (next, answer) = evaluator.evaluate(&blinded).unwrap();
        evaluator = next;
        evaluated.extend(answer);
    }
    blinder.finish().unwrap();
    evaluator.finish().unwrap();
    for part in peer.chunks(chunk) {
        let (next, made) = tokeniser.tokens(part).unwrap();
        tokeniser = next;
        tokens.extend(made);
    }
    tokeniser.finish().unwrap();
    if mode == Mode::Count {
        evaluated.sort_unstable();
    }
    tokens.sort_unstable();
    (
        matcher,
        Transcript {
            evaluated,
            tokens,
            terms,
        },
    )
}

fn replies(transcript: &Transcript, chunk: usize) -> Vec<Reply> {
    let evaluated = transcript
        .evaluated
        .chunks(chunk)
        .map(|part| Reply::Evaluated(part.to_vec()));
    let tokens = transcript.tokens.chunks(chunk).map(|part| Reply::Tokens(part.to_vec()));
    match transcript.terms.first() {
        First::Evaluated => evaluated.chain(tokens).collect(),
        First::Tokens => tokens.chain(evaluated).collect(),
    }
}

fn finish(matcher: overlap_psi::dh::Matcher, replies: Vec<Reply>) -> Result<Matched, PeerMisbehaved> {
    replies
        .into_iter()
        .try_fold(matcher, |matcher, reply| matcher.receive(reply))?
        .finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn equals_plain_intersection(
        own in proptest::collection::btree_set(0u32..60, 0..40),
        peer in proptest::collection::btree_set(0u32..60, 0..40),
        chunk in 1usize..20,
        receive in 1usize..20,
        seed: u64,
    ) {
        let expected: Vec<u32> = own.iter().enumerate()
            .filter(|(_, n)| peer.contains(n)).map(|(i, _)| i as u32).collect();
        let (matcher, transcript) = run(Mode::Hits, &elements(&own), &elements(&peer), chunk, seed);
        prop_assert_eq!(finish(matcher, replies(&transcript, receive)).unwrap(), Matched::Hits(expected.clone()));
        let (matcher, transcript) = run(Mode::Count, &elements(&own), &elements(&peer), chunk, seed);
        prop_assert_eq!(finish(matcher, replies(&transcript, receive)).unwrap(), Matched::Count(expected.len() as u64));
    }
}

fn sets() -> (Vec<Stored>, Vec<Stored>) {
    (elements(&(0..10).collect()), elements(&(5..25).collect()))
}

#[test]
fn peer_that_lies_is_named() {
    let (own, peer) = sets();
    for (mode, own, peer) in [
        (Mode::Hits, &own, &peer),
        (Mode::Count, &own, &peer),
        (Mode::Hits, &peer, &own),
        (Mode::Count, &peer, &own),
    ] {
        let lie = |change: &dyn Fn(&mut Transcript)| {
            let (matcher, mut transcript) = run(mode, own, peer, 4, 1);
            change(&mut transcript);
            finish(matcher, replies(&transcript, 3)).unwrap_err()
        };
        assert!(matches!(
            lie(&|t| t.tokens.truncate(t.tokens.len() - 1)),
            PeerMisbehaved::TooFew { .. } | PeerMisbehaved::OutOfTurn
        ));
        assert!(matches!(
            lie(&|t| t.evaluated.truncate(t.evaluated.len() - 1)),
            PeerMisbehaved::TooFew { .. } | PeerMisbehaved::OutOfTurn
        ));
        assert!(matches!(
            lie(&|t| t.tokens.push([255; 16])),
            PeerMisbehaved::TooMany { .. }
        ));
        assert!(matches!(
            lie(&|t| t.evaluated.push(element(99))),
            PeerMisbehaved::TooMany { .. }
        ));
        assert_eq!(lie(&|t| t.tokens.swap(0, 1)), PeerMisbehaved::NotSorted);
        assert_eq!(lie(&|t| t.tokens[1] = t.tokens[0]), PeerMisbehaved::NotSorted);
        assert_eq!(
            lie(&|t| {
                t.evaluated.fill([0xff; 32]);
                t.evaluated.truncate(1)
            }),
            PeerMisbehaved::NotCanonical
        );
        assert_eq!(
            lie(&|t| {
                t.evaluated[0] = [0; 32];
            }),
            PeerMisbehaved::Identity
        );
        if mode == Mode::Count {
            assert_eq!(lie(&|t| t.evaluated.swap(0, 1)), PeerMisbehaved::NotSorted);
        }
    }
    // an evaluation that repeats one element is caught where the own set is the table
    let (own, peer) = sets();
    let (matcher, mut transcript) = run(Mode::Hits, &own, &peer, 4, 1);
    transcript.evaluated[1] = transcript.evaluated[0];
    assert_eq!(
        finish(matcher, replies(&transcript, 3)).unwrap_err(),
        PeerMisbehaved::Duplicate
    );
}

#[test]
fn repeated_answers_are_told_only_at_the_end() {
    // the responder has one item, which the initiator holds too, and answers with each evaluated element twice
    let (own, peer) = (elements(&(0..10).collect()), elements(&(0..1).collect()));
    let (mut matcher, mut transcript) = run(Mode::Hits, &own, &peer, 4, 1);
    for i in (0..10).step_by(2) {
        transcript.evaluated[i + 1] = transcript.evaluated[i];
    }
    for reply in replies(&transcript, 2) {
        matcher = matcher.receive(reply).expect("nothing before the end tells of a match");
    }
    assert_eq!(matcher.finish().unwrap_err(), PeerMisbehaved::Duplicate);
}

#[test]
fn messages_out_of_turn_are_refused() {
    let (own, peer) = sets();
    let (matcher, transcript) = run(Mode::Hits, &own, &peer, 4, 1);
    assert_eq!(
        matcher.receive(Reply::Tokens(transcript.tokens)).unwrap_err(),
        PeerMisbehaved::OutOfTurn
    );
    let (matcher, transcript) = run(Mode::Hits, &peer, &own, 4, 1);
    assert_eq!(
        matcher.receive(Reply::Evaluated(transcript.evaluated)).unwrap_err(),
        PeerMisbehaved::OutOfTurn
    );
}

#[test]
fn evaluator_holds_the_initiator_to_its_announcement() {
    let terms = Terms::new(Mode::Hits, [0; 32], 2, 1).unwrap();
    let (evaluator, tokeniser) = Evaluator::start(terms, &mut StdRng::seed_from_u64(1));
    let (evaluator, _) = evaluator.evaluate(&[element(1)]).unwrap();
    assert_eq!(
        evaluator.evaluate(&[element(2), element(3)]).unwrap_err(),
        PeerMisbehaved::TooMany { announced: 2 }
    );
    let (evaluator, _) = Evaluator::start(terms, &mut StdRng::seed_from_u64(1));
    assert_eq!(
        evaluator.finish().unwrap_err(),
        PeerMisbehaved::TooFew {
            announced: 2,
            received: 0
        }
    );
    assert!(matches!(
        tokeniser.tokens(&elements(&[1, 2].into())),
        Err(Error::Misuse(_))
    ));
}

#[test]
fn sessions_cannot_be_linked() {
    let (own, peer) = sets();
    let (_, first) = run(Mode::Hits, &own, &peer, 4, 1);
    let (_, second) = run(Mode::Hits, &own, &peer, 4, 2);
    assert!(first.tokens.iter().all(|token| !second.tokens.contains(token)));
    assert!(
        first
            .evaluated
            .iter()
            .all(|element| !second.evaluated.contains(element))
    );
}

/// The label of the item that stands for a number.
fn label(n: u32) -> Label {
    let mut label = [n as u8; 32];
    label[..4].copy_from_slice(&n.to_be_bytes());
    label
}

/// A session with labels: the matcher, and the responder's messages in the order of the protocol.
fn labelled(
    own: &BTreeSet<u32>,
    peer: &BTreeSet<u32>,
    chunk: usize,
    seed: u64,
) -> (overlap_psi::dh::Matcher, Vec<LabelledToken>, Vec<Reply>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let terms = Terms::new(Mode::Labels, [7; 32], own.len() as u64, peer.len() as u64).unwrap();
    let (blinder, matcher) = Blinder::start(terms, &mut rng);
    let (evaluator, mut tokeniser) = Evaluator::start(terms, &mut rng);
    let (_, blinded) = blinder.blind(&elements(own)).unwrap();
    let (_, evaluated) = evaluator.evaluate(&blinded).unwrap();
    let given: Vec<(Stored, Label)> = elements(peer).into_iter().zip(peer.iter().map(|n| label(*n))).collect();
    let mut tokens = Vec::new();
    for part in given.chunks(chunk) {
        let (next, made) = tokeniser.labelled(part).unwrap();
        tokeniser = next;
        tokens.extend(made);
    }
    tokeniser.finish().unwrap();
    tokens.sort_unstable();
    let evaluated: Vec<_> = evaluated
        .chunks(chunk)
        .map(|part| Reply::Evaluated(part.to_vec()))
        .collect();
    let sent: Vec<_> = tokens
        .chunks(chunk)
        .map(|part| Reply::Labelled(part.to_vec()))
        .collect();
    let replies = match terms.first() {
        First::Evaluated => evaluated.into_iter().chain(sent).collect(),
        First::Tokens => sent.into_iter().chain(evaluated).collect(),
    };
    (matcher, tokens, replies)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn labels_open_for_who_holds_the_item(
        own in proptest::collection::btree_set(0u32..60, 0..40),
        peer in proptest::collection::btree_set(0u32..60, 0..40),
        chunk in 1usize..20,
        seed: u64,
    ) {
        let expected: Vec<(u32, Label)> = own.iter().enumerate()
            .filter(|(_, n)| peer.contains(n)).map(|(i, n)| (i as u32, label(*n))).collect();
        let (matcher, _, replies) = labelled(&own, &peer, chunk, seed);
        prop_assert_eq!(finish(matcher, replies).unwrap(), Matched::Labels(expected));
    }
}

#[test]
fn sealed_labels_say_nothing_across_items_and_sessions() {
    let (own, peer): (BTreeSet<u32>, BTreeSet<u32>) = ((0..10).collect(), (5..25).collect());
    let sealed = |seed| -> BTreeSet<Vec<u8>> {
        let (_, tokens, _) = labelled(&own, &peer, 4, seed);
        tokens.iter().map(|token| token[16..].to_vec()).collect()
    };
    let (first, second) = (sealed(1), sealed(2));
    assert_eq!(first.len(), 20, "one seal for each item");
    assert!(first.is_disjoint(&second));
    assert!(peer.iter().all(|n| !first.contains(label(*n).as_slice())));
}

#[test]
fn labels_come_where_they_were_agreed_and_nowhere_else() {
    let (own, peer): (BTreeSet<u32>, BTreeSet<u32>) = ((5..25).collect(), (0..10).collect());
    let (matcher, tokens, _) = labelled(&own, &peer, 4, 1);
    let plain = tokens.iter().map(|token| token[..16].try_into().unwrap()).collect();
    assert_eq!(
        matcher.receive(Reply::Tokens(plain)).unwrap_err(),
        PeerMisbehaved::OutOfTurn
    );
    let (matcher, _) = run(Mode::Hits, &elements(&own), &elements(&peer), 4, 1);
    assert_eq!(
        matcher.receive(Reply::Labelled(tokens.clone())).unwrap_err(),
        PeerMisbehaved::OutOfTurn
    );
    // one token with two labels is two tokens too many
    let (matcher, _, _) = labelled(&own, &peer, 4, 1);
    let mut twice = vec![tokens[0]; 2];
    twice[1][47] ^= 1;
    assert_eq!(
        matcher.receive(Reply::Labelled(twice)).unwrap_err(),
        PeerMisbehaved::NotSorted
    );
}
