/**
 * @file Warnings and infos of a query: every text that Prometheus has for floats, in one place.
 *
 * Follows `util/annotations/annotations.go` (3.14): annotations are one per text, the last position
 * wins, and at most ten of each kind are shown.
 */
import type { Annotations } from '../model/result.js';
import type { Binary, Expr } from './ast.js';
import type { OperatorNote } from './exec/histogram-operators.js';
import { formatShortest, formatTwoDigits } from './format-float.js';
import { goQuote, lineColumn } from './position.js';

/** How many of a kind are shown before the rest is counted. */
const maxShown = 10;

const nanTexts = {
  result: 'input to histogram_quantile has NaN observations, result is NaN',
  skew: 'input to histogram_quantile has NaN observations, result is skewed higher',
  excluded:
    'input to histogram_fraction has NaN observations, which are excluded from all fractions',
} as const;

/** What there is to say of NaN observations in a native histogram. */
export type NanNote = keyof typeof nanTexts;

/** During what histograms turned out not to fit together. */
export type HistogramOperation = 'addition' | 'subtraction' | 'aggregation';

type Kind = 'warning' | 'info';

interface Entry {
  readonly kind: Kind;
  /** The text before the position, but for repairs. */
  readonly text: string;
  offset: number;
  readonly repair?: Repair;
  /** How often it was met, where that is shown. */
  occurrences?: number;
}

/** What `histogram_quantile` had to repair, over all its groups and steps. */
export interface Repair {
  minTimeMs: number;
  maxTimeMs: number;
  minBucket: number;
  maxBucket: number;
  maxDiff: number;
  count: number;
}

/** What a shared part of a query annotated, to be repeated where it occurs again. */
export type Recording = Entry[];

/** Collects the annotations of one query. */
export class AnnotationLog {
  private readonly entries = new Map<string, Entry>();
  private readonly recordings = new Set<Recording>();

  /** Starts to write down what is added, until `stop`. */
  record(): Recording {
    const recording: Recording = [];
    this.recordings.add(recording);
    return recording;
  }

  stop(recording: Recording): void {
    this.recordings.delete(recording);
  }

  /** Adds all of a recording again, `shift` characters further on. */
  replay(recording: Recording, shift: number): void {
    for (const entry of recording) {
      this.put({ ...entry, offset: entry.offset + shift });
    }
  }

  invalidQuantile(quantile: number, at: Expr): void {
    const text = 'quantile value should be between 0 and 1, got';
    this.add('warning', `${text} ${formatShortest(quantile)}`, at);
  }

  invalidRatio(ratio: number, cap: number, at: Expr): void {
    const text = `ratio value should be between -1 and 1, got ${formatShortest(ratio)}`;
    this.add('warning', `${text}, capping to ${cap}`, at);
  }

  badBucketLabel(metric: string, label: string, at: Expr): void {
    const text = 'bucket label "le" is missing or has a malformed value of';
    this.add('warning', `${text} ${goQuote(label)}${forMetric(metric)}`, at);
  }

  sortInRangeQuery(at: Expr): void {
    const text = 'sort is ineffective for range queries since results are always ordered by labels';
    this.add('warning', text, at);
  }

  possibleNonCounter(metric: string, at: Expr): void {
    const text = 'metric might not be a counter, name does not end in _total/_sum/_count/_bucket:';
    this.add('info', `${text} ${goQuote(metric)}`, at);
  }

  /** Where types are labels. */
  notTypedCounter(metric: string, type: string, at: Expr): void {
    const text =
      'metric might not be a counter, __type__ label is not set to "counter" or "histogram"';
    this.add('info', `${text}, got ${goQuote(type)}: ${goQuote(metric)}`, at);
  }

  forcedMonotonicity(metric: string, repair: Repair, at: Expr): void {
    const link =
      'https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile';
    const text = `input to histogram_quantile needed to be fixed for monotonicity (see ${link})`;
    const shown = `PromQL info: ${text}${forMetric(metric)}`;
    this.put({ kind: 'info', text: shown, offset: at.span.start, repair });
  }

  /** A series has floats and histograms where only one of both makes sense. */
  mixedFloatsAndHistograms(metric: string, at: Expr): void {
    const text = 'encountered a mix of histograms and floats for metric name';
    this.add('warning', `${text} ${goQuote(metric)}`, at);
  }

  mixedInAggregation(at: Expr): void {
    this.add('warning', 'encountered a mix of histograms and floats for aggregation', at);
  }

  mixedClassicAndNative(metric: string, at: Expr): void {
    const text = 'vector contains a mix of classic and native histograms';
    this.add('warning', `${text}${forMetric(metric)}`, at);
  }

  mixedSchemas(metric: string, at: Expr): void {
    const text = 'vector contains a mix of histograms with exponential and custom buckets schemas';
    this.add('warning', `${text} for metric name ${goQuote(metric)}`, at);
  }

  notACounter(metric: string, at: Expr): void {
    this.add('warning', `this native histogram metric is not a counter: ${goQuote(metric)}`, at);
  }

  notAGauge(metric: string, at: Expr): void {
    this.add('warning', `this native histogram metric is not a gauge: ${goQuote(metric)}`, at);
  }

  /** A sample says that its counter started before the sample before it, which says otherwise. */
  startOverlap(metric: string, at: Expr): void {
    const text = 'sample has start time that overlaps with previous sample timestamp for metric';
    const shown = `PromQL warning: ${text} ${goQuote(metric)}`;
    this.put({ kind: 'warning', text: shown, offset: at.span.start, occurrences: 1 });
  }

  histogramIgnored(aggregation: string, at: Expr): void {
    this.add('info', `ignored histogram in ${aggregation} aggregation`, at);
  }

  histogramsIgnoredInRange(metric: string, at: Expr): void {
    const text = 'ignored histograms in a range containing both floats and histograms';
    this.add('info', `${text} for metric name ${goQuote(metric)}`, at);
  }

  boundsReconciled(operation: HistogramOperation, at: Expr): void {
    this.add('info', `mismatched custom buckets were reconciled during ${operation}`, at);
  }

  /** Histograms say that they follow a counter reset, and that they do not. */
  resetCollision(operation: HistogramOperation, at: Expr): void {
    this.add('warning', `conflicting counter resets during histogram ${operation}`, at);
  }

  /** What a binary operator made of histograms, or could not. */
  operatorNote(note: OperatorNote, at: Binary): void {
    switch (note.kind) {
      case 'types': {
        const text = 'incompatible sample types encountered for binary operator';
        const types = `${note.left} ${at.op} ${note.right}`;
        this.add('info', `${text} ${goQuote(at.op)}: ${types}`, at);
        break;
      }
      case 'layout': {
        const text = 'incompatible bucket layout encountered for binary operator';
        this.add('warning', `${text} ${at.op}`, at);
        break;
      }
      case 'collision':
        this.resetCollision(note.during, at);
        break;
      case 'reconciled':
        this.boundsReconciled(note.during, at);
        break;
    }
  }

  /** NaN observations, which are in no bucket. */
  nanObservations(note: NanNote, metric: string, at: Expr): void {
    this.add('info', `${nanTexts[note]}${forMetric(metric)}`, at);
  }

  private add(kind: Kind, text: string, at: Expr): void {
    this.put({ kind, text: `PromQL ${kind}: ${text}`, offset: at.span.start });
  }

  private put(entry: Entry): void {
    for (const recording of this.recordings) {
      recording.push(entry);
    }
    const known = this.entries.get(entry.text);
    if (known === undefined) {
      const repair = entry.repair === undefined ? {} : { repair: { ...entry.repair } };
      this.entries.set(entry.text, { ...entry, ...repair });
    } else if (known.repair !== undefined && entry.repair !== undefined) {
      addRepair(known.repair, entry.repair);
    } else if (known.occurrences !== undefined && entry.occurrences !== undefined) {
      known.occurrences += entry.occurrences;
    } else {
      known.offset = entry.offset;
    }
  }

  /** The finished texts. */
  finish(query: string): Annotations {
    return { warnings: this.texts('warning', query), infos: this.texts('info', query) };
  }

  private texts(kind: Kind, query: string): string[] {
    const texts: string[] = [];
    let omitted = 0;
    for (const entry of this.entries.values()) {
      if (entry.kind !== kind) {
        continue;
      }
      if (texts.length === maxShown) {
        omitted++;
        continue;
      }
      const detail = entry.repair === undefined ? '' : describeRepair(entry.repair);
      const { occurrences = 1 } = entry;
      const often = occurrences > 1 ? ` (${occurrences} occurrences)` : '';
      texts.push(`${entry.text}${detail}${often} (${lineColumn(query, entry.offset)})`);
    }
    if (omitted > 0) {
      texts.push(`${omitted} more ${kind} annotations omitted`);
    }
    return texts;
  }
}

function addRepair(to: Repair, more: Repair): void {
  to.minTimeMs = Math.min(to.minTimeMs, more.minTimeMs);
  to.maxTimeMs = Math.max(to.maxTimeMs, more.maxTimeMs);
  to.minBucket = Math.min(to.minBucket, more.minBucket);
  to.maxBucket = Math.max(to.maxBucket, more.maxBucket);
  to.maxDiff = Math.max(to.maxDiff, more.maxDiff);
  to.count += more.count;
}

function forMetric(metric: string): string {
  return metric === '' ? '' : ` for metric name ${goQuote(metric)}`;
}

function describeRepair(repair: Repair): string {
  const buckets = `${formatShortest(repair.minBucket)} to ${formatShortest(repair.maxBucket)}`;
  const diff = formatTwoDigits(repair.maxDiff);
  const times = `${isoSeconds(repair.minTimeMs)} to ${isoSeconds(repair.maxTimeMs)}`;
  const over = `over ${repair.count} samples from ${times}`;
  return `, from buckets ${buckets}, with a max diff of ${diff}, ${over}`;
}

/** RFC 3339 in UTC with whole seconds, cut towards zero as Go's integer division. */
function isoSeconds(timeMs: number): string {
  const whole = new Date(Math.trunc(timeMs / 1000) * 1000);
  return whole.toISOString().replace('.000Z', 'Z');
}
