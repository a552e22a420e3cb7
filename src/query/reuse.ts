/**
 * @file A range query's answer, put together from steps that an earlier one left and from those
 * that are evaluated now; and what is left for the next. On the thread that evaluates.
 *
 * What is kept lies in shared memory, never changes, and goes from thread to thread without a copy.
 * An answer with warnings, infos or native histograms is never kept: which steps they stem from is
 * not known. Whatever does not fit together is evaluated anew as a whole.
 */

import { MetricstorError } from '../errors.js';
import type { LabelTable } from '../model/labels.js';
import type { MatrixResult } from '../model/result.js';
import type { PromqlEngine, QueryOutcome, QueryUse } from '../promql/engine.js';
import { stepsOf } from '../promql/time-grid.js';
import type { QuerySession } from '../storage/querier.js';
import { joinSteps, type StepPart } from './join-steps.js';
import type { KeptLabels, KeptSteps, RangeJob, ReusableSteps } from './service.js';

/** What an evaluation works with. */
export interface Evaluating {
  readonly engine: PromqlEngine;
  readonly session: QuerySession;
  readonly job: RangeJob;
  readonly deadlineMs: number;
}

/** An evaluation, what to keep of it, and how many of its steps were there before. */
export interface ReusedOutcome {
  readonly outcome: QueryOutcome;
  readonly kept?: KeptSteps;
  readonly reusedSteps: number;
}

/** Evaluates a range query, with what its job says is known. */
export function evaluateRange(at: Evaluating): ReusedOutcome {
  const { engine, session, job, deadlineMs } = at;
  const { known } = job.reuse ?? {};
  const joined = known === undefined ? undefined : evaluateRest(at, known);
  if (joined !== undefined) {
    return joined;
  }
  const outcome = engine.range(session, { ...job, deadlineMs });
  return { outcome, reusedSteps: 0, ...keepSteps(at, outcome) };
}

/** Steps `[from, to)` of a query. */
interface Piece {
  readonly from: number;
  readonly to: number;
}

/** Undefined where the steps do not fit together. */
function evaluateRest(at: Evaluating, known: ReusableSteps): ReusedOutcome | undefined {
  const { engine, session, job, deadlineMs } = at;
  const steps = stepsOf(job);
  // A range of one step is not the same as a step of a range: `step()` is 0 in it.
  const from = known.from === 1 ? 2 : known.from;
  const to = known.to === steps - 1 ? steps - 2 : known.to;
  const before = evaluatePiece(at, { from: 0, to: from });
  const after = before && evaluatePiece(at, { from: to, to: steps });
  if (before === undefined || after === undefined) {
    return undefined;
  }
  const { kept } = known;
  const shift = Math.round((kept.startMs - job.startMs) / job.stepMs);
  const { offsets, places, values } = kept;
  const labels = readLabels(session, kept.labels);
  const middle: StepPart = { labels, offsets, places, values, shift, from, to };
  const fresh = (outcome: QueryOutcome): StepPart[] => partOf(job, outcome);
  const parts = [...before.flatMap(fresh), middle, ...after.flatMap(fresh)];
  const { result, sameLabels } = joinSteps(session, parts, job);
  engine.admit(session, { points: result.values.length, deadlineMs });
  const stats = totalOf([...before, ...after].map((outcome) => outcome.stats));
  const outcome = { result, annotations: { warnings: [], infos: [] }, stats };
  const same = sameLabels ? kept.labels : undefined;
  return {
    outcome,
    reusedSteps: to - from,
    ...keepSteps(at, outcome, { reach: kept.reach, same }),
  };
}

/**
 * The outcome of some steps, or none where there is no step; undefined where it says something of
 * the whole query, or fails: a failure of all steps may read otherwise.
 */
function evaluatePiece(
  { engine, session, job, deadlineMs }: Evaluating,
  { from, to }: Piece,
): readonly QueryOutcome[] | undefined {
  if (from === to) {
    return [];
  }
  const { startMs, stepMs } = job;
  const endMs = to === stepsOf(job) ? job.endMs : startMs + (to - 1) * stepMs;
  const piece = { ...job, startMs: startMs + from * stepMs, endMs, deadlineMs };
  try {
    const outcome = engine.range(session, piece);
    return isPlain(outcome) ? [outcome] : undefined;
  } catch (error) {
    // Less than all is over a limit: so is all.
    const limited = error instanceof MetricstorError && error.detail?.limit !== undefined;
    if (error instanceof MetricstorError && error.code === 'execution' && !limited) {
      return undefined;
    }
    throw error;
  }
}

function isPlain({ result, annotations }: QueryOutcome): boolean {
  const { warnings, infos } = annotations;
  const quiet = warnings.length === 0 && infos.length === 0;
  return quiet && result.type === 'matrix' && result.histograms?.some(Boolean) !== true;
}

function partOf(job: RangeJob, { result }: QueryOutcome): StepPart[] {
  if (result.type !== 'matrix') {
    return [];
  }
  const { labels, offsets, values } = result;
  const places = placesOf(job, result);
  return [{ labels, offsets, places, values, shift: 0, from: 0, to: Infinity }];
}

/** Which step of the query each point is. */
function placesOf({ startMs, stepMs }: RangeJob, { timestamps }: MatrixResult): Uint32Array {
  return Uint32Array.from(timestamps, (t) => Math.round((t - startMs) / stepMs));
}

const nothing: QueryUse = { samples: 0, series: 0, peakBytes: 0, peakPoints: 0 };

function totalOf(uses: readonly QueryUse[]): QueryUse {
  return uses.reduce(
    (all, use) => ({
      samples: all.samples + use.samples,
      series: Math.max(all.series, use.series),
      peakBytes: Math.max(all.peakBytes, use.peakBytes),
      peakPoints: Math.max(all.peakPoints, use.peakPoints),
    }),
    nothing,
  );
}

/** Bytes of an entry beside its columns and texts, about. */
const entryBytes = 1024;

/** Puts an outcome's steps into shared memory, if they are asked for, few enough and reusable. */
function keepSteps(
  { engine, session, job }: Evaluating,
  outcome: QueryOutcome,
  known?: { readonly reach: KeptSteps['reach']; readonly same: KeptLabels | undefined },
): { kept?: KeptSteps } {
  const { result } = outcome;
  if (job.reuse === undefined || result.type !== 'matrix' || !isPlain(outcome)) {
    return {};
  }
  const reach = known?.reach ?? engine.reachOf(job);
  const { labels, offsets, values } = result;
  const columns = values.length * 12 + offsets.byteLength + entryBytes;
  if (reach === undefined || columns > job.reuse.maxBytes) {
    return {};
  }
  const kept = known?.same ?? shareLabels(session, labels);
  const { texts, ids } = kept;
  const bytes = columns + texts.byteLength + ids.byteLength + kept.offsets.byteLength;
  if (bytes > job.reuse.maxBytes) {
    return {};
  }
  return {
    kept: {
      startMs: job.startMs,
      steps: stepsOf(job),
      labels: kept,
      offsets: share(offsets),
      places: share(placesOf(job, result)),
      values: shareFloats(values),
      reach,
      bytes,
    },
  };
}

function share(column: Uint32Array): Uint32Array {
  const shared = new Uint32Array(new SharedArrayBuffer(column.byteLength));
  shared.set(column);
  return shared;
}

function shareFloats(column: Float64Array): Float64Array {
  const shared = new Float64Array(new SharedArrayBuffer(column.byteLength));
  // Bytes: whatever a NaN says stays.
  new Uint8Array(shared.buffer).set(
    new Uint8Array(column.buffer, column.byteOffset, column.byteLength),
  );
  return shared;
}

/** Label sets whose ids are places in a list of texts. */
function shareLabels(session: QuerySession, { ids, offsets }: LabelTable): KeptLabels {
  const texts: string[] = [];
  const places = new Map<number, number>();
  const own = ids.map((id) => {
    let place = places.get(id);
    if (place === undefined) {
      place = texts.push(session.text(id)) - 1;
      places.set(id, place);
    }
    return place;
  });
  const encoded = new TextEncoder().encode(JSON.stringify(texts));
  const shared = new Uint8Array(new SharedArrayBuffer(encoded.byteLength));
  shared.set(encoded);
  return { texts: shared, ids: share(own), offsets: share(offsets) };
}

function readLabels(session: QuerySession, { texts, ids, offsets }: KeptLabels): LabelTable {
  // A decoder does not take shared memory.
  const list: string[] = JSON.parse(new TextDecoder().decode(texts.slice()));
  const own = Uint32Array.from(list, (text) => session.intern(text));
  return { count: offsets.length - 1, ids: Uint32Array.from(ids, (id) => own[id]), offsets };
}
