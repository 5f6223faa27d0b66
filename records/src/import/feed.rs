//! Rows of a library that reads as it likes, from a thread of its own: a few batches ahead and no more.
//!
//! Its panics end the import as an error, whatever bytes made it panic.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::cells::{Cells, RowBuffer, RowSource};
use super::error::Fault;
use super::format::Format;

/// Rows and bytes per batch, about.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 256 << 10;

/// Batches on their way.
const AHEAD: usize = 4;

type Batch = Vec<RowBuffer>;

pub(crate) struct Feed {
    format: Format,
    batches: Receiver<Batch>,
    batch: std::vec::IntoIter<RowBuffer>,
    row: RowBuffer,
    reader: Option<JoinHandle<Result<(), Fault>>>,
    progress: Arc<AtomicU64>,
}

/// The reading side of a feed.
pub(crate) struct Sink {
    to: SyncSender<Batch>,
    batch: Batch,
    bytes: usize,
    progress: Arc<AtomicU64>,
}

/// Why reading ends before the end of the file.
pub(crate) enum Halt {
    /// The import was dropped.
    Stopped,
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for Halt {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

impl Feed {
    /// Starts reading on a thread with a stack of so many bytes; `read` hands over all rows, the header first.
    pub(crate) fn start(
        format: Format,
        stack: usize,
        read: impl FnOnce(&mut Sink) -> Result<(), Halt> + Send + 'static,
    ) -> io::Result<Self> {
        let (to, batches) = sync_channel(AHEAD);
        let progress = Arc::new(AtomicU64::new(0));
        let mut sink = Sink {
            to,
            batch: Vec::new(),
            bytes: 0,
            progress: Arc::clone(&progress),
        };
        let reader = thread::Builder::new()
            .name(format!("import-{format}"))
            .stack_size(stack)
            .spawn(move || {
                let read = read(&mut sink);
                // what was read before a fault is told before it
                let _ = sink.flush();
                match read {
                    Err(Halt::Fault(fault)) => Err(fault),
                    Ok(()) | Err(Halt::Stopped) => Ok(()),
                }
            })?;
        Ok(Self {
            format,
            batches,
            batch: Vec::new().into_iter(),
            row: RowBuffer::default(),
            reader: Some(reader),
            progress,
        })
    }
}

impl RowSource for Feed {
    fn next(&mut self) -> Result<Option<Cells<'_>>, Fault> {
        let row = loop {
            if let Some(row) = self.batch.next() {
                break row;
            }
            match self.batches.recv() {
                Ok(batch) => self.batch = batch.into_iter(),
                Err(_) => {
                    return match self.reader.take().map(JoinHandle::join) {
                        None | Some(Ok(Ok(()))) => Ok(None),
                        Some(Ok(Err(fault))) => Err(fault),
                        Some(Err(_)) => Err(Fault::Damaged {
                            format: self.format,
                            part: "its content",
                        }),
                    };
                }
            }
        };
        self.row = row;
        Ok(Some(self.row.cells()))
    }

    fn bytes_read(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }
}

impl Sink {
    pub(crate) fn send(&mut self, row: RowBuffer) -> Result<(), Halt> {
        self.bytes += row.bytes();
        self.batch.push(row);
        if self.batch.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES {
            return self.flush();
        }
        Ok(())
    }

    /// How much of the file was read.
    pub(crate) fn progress(&self) -> &Arc<AtomicU64> {
        &self.progress
    }

    fn flush(&mut self) -> Result<(), Halt> {
        self.bytes = 0;
        self.to.send(std::mem::take(&mut self.batch)).map_err(|_| Halt::Stopped)
    }
}
