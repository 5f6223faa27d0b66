//! One match with labels, by the machines that nodes run, without a network between them.

use anyhow::{Result, bail};
use overlap_psi::dh::{Blinder, Evaluator, First, Label, Matched, Matcher, Mode, Reply, Terms};
use overlap_psi::{Item, Stored};

/// Elements per message, as in `proto`.
const CHUNK: usize = 4096;

/// The places of those of `own` that `peer` has too, ascending, each with the label that `peer` gave it.
pub(crate) fn hits(own: &[Item], peer: &[Item], labels: &[Label]) -> Result<Vec<(usize, Label)>> {
    let mut rng = rand::rng();
    let (own, peer) = (Stored::of(own), Stored::of(peer));
    let peer: Vec<(Stored, Label)> = peer.into_iter().zip(labels.iter().copied()).collect();
    let terms = Terms::new(Mode::Labels, rand::random(), own.len() as u64, peer.len() as u64)?;
    let (mut blinder, mut matcher) = Blinder::start(terms, &mut rng);
    let (mut evaluator, mut tokeniser) = Evaluator::start(terms, &mut rng);
    let mut evaluated = Vec::with_capacity(own.len());
    for chunk in own.chunks(CHUNK) {
        let (next, blinded) = blinder.blind(chunk)?;
        blinder = next;
        let (next, answer) = evaluator.evaluate(&blinded)?;
        evaluator = next;
        evaluated.extend(answer);
    }
    blinder.finish()?;
    evaluator.finish()?;
    let mut tokens = Vec::with_capacity(peer.len());
    for chunk in peer.chunks(CHUNK) {
        let (next, made) = tokeniser.labelled(chunk)?;
        tokeniser = next;
        tokens.extend(made);
    }
    tokeniser.finish()?;
    tokens.sort_unstable();
    let evaluated = || evaluated.chunks(CHUNK).map(|chunk| Reply::Evaluated(chunk.to_vec()));
    let tokens = || tokens.chunks(CHUNK).map(|chunk| Reply::Labelled(chunk.to_vec()));
    let receive = |matcher: Matcher, reply| matcher.receive(reply);
    matcher = match terms.first() {
        First::Evaluated => evaluated().chain(tokens()).try_fold(matcher, receive)?,
        First::Tokens => tokens().chain(evaluated()).try_fold(matcher, receive)?,
    };
    match matcher.finish()? {
        Matched::Labels(hits) => Ok(hits.into_iter().map(|(place, label)| (place as usize, label)).collect()),
        Matched::Hits(_) | Matched::Count(_) => bail!("asked for labels and got none"),
    }
}
