//! The protocol alone: both parties in this process, on one core, nothing in between.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use overlap_proto::CHUNK;
use overlap_psi::{
    Item, Stored,
    dh::{Blinder, Evaluator, First, Matched, Mode, Reply, Terms},
};

use super::{Pure, PureParty, Sizes, UnitCosts};

pub(super) fn run(mode: Mode, sizes: &Sizes, units: &UnitCosts) -> Result<Pure> {
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    one_core.install(|| measure(mode, sizes, units))
}

fn measure(mode: Mode, sizes: &Sizes, units: &UnitCosts) -> Result<Pure> {
    let started = Instant::now();
    let mut clock = Clock::default();
    let [asked, held] = sizes.items();
    let own = clock.asker_import.of(|| elements(asked));
    let peer = clock.holder_import.of(|| elements(held));

    let terms = Terms::new(mode, [0; 32], sizes.asker.into(), sizes.holder.into())?;
    let mut rng = rand::rng();
    let (mut blinder, mut matcher) = Blinder::start(terms, &mut rng);
    let (mut evaluator, mut tokeniser) = Evaluator::start(terms, &mut rng);
    let mut evaluated = Vec::new();
    for chunk in own.chunks(CHUNK) {
        let (next, blinded) = clock.asker.of(|| blinder.blind(chunk))?;
        blinder = next;
        let (next, answer) = clock.holder.of(|| evaluator.evaluate(&blinded))?;
        evaluator = next;
        evaluated.extend(answer);
    }
    let mut tokens = Vec::new();
    for chunk in peer.chunks(CHUNK) {
        let (next, made) = clock.holder.of(|| tokeniser.tokens(chunk))?;
        tokeniser = next;
        tokens.extend(made);
    }
    clock.holder.of(|| {
        tokens.sort_unstable();
        if mode == Mode::Count {
            evaluated.sort_unstable();
        }
    });
    let evaluated = evaluated.chunks(CHUNK).map(|chunk| Reply::Evaluated(chunk.to_vec()));
    let tokens = tokens.chunks(CHUNK).map(|chunk| Reply::Tokens(chunk.to_vec()));
    let replies: Vec<Reply> = match terms.first() {
        First::Evaluated => evaluated.chain(tokens).collect(),
        First::Tokens => tokens.chain(evaluated).collect(),
    };
    for reply in replies {
        matcher = clock.asker.of(|| matcher.receive(reply))?;
    }
    let found = match clock.asker.of(|| matcher.finish())? {
        Matched::Hits(positions) => positions.len() as u64,
        Matched::Labels(labelled) => labelled.len() as u64,
        Matched::Count(count) => count,
    };
    ensure!(
        found == u64::from(sizes.common),
        "the protocol found {found} items in common, not {}",
        sizes.common
    );

    let budget = units.budget();
    let party = |party, cpu: Watch, import: Watch, items: u32| {
        let us_per_item = |time: Duration| time.as_secs_f64() / f64::from(items) * 1e6;
        PureParty {
            party,
            cpu_seconds: cpu.0.as_secs_f64(),
            import_cpu_seconds: import.0.as_secs_f64(),
            us_per_item: us_per_item(cpu.0),
            ratio: us_per_item(cpu.0) / budget,
            ratio_with_import: us_per_item(cpu.0 + import.0) / budget,
        }
    };
    Ok(Pure {
        wall_seconds: started.elapsed().as_secs_f64(),
        parties: vec![
            party("asker", clock.asker, clock.asker_import, sizes.asker),
            party("holder", clock.holder, clock.holder_import, sizes.holder),
        ],
    })
}

fn elements(numbers: std::ops::Range<u32>) -> Vec<Stored> {
    const TOGETHER: usize = 256;
    let items: Vec<Item> = numbers
        .map(|n| Item::derive("bench", "document", &n.to_be_bytes()))
        .collect();
    items.chunks(TOGETHER).flat_map(Stored::of).collect()
}

/// Time per party: one core does one thing at a time, so the time of a step is its CPU time.
#[derive(Default)]
struct Clock {
    asker: Watch,
    holder: Watch,
    asker_import: Watch,
    holder_import: Watch,
}

#[derive(Clone, Copy, Default)]
struct Watch(Duration);

impl Watch {
    fn of<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = step();
        self.0 += start.elapsed();
        result
    }
}
