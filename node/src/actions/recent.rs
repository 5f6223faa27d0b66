//! Checks that were made, held against what partners add later.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use overlap_psi::voprf::{Image, Output, image};
use overlap_records::{Agreed, Kind, Profile, Sizes};

use super::{asked::Asked, connection::Held};

/// What was looked up at one partner, under the key that it has now.
#[derive(Default)]
pub(super) struct Recent {
    epoch: Option<[u8; 16]>,
    /// Number of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    by_image: HashMap<Image, Vec<u64>>,
    outputs: usize,
    /// Slots whose claim failed, with when it is made again.
    failed: Vec<(Instant, u64)>,
}

/// One identifier of a check.
struct Slot {
    asked: Arc<Asked>,
    /// Which of its identifiers.
    at: usize,
    outputs: Vec<(u16, Output)>,
    /// How many of them were claimed: with more, it is claimed again.
    claimed: usize,
    /// How often a claim failed.
    failures: u32,
}

/// How often a claim is made again on a stream.
const MOST_FAILURES: u32 = 12;
/// How long a claim that failed waits, at first and at most; twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_mins(10);

/// Outputs of one identifier that a partner has, as far as this side can tell.
pub(super) struct Found {
    pub(super) asked: Arc<Asked>,
    /// Which of its identifiers.
    pub(super) at: usize,
    pub(super) outputs: Vec<Output>,
    slot: u64,
    epoch: Option<[u8; 16]>,
}

impl Found {
    pub(super) fn kind(&self) -> Option<Kind> {
        self.asked.wanted.get(self.at).map(|wanted| wanted.identifier.kind())
    }
}

/// Most outputs that are remembered of one partner: 2^17, which take some 16 MiB. The oldest give way.
pub(super) const MOST_OUTPUTS: usize = 1 << 17;

impl Recent {
    /// Notes what a check was answered with, and tells what of it the partner has. Noted first: what comes after is held against it.
    pub(super) fn enter(
        &mut self,
        profile: &Profile,
        held: &Held,
        asked: &Arc<Asked>,
        outputs: &[Output],
    ) -> Vec<Found> {
        self.renew(held);
        let first = self.first + self.slots.len() as u64;
        for (at, wanted) in asked.wanted.iter().enumerate() {
            let slot = self.first + self.slots.len() as u64;
            let output = |(key, place): &(u16, usize)| Some((*key, *outputs.get(*place)?));
            let outputs: Vec<(u16, Output)> = wanted.keys.iter().filter_map(output).collect();
            for (_, output) in &outputs {
                self.by_image.entry(image(output)).or_default().push(slot);
            }
            self.outputs += outputs.len();
            self.slots.push_back(Slot {
                asked: Arc::clone(asked),
                at,
                outputs,
                claimed: 0,
                failures: 0,
            });
        }
        let last = self.first + self.slots.len() as u64;
        let found = (first..last)
            .filter_map(|slot| self.judge(profile, held, slot))
            .collect();
        self.make_room();
        found
    }

    /// Holds everything that is remembered against what is new.
    pub(super) fn look(&mut self, profile: &Profile, held: &Held, fresh: &[Image]) -> Vec<Found> {
        self.renew(held);
        let mut slots: Vec<u64> = fresh
            .iter()
            .filter_map(|image| self.by_image.get(image))
            .flatten()
            .copied()
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
            .into_iter()
            .filter_map(|slot| self.judge(profile, held, slot))
            .collect()
    }

    /// Everything that is remembered, found and not claimed: what a broken link has left.
    pub(super) fn left(&mut self, profile: &Profile, held: &Held) -> Vec<Found> {
        self.renew(held);
        for slot in &mut self.slots {
            slot.failures = 0;
        }
        let slots = self.first..self.first + self.slots.len() as u64;
        slots.filter_map(|slot| self.judge(profile, held, slot)).collect()
    }

    /// Lets one be claimed again, after a while.
    pub(super) fn release(&mut self, found: &Found, now: Instant) {
        if self.epoch != found.epoch {
            return;
        }
        let Some(slot) = self
            .slot(found.slot)
            .filter(|slot| Arc::ptr_eq(&slot.asked, &found.asked))
        else {
            return;
        };
        slot.claimed = 0;
        let wait = FIRST_WAIT.saturating_mul(1 << slot.failures.min(16)).min(LONGEST_WAIT);
        slot.failures += 1;
        // what fails for so long is claimed again when the partner comes back
        if slot.failures <= MOST_FAILURES {
            self.failed.retain(|(_, slot)| *slot != found.slot);
            self.failed.push((now + wait, found.slot));
        }
    }

    /// Those whose claim failed, and has waited for long enough.
    pub(super) fn due(&mut self, profile: &Profile, held: &Held, now: Instant) -> Vec<Found> {
        self.renew(held);
        let (due, rest) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.failed = rest;
        let due: Vec<(Instant, u64)> = due;
        due.into_iter()
            .filter_map(|(_, slot)| self.judge(profile, held, slot))
            .collect()
    }

    /// Under another key nothing means anything any more.
    fn renew(&mut self, held: &Held) {
        if self.epoch != Some(held.epoch) {
            *self = Self {
                epoch: Some(held.epoch),
                ..Self::default()
            };
        }
    }

    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }

    /// Whether the partner has what a slot is of; then it counts as claimed.
    fn judge(&mut self, profile: &Profile, held: &Held, number: u64) -> Option<Found> {
        let epoch = self.epoch;
        let slot = self.slot(number)?;
        let known: Vec<(u16, Output)> = slot
            .outputs
            .iter()
            .copied()
            .filter(|(_, output)| held.has(output))
            .collect();
        let identifier = &slot.asked.wanted.get(slot.at)?.identifier;
        let is_found = match identifier.kind() {
            Kind::Person => {
                // how many records the partner compares with, and how many hold the same, it alone knows: it judges once more
                let agreed: Vec<Agreed> = known
                    .iter()
                    .map(|(key, _)| Agreed {
                        key: *key,
                        own: 1,
                        peer: 1,
                    })
                    .collect();
                !agreed.is_empty()
                    && profile.score(identifier, &agreed, Sizes { own: 1, peer: 1 }) >= profile.threshold()
            }
            _ => !known.is_empty(),
        };
        if !is_found || known.len() <= slot.claimed {
            return None;
        }
        slot.claimed = known.len();
        Some(Found {
            asked: Arc::clone(&slot.asked),
            at: slot.at,
            outputs: known.into_iter().map(|(_, output)| output).collect(),
            slot: number,
            epoch,
        })
    }

    fn make_room(&mut self) {
        while self.outputs > MOST_OUTPUTS {
            let Some(oldest) = self.slots.pop_front() else { return };
            for (_, output) in &oldest.outputs {
                let image = image(output);
                if let Some(slots) = self.by_image.get_mut(&image) {
                    slots.retain(|slot| *slot != self.first);
                    if slots.is_empty() {
                        self.by_image.remove(&image);
                    }
                }
            }
            self.outputs -= oldest.outputs.len();
            self.first += 1;
        }
    }
}
