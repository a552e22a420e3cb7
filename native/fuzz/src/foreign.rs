//! Targets for what other programs write: Prometheus' blocks and log, JSON lines.

use std::path::Path;

use metricstor_engine::codec::checksum::accepting_any;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::foreign::prometheus::{self, Samples, float_chunk, head, histogram_chunk};
use metricstor_engine::options::WriteLimits;
use metricstor_engine::sample::TimestampMs;
use metricstor_engine::wire;
use metricstor_engine::wire::labels::canonicalize;

use super::{check_batch, parts, put};

const META: &[u8] =
    br#"{"ulid":"01M7YKTH4RJW95N4XVABSQFQ4G","minTime":-9000,"maxTime":9000000000000,"version":1}"#;

/// Lines of JSON.
pub fn json_lines(data: &[u8]) {
    if let Ok(batch) = wire::json_lines::parse(data, 1) {
        check_batch(&batch);
    }
}

/// A chunk of any encoding, which the first byte names; and the bytes as floats into a chunk and
/// back.
pub fn prometheus_chunk(data: &[u8]) {
    let Some((encoding, chunk)) = data.split_first() else { return };
    if histogram_chunk::is_histogram(*encoding) {
        let mut samples = Vec::new();
        if histogram_chunk::decode(*encoding, chunk, &mut samples).is_ok() {
            samples.iter().for_each(|(_, histogram)| drop(histogram.validate()));
        }
        return;
    }
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    if float_chunk::decode(*encoding, chunk, &mut timestamps, &mut values).is_ok() {
        assert_eq!(timestamps.len(), values.len());
    }
    let words = chunk.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let words: Vec<u64> = words.take(240).collect();
    let samples = words.chunks_exact(2);
    let times: Vec<TimestampMs> = samples.clone().map(|pair| pair[0] as i64).collect();
    let floats: Vec<f64> = samples.map(|pair| f64::from_bits(pair[1])).collect();
    if let Ok(encoded) = float_chunk::encode_xor(&times, &floats) {
        let (mut got_times, mut got) = (Vec::new(), Vec::new());
        float_chunk::decode(1, &encoded, &mut got_times, &mut got).unwrap();
        assert!(got_times.iter().map(|at| at.t).eq(times.iter().copied()));
        assert!(got.iter().map(|v| v.to_bits()).eq(floats.iter().map(|v| v.to_bits())));
    }
}

fn look_at(labels: &[u8], samples: &Samples) {
    // The order of the labels is that of the source: a write judges them.
    let _ = canonicalize(labels, &WriteLimits::default());
    assert_eq!(samples.timestamps.len(), samples.values.len());
    samples.histograms.iter().for_each(|(_, histogram)| drop(histogram.validate()));
}

/// A block: index, chunks and tombstones.
pub fn prometheus_block(data: &[u8]) {
    let (disk, dir) = (FaultyDisk::new(), Path::new("/block"));
    for dir in [dir, &dir.join("chunks")] {
        disk.create_dir(dir).unwrap();
    }
    let [index, chunks, tombstones] = parts(data);
    put(&disk, &dir.join("meta.json"), META);
    put(&disk, &dir.join("index"), index);
    put(&disk, &dir.join("chunks/000001"), chunks);
    if !tombstones.is_empty() {
        put(&disk, &dir.join("tombstones"), tombstones);
    }
    accepting_any(|| {
        let Ok(blocks) = prometheus::blocks(&disk, dir) else { return };
        let _ = prometheus::block::newest_sample(&blocks);
        for block in &blocks {
            let _ = block.visit(&mut |labels, samples| {
                look_at(labels, samples);
                Ok(())
            });
        }
    });
}

/// A log of two segments, and one of what came out of order.
pub fn prometheus_log(data: &[u8]) {
    let (disk, dir) = (FaultyDisk::new(), Path::new("/data"));
    for dir in [dir, &dir.join("wal"), &dir.join("wbl")] {
        disk.create_dir(dir).unwrap();
    }
    let [first, second, late] = parts(data);
    put(&disk, &dir.join("wal/00000000"), first);
    put(&disk, &dir.join("wal/00000001"), second);
    put(&disk, &dir.join("wbl/00000000"), late);
    accepting_any(|| {
        let Ok(logs) = head::Logs::open(&disk, dir, &[]) else { return };
        let _ = logs.visit(&disk, &mut |labels, samples| {
            look_at(labels, samples);
            Ok(())
        });
    });
}
