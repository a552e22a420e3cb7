/**
 * @file Reads a data directory through the add-on after its server has stopped: every sample by its
 * bits, with the stale markers and NaN payloads that no HTTP answer shows.
 */
import { NativeEngine, type NativeEngineOptions } from '../../src/native/engine.js';
import type { LabelMatcher, QuerySession, SampleBatch } from '../../src/storage/querier.js';
import { bitsAt, type SeriesBits, samplesOf, seriesKey } from './recording.js';

const mebibyte = 1 << 20;
/** The widest range the API knows: both ends are ±2^53. */
const widest = { mint: -(2 ** 53), maxt: 2 ** 53 };
const everything: readonly LabelMatcher[] = [{ name: '__name__', op: '!=', value: '' }];

/** Options that open a directory and drop nothing from it. */
export function keepEverything(dir: string): NativeEngineOptions {
  return {
    dir,
    sync: 'always',
    retentionBytes: 0,
    retentionRules: [],
    retentionMs: 100 * 365 * 24 * 3_600_000,
    maxRequestBytes: 10 * mebibyte,
    maxFutureMs: 600_000,
    rejectNonFinite: false,
    typeAndUnitLabels: false,
    maxLabelsPerSeries: 256,
    maxLabelNameBytes: 4096,
    maxLabelValueBytes: 65_536,
    maxSeries: 0,
    maxExemplars: 100_000,
    maxMetadata: 100_000,
    blockRangeMs: 2 * 3_600_000,
    flushSlackMs: 60_000,
    flushMinSamples: 100_000,
    flushMinAgeMs: 60_000,
    headMaxBytes: 2048 * mebibyte,
    walMaxBytes: 4096 * mebibyte,
    walSegmentBytes: 128 * mebibyte,
    checkpointIntervalMs: 300_000,
    checkpointLogBytes: 256 * mebibyte,
    writeQueueBytes: 128 * mebibyte,
    compactCpuShare: 0.25,
    queryHelpers: 1,
    compactMaxBytes: 64 * 2 ** 30,
  };
}

/** Every series of the directory that `matchers` find; by default every one with a name. */
export async function readStored(dir: string, matchers = everything): Promise<SeriesBits> {
  const engine = await NativeEngine.open(keepEverything(dir));
  try {
    const session = engine.openSession({ tenant: 0, matchers: [] }, {});
    try {
      return readAll(session, matchers);
    } finally {
      session.close();
    }
  } finally {
    await engine.close();
  }
}

function readAll(session: QuerySession, matchers: readonly LabelMatcher[]): SeriesBits {
  const selection = session.select({ matchers, ...widest });
  const { labels } = selection;
  const found: SeriesBits = new Map();
  let batch = batchOf(1 << 16);
  let first = 0;
  while (first < labels.count) {
    const count = selection.read(first, batch);
    if (count === 0) batch = batchOf(selection.required);
    for (let k = 0; k < count; k++) {
      const pairs: [string, string][] = [];
      for (let i = labels.offsets[first + k]; i < labels.offsets[first + k + 1]; i += 2) {
        pairs.push([session.text(labels.ids[i]), session.text(labels.ids[i + 1])]);
      }
      const samples = samplesOf(found, seriesKey(pairs));
      for (let i = batch.offsets[k]; i < batch.offsets[k + 1]; i++) {
        samples.set(batch.timestamps[i], bitsAt(batch.values, i));
      }
    }
    first += count;
  }
  selection.close();
  return found;
}

function batchOf(samples: number): SampleBatch {
  return {
    timestamps: new Float64Array(samples),
    values: new Float64Array(samples),
    offsets: new Uint32Array(4096),
  };
}
