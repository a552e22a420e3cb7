//! The storage engine of metricstor.

#![warn(missing_docs)]

pub mod block;
pub mod chunk;
pub mod clock;
pub mod codec;
pub mod compact;
pub mod dictionary;
pub mod disk;
pub mod error;
pub mod index;
pub mod labels;
pub mod options;
pub mod read;
pub mod refs;
pub mod sample;
pub mod source;
pub mod sync;
pub mod wire;
