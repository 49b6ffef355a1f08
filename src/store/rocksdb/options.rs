//! How RocksDB is set up: to lose nothing that was promised, and to need little memory.
//!
//! Measured: see docs/decisions/0011.

use rocksdb::{
    BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, InfoLogger, LogLevel, Options, WriteOptions,
};

use crate::store::Table;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Blocks of rows and of their indexes that stay in memory. Hot tokens come from the daemon's own cache.
const BLOCK_CACHE: usize = 2 * MIB;

/// What one table collects in memory before it is written to a file of its own.
const TABLE_BUFFER: usize = MIB;

/// What all tables together collect.
const ALL_BUFFERS: usize = 2 * MIB;

/// In these steps the buffer of a table grows. Small, because the first step of every table counts towards the sum above.
const BUFFER_STEP: usize = 32 * KIB;

/// What a compaction reads ahead and writes at once, per file.
const COMPACTION_IO: usize = 256 * KIB;

/// The write-ahead log that a start has to replay, at most; beyond, the oldest table buffers are written to files.
const LOG_TO_REPLAY: u64 = 16 * MIB as u64;

/// The file that lists all files is written anew beyond this size.
const MANIFEST: usize = 4 * MIB;

/// Options of the database.
pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);

    // A log that is damaged is an error. The default opens as if the damage were the end, and writes that were acknowledged behind
    // it are gone without a word. Of torn ends this one takes some for damage: see `mend`.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // In a recycled log file, old records behind the end look like damage or like news.
    options.set_recycle_log_file_num(0);
    options.set_paranoid_checks(true);

    options.set_max_total_wal_size(LOG_TO_REPLAY);
    options.set_max_manifest_file_size(MANIFEST);
    options.set_db_write_buffer_size(ALL_BUFFERS);
    options.set_max_open_files(256);
    options.set_table_cache_num_shard_bits(2);
    options.set_max_background_jobs(2);
    options.set_compaction_readahead_size(COMPACTION_IO);
    options.set_writable_file_max_buffer_size(COMPACTION_IO as u64);
    // No statistics thread: the daemon has metrics of its own.
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);

    // Instead of the file LOG, which would grow with every start and is nobody's to rotate. Should a callback be lost,
    // a single small file is kept.
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Error, log));
    options.set_keep_log_file_num(1);
    options
}

/// Options of the table of this name; all share the cache.
pub(super) fn table(name: &str, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Else the indexes of all open files stand in memory beside the cache, without bound.
    blocks.set_cache_index_and_filter_blocks(true);

    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    // Sealed bytes do not become smaller.
    let is_index = Table::INDEXES.iter().any(|table| table.name() == name);
    options.set_compression_type(if is_index { DBCompressionType::Lz4 } else { DBCompressionType::None });
    options.set_write_buffer_size(TABLE_BUFFER);
    options.set_arena_block_size(BUFFER_STEP);
    options.set_max_write_buffer_number(2);
    options.set_target_file_size_base(8 * MIB as u64);
    options.set_max_bytes_for_level_base(32 * MIB as u64);
    options
}

/// The cache that all tables share.
pub(super) fn cache() -> Cache {
    Cache::new_lru_cache(BLOCK_CACHE)
}

/// How batches are written: on the disk before they are acknowledged.
pub(super) fn write() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

/// RocksDB speaks of files and of its own state, never of values.
fn log(level: LogLevel, message: &str) {
    // The dump of all options that every start begins with comes as `Header`.
    if matches!(level, LogLevel::Error | LogLevel::Fatal) {
        tracing::error!(target: "tokenkeeper::store", "rocksdb: {message}");
    }
}
