/**
 * @file From a configuration to the options of an engine.
 */
import type { Config } from '../config/schema.js';
import type { NativeEngineOptions } from './engine.js';

const dayMs = 24 * 3_600_000;

/** The engine's options of a configuration. */
export function engineOptions(config: Config): NativeEngineOptions {
  const { compaction, ingest, limits, storage } = config;
  return {
    dir: config.dataDir,
    sync: config.wal.sync,
    retentionMs: Math.round(config.retention.days * dayMs),
    maxRequestBytes: ingest.maxRequestBytes,
    maxFutureMs: ingest.maxFuture,
    rejectNonFinite: ingest.rejectNonFinite,
    maxLabelsPerSeries: limits.labelsPerSeries,
    maxLabelNameBytes: limits.labelNameBytes,
    maxLabelValueBytes: limits.labelValueBytes,
    maxSeries: limits.series,
    maxExemplars: config.exemplars.max,
    maxMetadata: config.metadata.max,
    blockRangeMs: storage.blockRange,
    flushSlackMs: storage.flushSlack,
    flushMinSamples: storage.flushMinSamples,
    flushMinAgeMs: storage.flushMinAge,
    headMaxBytes: storage.headMaxBytes,
    walMaxBytes: storage.walMaxBytes,
    walSegmentBytes: storage.walSegmentBytes,
    writeQueueBytes: ingest.writeQueueBytes,
    compactCpuShare: compaction.cpuShare,
    compactMaxBytes: compaction.maxBytes,
  };
}
