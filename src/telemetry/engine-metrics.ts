/**
 * @file The engine's numbers as Prometheus metrics: a table from the stable names of
 * `native/engine/src/stats.rs` to metric names.
 */

/** Numbers by stable name. */
export type EngineNumbers = Readonly<Record<string, number>>;

interface EngineMetric {
  readonly stat: string;
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const gauge = (stat: string, name: string, help: string): EngineMetric => ({
  stat,
  name: `metricstor_${name}`,
  type: 'gauge',
  help,
});

const counter = (
  stat: string,
  name: string,
  help: string,
  labels?: Readonly<Record<string, string>>,
): EngineMetric => ({
  stat,
  name: `metricstor_${name}`,
  type: 'counter',
  help,
  ...(labels === undefined ? {} : { labels }),
});

const rejected = (stat: string, code: string): EngineMetric =>
  counter(stat, 'samples_rejected_total', 'Samples refused, by reason.', { code });

const blocksOfLevel = (stat: string, level: string): EngineMetric => ({
  ...gauge(
    stat,
    'blocks_by_level',
    'Blocks by how often their samples were merged; the last level stands for all above, too.',
  ),
  labels: { level },
});

const engineMetrics: readonly EngineMetric[] = [
  gauge('headSeries', 'head_series', 'Series in memory.'),
  gauge('headSamples', 'head_samples', 'Samples in memory.'),
  gauge('headBytes', 'head_bytes', 'Memory of the head.'),
  gauge('blocks', 'blocks', 'Blocks on disk.'),
  blocksOfLevel('blocksLevel1', '1'),
  blocksOfLevel('blocksLevel2', '2'),
  blocksOfLevel('blocksLevel3', '3'),
  blocksOfLevel('blocksLevel4', '4'),
  blocksOfLevel('blocksLevel5', '5'),
  gauge('blocksQuarantined', 'blocks_quarantined', 'Damaged blocks that were set aside.'),
  gauge('blockBytes', 'blocks_bytes', 'Size of the blocks on disk.'),
  gauge('tombstones', 'tombstones', 'Deletes that are not yet out of all blocks.'),
  gauge(
    'diskFreeBytes',
    'disk_free_bytes',
    'Room that is left on the file system of the data directory.',
  ),
  gauge('walBytes', 'wal_bytes', 'Size of the log on disk.'),
  gauge('headFileBytes', 'head_file_bytes', 'Size of checkpoint and chunk files of the head.'),
  gauge('queueBytes', 'write_queue_bytes', 'Writes prepared but not yet logged.'),
  gauge('waitingBodyBytes', 'write_waiting_bytes', 'Request bodies waiting to be decoded.'),
  counter('seriesCreated', 'series_created_total', 'Series that came into memory.'),
  counter('seriesRemoved', 'series_removed_total', 'Series that left memory.'),
  counter('samplesAppended', 'samples_appended_total', 'Samples stored.'),
  counter('samplesLate', 'samples_late_total', 'Samples stored that came out of order.'),
  counter(
    'samplesReplaced',
    'samples_replaced_total',
    'Samples stored in place of another value at the same time.',
  ),
  counter('samplesDuplicate', 'samples_duplicate_total', 'Samples that were stored already.'),
  rejected('rejectedBadData', 'bad_data'),
  rejected('rejectedTooOld', 'too_old'),
  rejected('rejectedTooFarAhead', 'too_far_ahead'),
  rejected('rejectedLimit', 'limit_exceeded'),
  gauge('exemplars', 'exemplars', 'Exemplars that are kept.'),
  counter('exemplarsAppended', 'exemplars_appended_total', 'Exemplars stored.'),
  counter(
    'exemplarsDropped',
    'exemplars_dropped_total',
    'Exemplars not stored: late, too far ahead, or with labels that are too long.',
  ),
  gauge('metadataFamilies', 'metadata_families', 'Metric families whose metadata is kept.'),
  counter('metadataDropped', 'metadata_dropped_total', 'Metadata not stored: too long or no text.'),
  counter('walFrames', 'wal_frames_total', 'Frames written to the log.'),
  counter('walFailures', 'wal_failures_total', 'Failed writes and fsyncs of the log.'),
  counter('fsyncs', 'wal_fsyncs_total', 'Times the log was synced.'),
  counter('fsyncSeconds', 'wal_fsync_seconds_total', 'Time spent in these.'),
  counter('checkpoints', 'checkpoints_total', 'Times the head was written down.'),
  counter(
    'checkpointFailures',
    'checkpoint_failures_total',
    'Attempts to write the head down that failed; they are repeated.',
  ),
  counter(
    'chunkBytesOffloaded',
    'head_chunk_bytes_offloaded_total',
    'Bytes of full chunks that left memory for files.',
  ),
  counter('tornBytes', 'wal_torn_bytes_total', 'Bytes of a torn log tail that recovery cut.'),
  counter('flushes', 'flushes_total', 'Flushes of the head into blocks.'),
  counter('flushFailures', 'flush_failures_total', 'Flushes that failed; they are tried again.'),
  counter('flushBytes', 'flush_bytes_total', 'Bytes of the blocks that flushes made.'),
  counter('compactions', 'compactions_total', 'Merges of blocks.'),
  counter('compactionFailures', 'compaction_failures_total', 'Merges of blocks that failed.'),
  counter(
    'compactionBytesRead',
    'compaction_read_bytes_total',
    'Bytes of the blocks that merges replaced.',
  ),
  counter(
    'compactionBytesWritten',
    'compaction_written_bytes_total',
    'Bytes of the blocks that merges made.',
  ),
  gauge(
    'compactionBytesNow',
    'compaction_temporary_bytes',
    'The most that the merge at work takes on disk beside the blocks that it replaces.',
  ),
  counter(
    'samplesReplacedInFlush',
    'samples_replaced_in_flush_total',
    'Samples that a flush found replaced by a later write.',
  ),
  counter('blocksDropped', 'blocks_dropped_total', 'Blocks dropped by retention.'),
  counter(
    'blocksCleaned',
    'blocks_cleaned_total',
    'Blocks written anew without what was deleted or had expired in them.',
  ),
  counter('deletes', 'deletes_total', 'Deletes that were acknowledged.'),
  counter('headSamplesDeleted', 'head_samples_deleted_total', 'Samples deleted in memory.'),
  counter(
    'headDeleteFailures',
    'head_delete_failures_total',
    'Series in memory from which a delete could not be carried out: they are damaged.',
  ),
];

/** The engine's metrics in the text format; a number that the engine does not have is left out. */
export function writeEngineMetrics(numbers: EngineNumbers): string {
  let text = '';
  let previous = '';
  for (const { stat, name, type, help, labels } of engineMetrics) {
    const value = numbers[stat];
    if (value === undefined) {
      continue;
    }
    if (name !== previous) {
      text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
      previous = name;
    }
    const pairs = Object.entries(labels ?? {}).map(([key, label]) => `${key}="${label}"`);
    text += `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`;
  }
  return text;
}
