//! The storage engine of metricstor: samples in, columns out, one directory.
//!
//! | layer | modules |
//! |---|---|
//! | 0 | [`error`], [`options`], [`sample`], [`refs`], [`labels`], [`histogram`] |
//! | 0 | [`dictionary`], [`run`], [`sync`], [`clock`], [`stats`], [`allocator`], [`paged`],
//! |   | [`cancel`], [`changes`] |
//! | 1 | [`codec`], [`disk`] |
//! | 2 | [`chunk`], [`index`], [`wal`], [`wire`] |
//! | 3 | [`source`], [`merge`], [`label_order`], [`tombstone`], [`retention`], [`rollup`] |
//! | 4 | [`head`], [`block`] |
//! | 5 | [`compact`], [`read`], [`foreign`] |
//! | 6 | [`commit`], [`deletes`], [`recover`], [`store`], [`background`] |
//! | 6 | [`backup`], [`inspect`] |
//! | 7 | [`engine`] |
//! | 8 | [`transfer`] |
//!
//! A write: [`commit`] has it decoded by [`wire`], prepared by [`head`], logged by [`wal`], applied
//! by [`head`]. A read: [`read::session`] pins a [`read::view`], selects in its sources and puts
//! columns together. Later [`background`] freezes a head generation and [`compact`] makes blocks
//! of it, and of many blocks one.
//!
//! Locks, in this order: a shard's map, its slots, an index; the removal of blocks, the replaced
//! views, the sentences about damage ([`store`]). No lock is held while the disk is waited for,
//! except the log's own and that of the removal, which only background threads take.

#![warn(missing_docs)]

pub mod allocator;
pub mod background;
pub mod backup;
pub mod block;
pub mod cancel;
pub mod changes;
pub mod chunk;
pub mod clock;
pub mod codec;
pub mod commit;
pub mod compact;
pub mod deletes;
pub mod dictionary;
pub mod disk;
pub mod engine;
pub mod error;
pub mod foreign;
pub mod head;
pub mod histogram;
pub mod index;
pub mod inspect;
pub mod label_order;
pub mod labels;
pub mod merge;
pub mod options;
pub mod paged;
pub mod read;
pub mod recover;
pub mod refs;
pub mod retention;
pub mod rollup;
pub mod run;
pub mod sample;
pub mod source;
pub mod stats;
pub mod store;
pub mod sync;
pub mod tombstone;
pub mod transfer;
pub mod wal;
pub mod wire;
