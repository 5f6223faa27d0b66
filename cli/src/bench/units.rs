//! The cost of the bare operations, on one core, in this run.

use std::{hint::black_box, time::Instant};

use anyhow::Result;
use overlap_psi::{Element, Item, Key};
use serde::Serialize;

/// Microseconds per operation: the median of several rounds.
#[derive(Clone, Copy, Serialize)]
pub(super) struct UnitCosts {
    /// One variable-base scalar multiplication.
    pub(super) multiply: f64,
    /// RFC 9497 HashToGroup of one item.
    pub(super) hash_to_group: f64,
    /// Encoding one element.
    pub(super) encode: f64,
    /// Decoding and checking one element.
    pub(super) decode: f64,
    /// Decoding, multiplying and encoding one element in a batch: what the protocol does per element.
    pub(super) multiply_in_batch: f64,
}

impl UnitCosts {
    /// What the protocol cannot do without, per item and side: two multiplications and one hash to the group.
    pub(super) fn budget(&self) -> f64 {
        2.0 * self.multiply + self.hash_to_group
    }

    pub(super) fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("multiply", self.multiply),
            ("hash to group", self.hash_to_group),
            ("encode", self.encode),
            ("decode", self.decode),
            ("decode, multiply and encode, batched", self.multiply_in_batch),
        ]
    }
}

const ROUNDS: usize = 15;
const OPERATIONS: usize = 512;

pub(super) fn measure() -> Result<UnitCosts> {
    let one_core = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    one_core.install(|| {
        let key = Key::random(&mut rand::rng());
        let items: Vec<Item> = (0..OPERATIONS as u32)
            .map(|n| Item::derive("bench", "phone", &n.to_be_bytes()))
            .collect();
        let elements: Vec<Element> = items.iter().map(Item::to_element).collect();
        let encoded: Vec<_> = elements.iter().map(Element::encode).collect();
        Ok(UnitCosts {
            multiply: time(|| {
                for element in &elements {
                    black_box(key.multiply(black_box(element)));
                }
            }),
            hash_to_group: time(|| {
                for item in &items {
                    black_box(black_box(item).to_element());
                }
            }),
            encode: time(|| {
                for element in &elements {
                    black_box(black_box(element).encode());
                }
            }),
            decode: time(|| {
                for bytes in &encoded {
                    black_box(Element::decode(black_box(bytes)).is_ok());
                }
            }),
            multiply_in_batch: time(|| drop(black_box(key.multiply_all(black_box(&encoded))))),
        })
    })
}

fn time(mut round: impl FnMut()) -> f64 {
    round();
    let mut rounds = [0.0; ROUNDS];
    for took in &mut rounds {
        let start = Instant::now();
        round();
        *took = start.elapsed().as_secs_f64();
    }
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2] / OPERATIONS as f64 * 1e6
}
