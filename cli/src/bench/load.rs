//! What a node is asked when it is asked as fast as it answers, beside the bare group operations of that.

use std::hint::black_box;

use anyhow::anyhow;
use overlap_proto::pb::operator::{self as pb, check_request};
use overlap_psi::{
    Item, Stored,
    voprf::{Check, Evaluator, MAX_CHECK},
};
use overlap_records::{Hints, Identifier, Kind, Profile};
use rustix::time::{ClockId, clock_gettime};

use crate::client::Failure;

/// What is asked at saturation.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) kind: Kind,
    pub(super) identifiers: u32,
    pub(super) items: usize,
}

/// What is asked at saturation.
pub(super) fn loads(most: u32) -> Result<Vec<Load>, Failure> {
    let keys = items(&made_up(Kind::Person, 1)?);
    let persons = most.min(u32::try_from(MAX_CHECK / keys.max(1)).unwrap_or(1));
    let loads = [(Kind::Document, 1), (Kind::Document, most), (Kind::Person, persons)];
    loads
        .into_iter()
        .map(|(kind, identifiers)| {
            let each = items(&made_up(kind, 1)?);
            let items = identifiers as usize * each;
            Ok(Load {
                kind,
                identifiers,
                items,
            })
        })
        .collect()
}

/// Match keys of an identifier.
fn items(identifier: &Identifier) -> usize {
    identifier.match_keys(&Profile::eu_thb_1()).len()
}

/// An identifier that nobody holds; no two stand near each other.
fn made_up(kind: Kind, number: u64) -> Result<Identifier, Failure> {
    let number = number.wrapping_mul(7_919_777) % 1_000_000_000_000;
    let text = match kind {
        Kind::Person => {
            let letters = |mut rest: u64| -> String {
                let mut name = String::new();
                for _ in 0..9 {
                    name.push(char::from(b'a' + (rest % 20) as u8));
                    rest /= 20;
                }
                name
            };
            let born = format!("{}-{:02}-{:02}", 1950 + number % 50, 1 + number % 12, 1 + number % 28);
            format!("{}|{}|{born}", letters(number), letters(number.wrapping_mul(31)))
        }
        _ => format!("NL:CHECK{number:012}"),
    };
    let made = Identifier::normalise(kind, &text, &Hints::default());
    made.map_err(|rejection| Failure::internal(anyhow!("a made-up {kind}: {rejection}")))
}

/// A check of made-up identifiers.
pub(super) fn wish(kind: Kind, number: u64, identifiers: u32) -> Result<pb::CheckRequest, Failure> {
    let identifiers = (0..identifiers).map(|at| {
        let made = made_up(kind, number * 64 + u64::from(at))?;
        Ok(pb::Identifier {
            kind: kind.to_string(),
            canonical: made.canonical().to_owned(),
        })
    });
    let wish = pb::CheckWish {
        number,
        identifiers: identifiers.collect::<Result<_, Failure>>()?,
        ..pb::CheckWish::default()
    };
    Ok(pb::CheckRequest {
        message: Some(check_request::Message::Check(wish)),
    })
}

/// Microseconds of CPU that a holder's group operations take for a check of so many items, and an asker's for its answer: with all cores at
/// work, as they are when a node is asked as fast as it answers.
pub(super) fn bare(items: usize) -> (f64, f64) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let each: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..cores).map(|_| scope.spawn(move || bare_on_one(items))).collect();
        running.into_iter().filter_map(|one| one.join().ok()).collect()
    });
    let mean = |of: fn(&(f64, f64)) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
    (mean(|one| one.0), mean(|one| one.1))
}

fn bare_on_one(items: usize) -> (f64, f64) {
    const ROUNDS: u32 = 400;
    const FAILED: (f64, f64) = (f64::NAN, f64::NAN);
    let made: Vec<Item> = (0..items as u32)
        .map(|n| Item::derive("bench", "document", &n.to_be_bytes()))
        .collect();
    let stored = Stored::of(&made);
    let Ok(one_core) = rayon::ThreadPoolBuilder::new().num_threads(1).build() else {
        return FAILED;
    };
    one_core.install(|| {
        let mut rng = rand::rng();
        let evaluator = Evaluator::random(&mut rng);
        let Ok(check) = Check::blind(&stored, &mut rng) else {
            return FAILED;
        };
        let began = cpu();
        let mut last = None;
        for _ in 0..ROUNDS {
            last = black_box(evaluator.evaluate(black_box(check.encoded()), &mut rng)).ok();
        }
        let evaluating = (cpu() - began) / f64::from(ROUNDS) * 1e6;
        let began = cpu();
        if let Some(last) = &last {
            for _ in 0..ROUNDS {
                black_box(check.finish(black_box(last), evaluator.public(), &[0; 32]).is_ok());
            }
        }
        (evaluating, (cpu() - began) / f64::from(ROUNDS) * 1e6)
    })
}

/// Seconds of CPU of the calling thread: what others on the machine do is not counted.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
