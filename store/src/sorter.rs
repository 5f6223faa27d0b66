//! Sorting more fixed-length values than memory should hold.
//!
//! Values that do not fit spill to an unnamed file, sealed under a key that is never stored.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use crate::StoreError;

/// Bytes of values held in memory before a run is spilled.
const RUN_BYTES: usize = 16 << 20;
/// Bytes of values that are sealed as one block, and that each run holds in memory while runs are merged.
const BLOCK_BYTES: usize = 64 << 10;

/// Takes values in any order, to give them back sorted. Memory: 16 MiB, and 64 KiB per further 16 MiB of values.
pub struct SealedSorter<const N: usize> {
    directory: PathBuf,
    run_values: usize,
    values: Vec<[u8; N]>,
    spill: Option<Spill>,
    runs: Vec<Run>,
}

/// Everything that was pushed; read in ascending order as often as wanted.
pub struct Sorted<const N: usize> {
    values: Vec<[u8; N]>,
    spill: Option<Spill>,
    runs: Vec<Run>,
}

/// The values in ascending order; equal ones stay.
struct Merge<'a, const N: usize> {
    spill: Option<&'a mut Spill>,
    /// The last run is the one in memory; it has no blocks.
    runs: Vec<Merging<'a, N>>,
    heap: BinaryHeap<Reverse<([u8; N], usize)>>,
}

/// The file and its key. Blocks are numbered; the number is the nonce, used once.
struct Spill {
    file: File,
    key: LessSafeKey,
    /// Offset and length of every block.
    blocks: Vec<(u64, usize)>,
    end: u64,
}

/// A sorted run: a range of blocks.
struct Run {
    blocks: std::ops::Range<usize>,
}

enum Merging<'a, const N: usize> {
    Spilled {
        blocks: std::ops::Range<usize>,
        values: std::vec::IntoIter<[u8; N]>,
    },
    Memory(std::slice::Iter<'a, [u8; N]>),
}

impl<const N: usize> SealedSorter<N> {
    /// Starts empty; spills to unnamed files in `directory`.
    pub fn new(directory: &Path) -> Self {
        Self::with_run_bytes(directory, RUN_BYTES)
    }

    fn with_run_bytes(directory: &Path, run_bytes: usize) -> Self {
        Self {
            directory: directory.to_owned(),
            run_values: (run_bytes / N).max(1),
            values: Vec::new(),
            spill: None,
            runs: Vec::new(),
        }
    }

    /// Takes more values.
    ///
    /// # Errors
    /// [`StoreError::Spill`], [`StoreError::Crypto`].
    pub fn push(&mut self, values: &[[u8; N]]) -> Result<(), StoreError> {
        for part in values.chunks(self.run_values) {
            if self.values.len() + part.len() > self.run_values {
                self.spill_run()?;
            }
            self.values.extend_from_slice(part);
        }
        Ok(())
    }

    /// Sorts.
    ///
    /// # Errors
    /// [`StoreError::Spill`], [`StoreError::Crypto`].
    pub fn finish(mut self) -> Result<Sorted<N>, StoreError> {
        self.values.sort_unstable();
        Ok(Sorted {
            values: self.values,
            spill: self.spill,
            runs: self.runs,
        })
    }

    fn spill_run(&mut self) -> Result<(), StoreError> {
        if self.values.is_empty() {
            return Ok(());
        }
        self.values.sort_unstable();
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::create(&self.directory)?),
        };
        let first = spill.blocks.len();
        for block in self.values.chunks((BLOCK_BYTES / N).max(1)) {
            spill.write(block.as_flattened())?;
        }
        self.runs.push(Run {
            blocks: first..spill.blocks.len(),
        });
        self.values.clear();
        Ok(())
    }
}

impl<const N: usize> Sorted<N> {
    /// The values in ascending order; equal ones stay.
    ///
    /// # Errors
    /// [`StoreError::Spill`], [`StoreError::Damaged`]; so may each value.
    pub fn iter(&mut self) -> Result<impl Iterator<Item = Result<[u8; N], StoreError>>, StoreError> {
        let spilled = self.runs.iter().map(|run| Merging::Spilled {
            blocks: run.blocks.clone(),
            values: Vec::new().into_iter(),
        });
        let runs: Vec<_> = spilled.chain([Merging::Memory(self.values.iter())]).collect();
        let mut merge = Merge {
            spill: self.spill.as_mut(),
            runs,
            heap: BinaryHeap::new(),
        };
        for run in 0..merge.runs.len() {
            merge.refill(run)?;
        }
        Ok(merge)
    }

    /// Whether two values are equal.
    ///
    /// # Errors
    /// As of [`Self::iter`].
    pub fn has_equal(&mut self) -> Result<bool, StoreError> {
        let mut last = None;
        for value in self.iter()? {
            let value = value?;
            if last.replace(value) == Some(value) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl<const N: usize> Merge<'_, N> {
    fn refill(&mut self, run: usize) -> Result<(), StoreError> {
        let value = match &mut self.runs[run] {
            Merging::Memory(values) => values.next().copied(),
            Merging::Spilled { blocks, values } => {
                if values.len() == 0
                    && let (Some(block), Some(spill)) = (blocks.next(), &mut self.spill)
                {
                    *values = spill.read(block)?.as_chunks::<N>().0.to_vec().into_iter();
                }
                values.next()
            }
        };
        self.heap.extend(value.map(|value| Reverse((value, run))));
        Ok(())
    }
}

impl<const N: usize> Iterator for Merge<'_, N> {
    type Item = Result<[u8; N], StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse((value, run)) = self.heap.pop()?;
        Some(self.refill(run).map(|()| value))
    }
}

impl Spill {
    fn create(directory: &Path) -> Result<Self, StoreError> {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *key).map_err(|_| StoreError::Crypto)?;
        let key = UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| StoreError::Crypto)?;
        let file = tempfile::tempfile_in(directory)?;
        Ok(Self {
            file,
            key: LessSafeKey::new(key),
            blocks: Vec::new(),
            end: 0,
        })
    }

    fn write(&mut self, plain: &[u8]) -> Result<(), StoreError> {
        let mut sealed = plain.to_vec();
        self.key
            .seal_in_place_append_tag(block_nonce(self.blocks.len()), Aad::empty(), &mut sealed)
            .map_err(|_| StoreError::Crypto)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&sealed)?;
        self.blocks.push((self.end, sealed.len()));
        self.end += sealed.len() as u64;
        Ok(())
    }

    fn read(&mut self, block: usize) -> Result<Vec<u8>, StoreError> {
        let (offset, length) = *self
            .blocks
            .get(block)
            .ok_or(StoreError::Damaged("a sorted block is missing"))?;
        let mut sealed = vec![0; length];
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.read_exact(&mut sealed)?;
        let length = self
            .key
            .open_in_place(block_nonce(block), Aad::empty(), &mut sealed)
            .map_err(|_| StoreError::Damaged("a sorted block does not open"))?
            .len();
        sealed.truncate(length);
        Ok(sealed)
    }
}

fn block_nonce(block: usize) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&(block as u64).to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn equals_sorting_in_memory(values in proptest::collection::vec(proptest::array::uniform2(0u8..20), 0..200), run in 1usize..300, push in 1usize..100) {
            let directory = tempfile::tempdir().unwrap();
            let mut sorter = SealedSorter::with_run_bytes(directory.path(), run);
            for part in values.chunks(push) {
                sorter.push(part).unwrap();
            }
            let mut sorted = sorter.finish().unwrap();
            let mut expected = values;
            expected.sort_unstable();
            prop_assert_eq!(sorted.iter().unwrap().collect::<Result<Vec<_>, _>>().unwrap(), expected.clone());
            prop_assert_eq!(sorted.has_equal().unwrap(), expected.windows(2).any(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn what_is_spilled_cannot_be_read() {
        let directory = tempfile::tempdir().unwrap();
        let mut sorter = SealedSorter::<16>::with_run_bytes(directory.path(), 64);
        sorter.push(&[[0x41; 16]; 100]).unwrap();
        let spill = sorter.spill.as_mut().unwrap();
        let mut bytes = Vec::new();
        spill.file.seek(SeekFrom::Start(0)).unwrap();
        spill.file.read_to_end(&mut bytes).unwrap();
        assert!(!bytes.is_empty() && !bytes.windows(4).any(|window| window == [0x41; 4]));
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            0,
            "the file has no name"
        );
    }
}
