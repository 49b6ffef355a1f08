//! Opening the database: its directory, its lock, its schema.
//!
//! Invariant: a store that a newer version wrote, or that another process has open, is left as it is.

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use rocksdb::{DB, ErrorKind};

use super::copies::Copies;
use super::database::{self, Database, VERSION};
use super::mend::{self, CURRENT};
use super::options;
use crate::store::{OLDEST_SCHEMA, SCHEMA, StoreError, Table};

/// Only the daemon may enter.
pub(super) const DIRECTORY_MODE: u32 = 0o700;

/// Opens the database in `dir`, or makes one there; also returns the schema that it has.
pub(super) fn open(dir: &Path) -> Result<(Database, u32), StoreError> {
    make_directory(dir).map_err(|source| StoreError::Directory { dir: dir.to_owned(), source })?;
    let lock = lock(dir)?;
    mend::mend(dir)?;
    let options = options::database();
    let cache = options::cache();
    // A newer version may have tables this one does not know; RocksDB opens all or none.
    let names = known_tables().chain(existing_tables(&options, dir)?).collect::<BTreeSet<_>>();
    let tables = names.into_iter().map(|name| (name.clone(), options::table(&name, &cache)));
    let db = DB::open_cf_with_opts(&options, dir, tables).map_err(|error| refusal(dir, &error))?;
    let opened = Database::new(db, lock);
    let schema = check_schema(dir, &opened)?;
    Ok((opened, schema))
}

fn make_directory(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(dir)?;
    // RocksDB syncs what is inside; the name of the directory itself stands in its parent.
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// A lock of our own: RocksDB takes its own too late, when the logs have been looked through, and lets a second one of this process
/// take it away.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let directory = |source| StoreError::Directory { dir: dir.to_owned(), source };
    let lock = File::open(dir).map_err(directory)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(directory(source)),
    }
}

fn known_tables() -> impl Iterator<Item = String> {
    Table::ALL.iter().map(|table| table.name()).chain([database::OWN]).map(str::to_owned)
}

fn existing_tables(options: &rocksdb::Options, dir: &Path) -> Result<Vec<String>, StoreError> {
    let exists = dir.join(CURRENT).try_exists();
    if exists.map_err(|source| StoreError::Directory { dir: dir.to_owned(), source })? {
        DB::list_cf(options, dir).map_err(|error| refusal(dir, &error))
    } else {
        Ok(Vec::new())
    }
}

fn check_schema(dir: &Path, database: &Database) -> Result<u32, StoreError> {
    match database.schema()? {
        Some(found) if found > SCHEMA => Err(newer(dir, found, database.writer()?)),
        Some(found) if found < OLDEST_SCHEMA => {
            Err(StoreError::Corrupt(format!("its schema number is {found}, which never was one")))
        }
        // One that has to be changed is first kept as it is.
        Some(found) if found < SCHEMA => Ok(found),
        Some(found) => database.note_writer().map(|()| found),
        // New, or its making was cut short: nothing can have been written before the schema was.
        None if database.generation()? == 0 => database.set_schema(SCHEMA).map(|()| SCHEMA),
        None => Err(StoreError::Corrupt("its schema number is missing".to_owned())),
    }
}

/// Who wrote what cannot be read, and the way back.
fn newer(dir: &Path, found: u32, writer: Option<String>) -> StoreError {
    let writer = writer.map_or_else(|| "a newer tokenkeeperd".to_owned(), |version| format!("tokenkeeperd {version}"));
    let copies = Copies { dir };
    let way_back = match copies.newest(SCHEMA) {
        Some(copy) => {
            let (store, aside, copy) = (dir.display(), copies.path(found), copy.display());
            format!(
                "or go back to the copy of the store that was kept before it was changed, and lose what happened since: stop the daemon \
                 and its sockets, run\n  mv {store} {}\n  mv {copy} {store}\nand start the daemon",
                aside.display()
            )
        }
        None => {
            "or move the store away and restore a backup from before the upgrade (no copy of it is left)".to_owned()
        }
    };
    StoreError::NewerSchema { found, known: SCHEMA, writer, version: VERSION, way_back }
}

/// RocksDB has no error code of its own for a lock that is taken.
fn refusal(dir: &Path, error: &rocksdb::Error) -> StoreError {
    let text = error.as_ref();
    let lock_is_taken = text.contains("While lock file") || text.contains("lock hold by current process");
    match error.kind() {
        ErrorKind::IOError if lock_is_taken => StoreError::Locked { dir: dir.to_owned() },
        ErrorKind::IOError => StoreError::Unreadable(text.to_owned()),
        _ => StoreError::Corrupt(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::store::{Batch, RocksStore, Store};

    /// Names the store directory for a test that runs as a process of its own.
    const HELPER_DIR: &str = "TOKENKEEPER_TEST_STORE";

    fn write(store: &RocksStore, key: &str, value: &[u8]) {
        let mut batch = Batch::default();
        batch.put(Table::Sessions, key, 0, value);
        block_on(store.write_if(batch)).unwrap();
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn newest_log(dir: &Path) -> PathBuf {
        mend::logs(dir).unwrap().pop().unwrap()
    }

    #[test]
    fn the_directory_is_made_with_its_parents_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("state/store");
        RocksStore::open(&store).unwrap();
        assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o7777, 0o700);
    }

    #[test]
    fn a_store_that_is_open_already_is_locked_and_the_message_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let _open = RocksStore::open(dir.path()).unwrap();
        let error = RocksStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
        assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    }

    #[test]
    fn a_store_that_another_process_has_open_is_locked() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::rocksdb::open::tests::helper_that_holds_a_store_open",
                "--ignored",
                "--nocapture",
            ])
            .env(HELPER_DIR, dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("ready")), "the other process did not open the store");

        let error = RocksStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");

        other.stdin.take().unwrap().write_all(b"enough\n").unwrap();
        other.wait().unwrap();
        RocksStore::open(dir.path()).unwrap();
    }

    #[test]
    #[ignore = "runs as the other process of the test above"]
    fn helper_that_holds_a_store_open() {
        let Some(dir) = std::env::var_os(HELPER_DIR) else { return };
        let _open = RocksStore::open(Path::new(&dir)).unwrap();
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }

    #[test]
    fn a_store_of_a_newer_schema_says_so_and_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        {
            let database = options::database();
            let names = known_tables().chain(["a_table_of_the_future".to_owned()]);
            let tables = names.map(|name| (name.clone(), options::table(&name, &options::cache())));
            let db = DB::open_cf_with_opts(&database, dir.path(), tables).unwrap();
            let disk = Database::new(db, lock(dir.path()).unwrap());
            disk.set_schema(SCHEMA + 1).unwrap();
        }
        for _ in 0..2 {
            let error = RocksStore::open(dir.path()).unwrap_err();
            assert!(matches!(error, StoreError::NewerSchema { found: 4, known: SCHEMA, .. }), "{error}");
        }
    }

    #[test]
    fn damage_in_the_middle_of_the_log_is_an_error_and_not_a_shorter_history() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        for key in ["first", "second", "third"] {
            write(&store, key, &vec![0x5a; 100_000]);
        }
        drop(store);
        let log = newest_log(dir.path());
        let mut bytes = fs::read(&log).unwrap();
        bytes[150_000] ^= 1;
        fs::write(&log, bytes).unwrap();

        let error = RocksStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
    }

    #[test]
    fn a_write_that_a_crash_cut_short_is_dropped_and_the_ones_before_it_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        write(&store, "first", b"kept");
        write(&store, "second", &[0x5a; 1000]);
        drop(store);
        let log = newest_log(dir.path());
        let length = fs::metadata(&log).unwrap().len();
        fs::File::options().write(true).open(&log).unwrap().set_len(length - 10).unwrap();

        let store = RocksStore::open(dir.path()).unwrap();
        assert_eq!(store.read(Table::Sessions, b"first").unwrap().unwrap().value, b"kept");
        assert_eq!(store.read(Table::Sessions, b"second").unwrap(), None);
        assert_eq!(store.generation(), 1);
    }

    /// Writes two rows, lets `spoil` do to the log what it likes, and opens the store again. It is told where the second record begins.
    fn spoiled(dir: &Path, spoil: impl FnOnce(&mut Vec<u8>, usize)) -> Result<RocksStore, StoreError> {
        let store = RocksStore::open(dir).unwrap();
        write(&store, "first", b"kept");
        let log = newest_log(dir);
        let begin = fs::metadata(&log).unwrap().len().try_into().unwrap();
        write(&store, "second", &vec![0x5a; 100_000]);
        drop(store);
        let mut bytes = fs::read(&log).unwrap();
        spoil(&mut bytes, begin);
        fs::write(&log, bytes).unwrap();
        RocksStore::open(dir)
    }

    #[test]
    fn a_write_that_a_power_cut_tore_is_dropped_and_the_ones_before_it_are_kept() {
        for lost in [512, 1_024, 40_960] {
            let dir = tempfile::tempdir().unwrap();
            // The file had grown, and what is in it had not arrived.
            let store = spoiled(dir.path(), |log, _| log[lost..].fill(0)).unwrap();
            assert_eq!(store.read(Table::Sessions, b"first").unwrap().unwrap().value, b"kept");
            assert_eq!((store.read(Table::Sessions, b"second").unwrap(), store.generation()), (None, 1));
            write(&store, "third", b"written");
            drop(store);
            assert_eq!(RocksStore::open(dir.path()).unwrap().generation(), 2);
        }
    }

    #[test]
    fn a_write_that_was_not_cut_short_is_not_dropped_because_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let error = spoiled(dir.path(), |log, _| *log.last_mut().unwrap() ^= 1).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt(what) if what.contains(".log")), "{error}");
    }

    #[test]
    fn a_log_that_reads_as_zeros_where_an_earlier_write_stood_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        // RocksDB itself would pass over it, to the end of its block of 32 KiB.
        let error = spoiled(dir.path(), |log, begin| {
            log.extend_from_within(..begin);
            log[..512].fill(0);
        });
        assert!(matches!(error, Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_log_that_ends_early_although_a_later_one_was_written_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let error = spoiled(dir.path(), |log, begin| {
            let later = dir.path().join("999999.log");
            fs::write(later, &log[..begin]).unwrap();
            log.truncate(begin + 10);
        });
        assert!(matches!(error, Err(StoreError::Corrupt(_))));
    }

    #[test]
    fn a_torn_end_of_the_list_of_files_is_dropped_and_damage_in_it_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        drop(spoiled(dir.path(), |_, _| ()).unwrap());
        let manifest = dir.path().join(fs::read_to_string(dir.path().join(CURRENT)).unwrap().trim());
        let whole = fs::read(&manifest).unwrap();
        fs::write(&manifest, [&whole[..], &[7; 3], &[0; 2_000]].concat()).unwrap();
        assert_eq!(RocksStore::open(dir.path()).unwrap().generation(), 2);

        let manifest = dir.path().join(fs::read_to_string(dir.path().join(CURRENT)).unwrap().trim());
        let mut damaged = fs::read(&manifest).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(&manifest, damaged).unwrap();
        let error = RocksStore::open(dir.path()).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt(what) if what.contains("MANIFEST")), "{error}");
    }

    #[test]
    fn a_store_without_the_name_of_its_list_of_files_is_damaged_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        drop(spoiled(dir.path(), |_, _| ()).unwrap());
        let (current, aside) = (dir.path().join(CURRENT), dir.path().join("aside"));
        fs::rename(&current, &aside).unwrap();
        // RocksDB would say no, and have begun a new one: the next start would open that.
        for _ in 0..2 {
            let error = RocksStore::open(dir.path()).map(|store| store.generation()).unwrap_err();
            assert!(matches!(&error, StoreError::Corrupt(what) if what.contains(CURRENT)), "{error}");
        }
        fs::rename(&aside, &current).unwrap();
        assert_eq!(RocksStore::open(dir.path()).unwrap().generation(), 2);
    }

    #[test]
    fn a_file_where_the_directory_should_be_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store");
        fs::write(&path, "").unwrap();
        let error = RocksStore::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Directory { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }

    #[test]
    fn neither_keys_nor_values_stand_in_a_file_that_is_there_to_be_read_by_people() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        write(&store, "a-key-like-this", b"a-value-like-this");
        drop(store);
        drop(RocksStore::open(dir.path()).unwrap());
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with("LOG"), "{name}");
        }
    }
}
