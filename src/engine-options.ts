/**
 * @file From a configuration to the options of an engine.
 */
import { availableParallelism } from 'node:os';
import type { Config } from './config/schema.js';
import { MetricstorError } from './errors.js';
import type { NativeEngineOptions, RetentionRule } from './native/engine.js';
import { parseSelector } from './promql/parse.js';

const dayMs = 24 * 3_600_000;

/** The rules of retention, compiled. Throws `bad_data` for a `match` that is not a selector. */
export function retentionRules({ retention }: Config): readonly RetentionRule[] {
  return retention.rules.map(({ match, days }, index) => {
    try {
      return { matchers: parseSelector(match), keepMs: Math.round(days * dayMs) };
    } catch (error) {
      if (error instanceof MetricstorError) {
        const text = `retention.rules[${index}].match: ${error.message}`;
        throw new MetricstorError('bad_data', text, { cause: error });
      }
      throw error;
    }
  });
}

/** The engine's options of a configuration. */
export function engineOptions(config: Config): NativeEngineOptions {
  const { checkpoint, compaction, ingest, limits, query, storage } = config;
  return {
    dir: config.dataDir,
    sync: config.wal.sync,
    retentionMs: Math.round(config.retention.days * dayMs),
    retentionBytes: config.retention.size,
    retentionRules: retentionRules(config),
    maxRequestBytes: ingest.maxRequestBytes,
    maxFutureMs: ingest.maxFuture,
    rejectNonFinite: ingest.rejectNonFinite,
    typeAndUnitLabels: config.promql.features.includes('type-and-unit-labels'),
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
    checkpointIntervalMs: checkpoint.interval,
    checkpointLogBytes: checkpoint.logBytes,
    writeQueueBytes: ingest.writeQueueBytes,
    compactCpuShare: compaction.cpuShare,
    compactMaxBytes: compaction.maxBytes,
    queryHelpers: query.helpers < 0 ? availableParallelism() - 1 : query.helpers,
  };
}
