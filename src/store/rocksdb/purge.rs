//! Seeing to it that what was removed is in no file any more.
//!
//! Invariant: every file that can hold rows or their keys (`.sst`, `.log`, `MANIFEST`) has a number above that of every file there was
//! at the beginning, or the purge has failed. RocksDB tells nothing of a compaction that failed; the numbers do.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::sys::statvfs::statvfs;
use rocksdb::{BottommostLevelCompaction, CompactOptions, FlushOptions};

use super::copies::Copies;
use super::database::Database;
use super::disk::Disk;
use crate::failpoint::failpoint;
use crate::store::{StoreError, Table};

/// Room that a purge may need on the disk: files are removed only when what they are written into is whole. RocksDB takes no more
/// than 200 MB at a time out of one level, and no more than it has.
const ROOM: u64 = 512 * 1024 * 1024;

/// The options of the database: they are no rows, and the last two of them stay.
const OPTIONS: &str = "OPTIONS-";

impl Disk {
    /// As [`Store::purge`](crate::store::Store::purge). What is to be gone has been written before.
    pub(super) fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, StoreError> {
        Copies { dir: self.dir() }.remove_all()?;
        self.look_for_room()?;
        // What somebody looks at is kept for them. Whoever comes from here on sees what is there now.
        self.wait_for_onlookers();
        let newest = self.numbers()?.into_iter().map(|(number, _)| number).max().unwrap_or(0);
        self.handle()?.flush()?;
        for table in Table::ALL {
            failpoint!("erase.before-table");
            if !go_on(table) {
                return Ok(false);
            }
            self.handle()?.write_anew(table)?;
        }
        // The list of files, which says where each of them begins and ends, is written anew when the database is opened.
        failpoint!("erase.before-reopening");
        self.open_anew()?;
        failpoint!("erase.reopened");
        match self.numbers()?.into_iter().find(|(number, _)| *number <= newest) {
            None => Ok(true),
            Some((_, name)) => {
                Err(StoreError::Unwritable(format!("{name} is still there after everything was written anew")))
            }
        }
    }

    /// Not under the lock: this takes long, and who waits for the database to be opened anew would have all readers wait.
    fn handle(&self) -> Result<Arc<Database>, StoreError> {
        self.with(|database| Ok(Arc::clone(database)))
    }

    fn look_for_room(&self) -> Result<(), StoreError> {
        let needed = self.space().min(ROOM);
        let free = statvfs(self.dir()).map_or(0, |disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
        if free < needed {
            let needed = needed.div_ceil(1_000_000);
            return Err(StoreError::Unwritable(format!(
                "writing it anew takes {needed} MB of free disk space for a while"
            )));
        }
        Ok(())
    }

    /// The files that can hold rows or keys, and their numbers.
    fn numbers(&self) -> Result<Vec<(u64, String)>, StoreError> {
        let unreadable = |error: io::Error| StoreError::Unreadable(error.to_string());
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir()).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
            found.extend(number_of(&name).map(|number| (number, name)));
        }
        Ok(found)
    }
}

impl Database {
    /// Writes what is in memory into files, and lets go of the log.
    fn flush(&self) -> Result<(), StoreError> {
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        let families = self.families()?;
        let families: Vec<_> = families.iter().collect();
        self.db().flush_cfs_opt(&families, &wait).map_err(|error| StoreError::Unwritable(error.into_string()))
    }

    /// Writes all files of a table anew, without what is not in it any more. The first time, those of the store's own numbers as well.
    fn write_anew(&self, table: Table) -> Result<(), StoreError> {
        let mut all = CompactOptions::default();
        // The lowest level, too: what was removed while somebody looked at it can be there, and nowhere else.
        all.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.db().compact_range_cf_opt(self.family(table)?, None::<&[u8]>, None::<&[u8]>, &all);
        if table == Table::ALL[0] {
            self.db().compact_range_opt(None::<&[u8]>, None::<&[u8]>, &all);
        }
        Ok(())
    }
}

/// The number in the name of a file of the database.
fn number_of(name: &str) -> Option<u64> {
    if name.starts_with(OPTIONS) {
        return None;
    }
    let name = Path::new(name.strip_prefix("MANIFEST-").unwrap_or(name));
    name.file_stem()?.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::store::{Batch, RocksStore, Store};

    const ROWS: u16 = 1000;

    fn write(store: &RocksStore, change: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::default();
        change(&mut batch);
        futures_executor::block_on(store.write_if(batch)).unwrap();
    }

    /// Does not compress, and is nobody else's.
    fn sealed(number: u16) -> Vec<u8> {
        (0..75_u16).flat_map(|part| Sha256::digest([number.to_be_bytes(), part.to_be_bytes()].concat())).collect()
    }

    /// Names of files that hold one of these.
    fn files_with(dir: &Path, needles: &[&[u8]]) -> Vec<String> {
        let holds = |content: &[u8]| needles.iter().any(|it| content.windows(it.len()).any(|window| window == *it));
        let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let found = files.filter(|file| fs::read(file.path()).is_ok_and(|content| holds(&content)));
        found.map(|file| file.file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_row_that_was_removed_or_replaced_is_in_no_file_neither_are_its_bytes_nor_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        for hundred in 0..ROWS / 100 {
            write(&store, |batch| {
                for number in hundred * 100..(hundred + 1) * 100 {
                    batch.put(Table::Sessions, number.to_be_bytes(), 0, sealed(number));
                }
            });
        }
        // In files of the lowest level, in others above it, and in the log.
        assert!(store.purge(&|_| true).unwrap());
        write(&store, |batch| {
            batch.put(Table::Bindings, b"a key of somebody", 0, sealed(5000));
            batch.put(Table::Sessions, 500_u16.to_be_bytes(), 1, sealed(5001));
        });
        write(&store, |batch| {
            batch.delete(Table::Sessions, 500_u16.to_be_bytes(), 2).delete(Table::Bindings, b"a key of somebody", 1);
        });
        let values = [sealed(500), sealed(5000), sealed(5001)];
        // The log is cut into blocks: a part of a value is in one piece.
        let gone: Vec<&[u8]> = values.iter().map(|value| &value[64..96]).chain([&b"a key of somebody"[..]]).collect();
        for needle in &gone {
            assert!(!files_with(dir.path(), &[needle]).is_empty(), "it is there before");
        }
        assert!(store.purge(&|_| true).unwrap());
        assert_eq!(files_with(dir.path(), &gone), Vec::<String>::new());
        assert!(!files_with(dir.path(), &[&sealed(501)[64..96]]).is_empty(), "others are still there");
        drop(store);
        let store = RocksStore::open(dir.path()).unwrap();
        assert_eq!(store.scan(Table::Sessions, b"", None, usize::MAX).unwrap().len(), usize::from(ROWS) - 1);
    }

    #[test]
    fn what_somebody_looks_at_is_waited_for_and_then_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        write(&store, |batch| {
            batch.put(Table::Sessions, b"a", 0, sealed(1));
        });
        thread::scope(|scope| {
            let (looks, looking) = mpsc::channel();
            let (enough, ends) = mpsc::channel::<()>();
            let store = &store;
            scope.spawn(move || {
                let mut look = |snapshot: &dyn crate::store::Snapshot| {
                    looks.send(()).unwrap();
                    ends.recv().unwrap();
                    assert!(snapshot.read(Table::Sessions, b"a").unwrap().is_some());
                };
                store.look(&mut look).unwrap();
            });
            looking.recv().unwrap();
            write(store, |batch| {
                batch.delete(Table::Sessions, b"a", 1);
            });
            let purge = scope.spawn(|| store.purge(&|_| true).unwrap());
            assert!(!purge.is_finished());
            enough.send(()).unwrap();
            assert!(purge.join().unwrap());
        });
        assert_eq!(files_with(dir.path(), &[&sealed(1)[64..96]]), Vec::<String>::new());
    }

    #[test]
    fn the_number_of_a_file_is_in_its_name() {
        assert_eq!(number_of("000123.sst"), Some(123));
        assert_eq!(number_of("000007.log"), Some(7));
        assert_eq!(number_of("MANIFEST-000042"), Some(42));
        for name in ["CURRENT", "IDENTITY", "LOCK", "OPTIONS-000009", "OPTIONS-000009.dbtmp"] {
            assert_eq!(number_of(name), None, "{name}");
        }
    }
}
