//! Bits that are flipped and records that are moved: not one is taken for what was written, and every one is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use futures_executor::block_on;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, RngCore as _};
use rocksdb::{DB, Options};
use tokenkeeperd::audit::What;
use tokenkeeperd::domain::Session;
use tokenkeeperd::seal::{Keyring, Place};
use tokenkeeperd::store::{RocksStore, Store as _, Table};
use tokenkeeperd::vault::{Binding, Intent, Vault, VaultError};

use super::extent;
use super::sample::{self, NOW, keyring, reference, session};

/// The tables whose rows are sealed.
const SEALED: [Table; 6] =
    [Table::Sessions, Table::Bindings, Table::Intents, Table::History, Table::Outbox, Table::Meta];

#[test]
fn no_flipped_bit_of_a_sealed_record_is_accepted() {
    let mut random = extent::random();
    let flips = extent::times(20_000, 1_000_000);
    let keyring = Keyring::generate();
    let place = Place { area: "sessions", key: b"7k3vq2mx", version: 4 };
    let mut records: Vec<_> = (0..200)
        .map(|_| {
            let mut plain = vec![0; random.random_range(0..3_000)];
            random.fill_bytes(&mut plain);
            keyring.seal(&place, &plain).unwrap()
        })
        .collect();
    for _ in 0..flips {
        let record = random.random_range(0..records.len());
        let (byte, bit) = (random.random_range(0..records[record].len()), random.random_range(0..8));
        records[record][byte] ^= 1 << bit;
        let error = keyring.open(&place, &records[record]).expect_err("a flipped bit was accepted").to_string();
        assert!(error.contains("sessions") && error.contains("7k3vq2mx"), "it is not named: {error}");
        records[record][byte] ^= 1 << bit;
    }
    assert!(records.iter().all(|record| keyring.open(&place, record).is_ok()), "the records themselves are good");
    println!("{flips} flipped bits, none accepted");
}

#[test]
fn a_flipped_bit_in_a_file_of_the_store_never_gives_another_value() {
    let mut random = extent::random();
    let flips = extent::times(60, 2_000);
    let dir = tempfile::tempdir().unwrap();
    let sessions = fill(dir.path(), 300);
    let generation = RocksStore::open(&dir.path().join("store")).unwrap().generation();
    let mut outcomes = BTreeMap::new();
    for _ in 0..flips {
        let copy = tempfile::tempdir().unwrap();
        copy_all(dir.path(), copy.path());
        let flipped = flip_one(&copy.path().join("store"), &mut random);
        let outcome = look(copy.path(), &sessions, generation);
        *outcomes.entry(outcome.unwrap_or_else(|wrong| panic!("{flipped}: {wrong}"))).or_insert(0) += 1;
    }
    println!("{flips} flipped bits in files: {outcomes:?}");
}

/// What became of a flipped bit, in a word; an error if it gave what was never written.
fn look(dir: &Path, sessions: &[Session], generation: u64) -> Result<&'static str, String> {
    let Ok(vault) = sample::open(dir, &dir.join("identity")) else { return Ok("the store did not open") };
    let (mut refused, mut missing) = (0, 0);
    for expected in sessions {
        match vault.session(expected.id) {
            Ok(Some(found)) if found.value == *expected => {}
            Ok(Some(_)) => return Err(format!("session {} is another", expected.id)),
            Ok(None) => missing += 1,
            Err(_) => refused += 1,
        }
    }
    drop(vault);
    // A log whose last record says that it is longer than the file is one that a crash cut short; the generation tells.
    let is_older = RocksStore::open(&dir.join("store")).map_or(true, |store| store.generation() < generation);
    match (missing, refused) {
        (0, 0) => Ok("nothing was lost"),
        (0, _) => Ok("records were refused"),
        _ if is_older => Ok("the end of the log is missing, which its generation shows"),
        _ => Err(format!("{missing} sessions are missing without a word")),
    }
}

#[test]
fn no_record_that_was_moved_is_accepted() {
    let mut random = extent::random();
    let swaps = extent::times(1_000, 10_000);
    let dir = tempfile::tempdir().unwrap();
    let sessions = fill(dir.path(), 300);
    let mut done = 0;
    while done < swaps {
        let copy = tempfile::tempdir().unwrap();
        copy_all(dir.path(), copy.path());
        done += swap_all(&copy.path().join("store"), &mut random);
        refuses_all(copy.path(), &sessions);
    }
    println!("{done} swaps of records between keys and tables, none accepted");
}

/// Every row is read, by the way that the vault reads it, and must be refused by name.
fn refuses_all(dir: &Path, sessions: &[Session]) {
    let vault = sample::open(dir, &dir.join("identity"));
    assert!(matches!(vault, Err(VaultError::ForeignKeyring)), "another record in the place of the sentinel");
    let (keyring, store) = (keyring(dir, &dir.join("identity")), RocksStore::open(&dir.join("store")).unwrap());
    for table in SEALED {
        for (key, row) in store.scan(table, &[], None, usize::MAX).unwrap() {
            let place = Place { area: table.name(), key: &key, version: row.version };
            let error = keyring.open(&place, &row.value).expect_err("a record that was moved was accepted").to_string();
            assert!(error.contains(table.name()), "its table is not named: {error}");
            if table == Table::Sessions {
                assert!(error.contains(std::str::from_utf8(&key).unwrap()), "it is not named: {error}");
            }
        }
    }
    assert_eq!(store.scan(Table::Sessions, &[], None, usize::MAX).unwrap().len(), sessions.len());
}

/// Puts every sealed row into the place of another; returns how many swaps that were.
fn swap_all(store: &Path, random: &mut StdRng) -> usize {
    let names = DB::list_cf(&Options::default(), store).unwrap();
    let db = DB::open_cf(&Options::default(), store, names).unwrap();
    let mut rows = Vec::new();
    for table in SEALED {
        let family = db.cf_handle(table.name()).unwrap();
        let found = db.iterator_cf(family, rocksdb::IteratorMode::Start).map(Result::unwrap);
        rows.extend(found.map(|(key, bytes)| (table, key, bytes)));
    }
    rows.shuffle(random);
    // In a circle, so that none keeps its own.
    for (index, (table, key, _)) in rows.iter().enumerate() {
        let (_, _, other) = &rows[(index + 1) % rows.len()];
        db.put_cf(db.cf_handle(table.name()).unwrap(), key, other).unwrap();
    }
    rows.len()
}

/// A store with rows in every sealed table, some in files and some in the log; returns its sessions.
fn fill(dir: &Path, count: u64) -> Vec<Session> {
    let mut expected = Vec::new();
    // A start puts what the last one logged into files.
    for numbers in [0..count / 2, count / 2..count] {
        let vault = sample::vault(dir);
        for number in numbers {
            expected.push(add(&vault, number));
        }
    }
    expected
}

fn add(vault: &Vault, number: u64) -> Session {
    let (session, id) = (session(number, 1), reference(number));
    let mut change = vault.change(NOW);
    change.insert(&session).unwrap().intend(id, &Intent { generation: 1, at: NOW }).unwrap();
    let binding = Binding {
        name: session.user.name.clone(),
        issuer: session.user.issuer.clone(),
        subject: session.user.subject.clone(),
    };
    change.bind(&session.provider, &binding).unwrap();
    let provider = session.provider.clone();
    change.audit(What::RefreshDone { session: id, provider, generation: 1 }).unwrap();
    block_on(change.commit()).unwrap();
    Session { told: 1, ..session }
}

/// Flips one bit of one file that the database reads; says which.
fn flip_one(store: &Path, random: &mut StdRng) -> String {
    let all = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all.filter(|path| fs::metadata(path).unwrap().len() > 0).collect();
    files.sort();
    let file = &files[random.random_range(0..files.len())];
    let mut bytes = fs::read(file).unwrap();
    let (byte, bit) = (random.random_range(0..bytes.len()), random.random_range(0..8));
    bytes[byte] ^= 1 << bit;
    fs::write(file, bytes).unwrap();
    format!("bit {bit} of byte {byte} of {}", file.file_name().unwrap().display())
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            fs::create_dir(&target).unwrap();
            copy_all(&source, &target);
        } else {
            fs::copy(&source, &target).unwrap();
        }
    }
}
