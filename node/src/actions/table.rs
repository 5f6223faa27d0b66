//! What a holder answers checks from: its items under the key of an action, in memory alone.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use overlap_proto::action::MOST_OUTPUTS;
use overlap_psi::{
    Encoded, Stored,
    filter::{Filter, Shape},
    joint::Evaluated,
    voprf::{Evaluator, Image, Output, image},
};
use overlap_records::Kind;
use overlap_store::{Classes, Entrant, Link, Selection, StoreError};
use tokio::sync::{OnceCell, watch};

use crate::{error::NodeError, identity::sha256, node::Node, pool::blocking};

/// What is the same for partners with the same grant: they share a table.
#[derive(Clone, PartialEq)]
pub(super) struct Scope {
    pub(super) dataset: String,
    pub(super) kinds: Vec<Kind>,
    pub(super) classes: Classes,
}

/// Own items under a fresh key. Wiped when the last stream that answers from it ends.
pub(super) struct Table {
    evaluator: Evaluator,
    bound: [u8; 32],
    /// Names key and snapshot.
    pub(super) epoch: [u8; 16],
    shape: Shape,
    fingerprints: Vec<u32>,
    /// Outputs of the snapshot with places among the links, by output.
    outputs: Vec<(Output, u32)>,
    /// Ascending.
    links: Vec<Link>,
    grown: RwLock<Grown>,
    /// How many deltas there are; [`OVERGROWN`]: a new table has taken the place of this one.
    pub(super) deltas: watch::Sender<u64>,
    /// The dataset's version that it has the items of.
    version: Mutex<u64>,
}

/// What came after the snapshot.
#[derive(Default)]
struct Grown {
    links: HashSet<Link>,
    outputs: HashMap<Output, Link>,
    deltas: Vec<Arc<Vec<Image>>>,
}

/// The number of deltas of a table that is of no more use.
pub(super) const OVERGROWN: u64 = u64::MAX;
/// Most items after the snapshot; with more, another is made.
const MOST_GROWN: usize = 1 << 17;
/// Items that are evaluated together.
const TOGETHER: usize = 4096;

/// The tables of an action, one for each scope.
#[derive(Default)]
pub(super) struct Tables(Mutex<Vec<(Scope, Cell)>>);

type Cell = Arc<OnceCell<Arc<Table>>>;

impl Tables {
    fn cell(&self, scope: &Scope) -> Cell {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = tables.iter().find(|(known, _)| known == scope) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        tables.push((scope.clone(), Arc::clone(&cell)));
        cell
    }

    /// The table of a scope, made if there is none yet. `action` is the hash of the plan.
    pub(super) async fn of(
        &self,
        node: &Arc<Node>,
        action: &str,
        scope: &Scope,
        selection: &Selection,
    ) -> Result<Arc<Table>, NodeError> {
        let cell = self.cell(scope);
        let table = cell.get_or_try_init(|| async {
            let (running, action, scope, selection) =
                (Arc::clone(node), action.to_owned(), scope.clone(), selection.clone());
            blocking(move || Table::build(&running, &action, &scope, &selection).map(Arc::new)).await?
        });
        table.await.cloned()
    }

    /// Takes into every table what has come into its dataset.
    pub(super) fn follow(&self, node: &Node) -> Result<(), NodeError> {
        let all: Vec<(Scope, Arc<Table>)> = {
            let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let made = tables
                .iter()
                .filter_map(|(scope, cell)| Some((scope.clone(), Arc::clone(cell.get()?))));
            made.collect()
        };
        for (scope, table) in all {
            let selection = Selection::of(&node.config.profile, &scope.kinds, false).of_classes(scope.classes);
            if !table.follow(node, &scope.dataset, &selection)? {
                // streams that stand on it end, and come back to another
                let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                tables.retain(|(known, _)| *known != scope);
                table.deltas.send_replace(OVERGROWN);
            }
        }
        Ok(())
    }

    /// Forgets every key and everything that was made with one.
    pub(super) fn clear(&self) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, cell) in tables.drain(..) {
            if let Some(table) = cell.get() {
                table.deltas.send_replace(OVERGROWN);
            }
        }
    }
}

impl Table {
    /// Evaluates every item of a dataset under a fresh key.
    fn build(node: &Node, action: &str, scope: &Scope, selection: &Selection) -> Result<Self, NodeError> {
        let started = std::time::Instant::now();
        let mut rng = rand::rng();
        let evaluator = Evaluator::random(&mut rng);
        let epoch: [u8; 16] = rand::random();
        let bound = bound(action, &node.config.id, &epoch);
        let (mut links, mut outputs) = (Vec::new(), Vec::new());
        let version = evaluate(
            node,
            scope,
            selection,
            (&evaluator, &bound),
            |_| false,
            |some, made| {
                for (link, output) in some.into_iter().zip(made) {
                    let place =
                        u32::try_from(links.len()).map_err(|_| StoreError::TooManyRecords { max: u32::MAX.into() })?;
                    links.push(link);
                    outputs.push((output, place));
                }
                Ok(())
            },
        )?;
        // links come in the order of the store, which is theirs but for a dataset's own order of match keys
        outputs.shrink_to_fit();
        if !links.is_sorted() {
            let mut order: Vec<u32> = (0..u32::try_from(links.len()).unwrap_or(u32::MAX)).collect();
            order.sort_unstable_by_key(|at| links.get(*at as usize));
            let mut place = vec![0; order.len()];
            for (new, old) in (0u32..).zip(&order) {
                if let Some(place) = place.get_mut(*old as usize) {
                    *place = new;
                }
            }
            for (_, at) in &mut outputs {
                *at = place.get(*at as usize).copied().unwrap_or_default();
            }
            links.sort_unstable();
        }
        links.shrink_to_fit();
        let filter = Filter::build(outputs.iter().map(|(output, _)| *output))
            .map_err(|_| NodeError::Broken("a snapshot filter cannot be built"))?;
        outputs.sort_unstable();
        tracing::info!(
            items = links.len(),
            bytes = filter.fingerprints().len() * 4,
            milliseconds = started.elapsed().as_millis(),
            "a snapshot was made"
        );
        Ok(Self {
            evaluator,
            bound,
            epoch,
            shape: filter.shape(),
            fingerprints: filter.fingerprints().to_vec(),
            outputs,
            links,
            grown: RwLock::default(),
            deltas: watch::Sender::new(0),
            version: Mutex::new(version),
        })
    }

    pub(super) fn public(&self) -> &overlap_psi::dleq::PublicKey {
        self.evaluator.public()
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    pub(super) fn fingerprints(&self) -> &[u32] {
        &self.fingerprints
    }

    /// A delta by its number, from 1 on.
    pub(super) fn delta(&self, number: u64) -> Option<Arc<Vec<Image>>> {
        let grown = self.grown.read().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        grown.deltas.get(at).cloned()
    }

    /// Evaluates what a partner blinded. On the CPU pool.
    pub(super) fn evaluate(&self, blinded: &[Encoded]) -> Result<Evaluated, overlap_psi::PeerMisbehaved> {
        self.evaluator.evaluate(blinded, &mut rand::rng())
    }

    /// Where the item of an output is found, if it is one.
    pub(super) fn link(&self, output: &Output) -> Option<Link> {
        if let Ok(at) = self.outputs.binary_search_by(|(known, _)| known.cmp(output)) {
            let (_, place) = self.outputs.get(at)?;
            return self.links.get(*place as usize).copied();
        }
        let grown = self.grown.read().unwrap_or_else(PoisonError::into_inner);
        grown.outputs.get(output).copied()
    }

    /// Takes in what is new in the dataset; false: it has outgrown its snapshot, or something of it is gone.
    fn follow(&self, node: &Node, dataset: &str, selection: &Selection) -> Result<bool, NodeError> {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(current) = node.store.dataset(dataset) else {
            return Ok(false);
        };
        if current.info().version == *version {
            return Ok(true);
        }
        let scope = Scope {
            dataset: dataset.to_owned(),
            kinds: Vec::new(),
            classes: Classes::shown(),
        };
        let is_known = |link: &Link| {
            let grown = || self.grown.read().unwrap_or_else(PoisonError::into_inner);
            self.links.binary_search(link).is_ok() || grown().links.contains(link)
        };
        let mut room = true;
        let followed = evaluate(
            node,
            &scope,
            selection,
            (&self.evaluator, &self.bound),
            is_known,
            |links, outputs| {
                let mut grown = self.grown.write().unwrap_or_else(PoisonError::into_inner);
                room = grown.links.len() + links.len() <= MOST_GROWN;
                if !room {
                    return Err(StoreError::Changed);
                }
                grown.links.extend(links.iter().copied());
                grown.outputs.extend(outputs.iter().copied().zip(links));
                for chunk in outputs.chunks(MOST_OUTPUTS) {
                    grown.deltas.push(Arc::new(chunk.iter().map(image).collect()));
                }
                let deltas = grown.deltas.len() as u64;
                drop(grown);
                self.deltas.send_replace(deltas);
                Ok(())
            },
        );
        if !room {
            return Ok(false);
        }
        *version = followed?;
        // what was erased, or may be seen no more, would stay in the filter: then another takes its place
        let known = self.links.len() + self.grown.read().unwrap_or_else(PoisonError::into_inner).links.len();
        Ok(current.items(selection) == known as u64)
    }
}

/// What outputs are bound to: the action, the holder and the key.
pub(super) fn bound(action: &str, holder: &str, epoch: &[u8; 16]) -> [u8; 32] {
    let text = format!("overlap/action/v1\n{action}\n{holder}\n{}", hex::encode(epoch));
    sha256(text.as_bytes()).0
}

/// Evaluates the items of a dataset that are not known, a chunk at a time; gives its version.
fn evaluate(
    node: &Node,
    scope: &Scope,
    selection: &Selection,
    (evaluator, bound): (&Evaluator, &[u8; 32]),
    is_known: impl Fn(&Link) -> bool,
    mut take: impl FnMut(Vec<Link>, Vec<Output>) -> Result<(), StoreError>,
) -> Result<u64, NodeError> {
    let Some(dataset) = node.store.dataset(&scope.dataset) else {
        return Ok(0);
    };
    let mut chunk: Vec<Entrant> = Vec::new();
    let mut flush = |chunk: &mut Vec<Entrant>| {
        let (stored, links): (Vec<Stored>, Vec<Link>) = chunk.drain(..).map(|one| (one.stored, one.link)).unzip();
        let outputs = node.pool.install(|| evaluator.outputs(&stored, bound));
        let outputs = outputs.map_err(|_| StoreError::Damaged("an item is no group element"))?;
        take(links, outputs)
    };
    dataset.entrants(selection, is_known, |entrant| {
        chunk.push(entrant);
        match chunk.len() >= TOGETHER {
            true => flush(&mut chunk),
            false => Ok(()),
        }
    })?;
    if !chunk.is_empty() {
        flush(&mut chunk)?;
    }
    Ok(dataset.info().version)
}
