/**
 * @file Steps of range queries that are kept for the next time: a dashboard asks the same every few
 * seconds, with a range that moved on by a step, and only what is new is evaluated.
 *
 * Whether a step still holds is not guessed from its age: the engine says what may have changed
 * since it was evaluated, and a step that read none of that is what it would be now, bit for bit.
 * So writes in order cost the newest steps, a late sample or a delete every step that could have
 * read it, and retention the oldest. `promql/reuse.ts` says which expressions qualify; the others
 * pass by.
 *
 * Lives on the thread that asks. What is kept is shared memory, which query threads read in place
 * (`reuse.ts`). One entry an expression, step, alignment, length and reader; the least recently
 * asked for goes first.
 */
import { stepsOf } from '../promql/time-grid.js';
import type {
  KeptSteps,
  QueryAnswer,
  QueryContext,
  QueryJob,
  QueryService,
  RangeJob,
  ReusableSteps,
} from './service.js';

/** What may have changed since a version: see `native/engine/src/changes.rs`. */
export interface Changed {
  readonly version: number;
  /** Samples of this time and later may be others; Infinity when none are. */
  readonly writtenFrom: number;
  /** Samples of this time and earlier may be gone; -Infinity when none are. */
  readonly expiredTo: number;
}

export interface ChangeSource {
  /** Version 0 is before everything. */
  changedSince(version: number): Changed;
}

/** What the cache counts; all but the first two since the start. */
export interface CacheNumbers {
  readonly bytes: number;
  readonly entries: number;
  /** Answers without an evaluation. */
  readonly hits: number;
  /** Answers of which some steps were evaluated. */
  readonly partialHits: number;
  readonly misses: number;
  /** Misses although steps were kept: late samples, deletes or retention took too many. */
  readonly invalidations: number;
}

/** Ranges of fewer steps cost about as much to put together as to evaluate. */
const stepsMin = 8;
/** Longer texts are not kept. */
const longestKept = 4096;
/** An entry may take this part of the cache. */
const shareOfOne = 4;
/** Bytes beside the steps of an entry, its key apart. */
const overheadBytes = 256;

interface Entry {
  readonly version: number;
  readonly kept: KeptSteps;
  readonly bytes: number;
}

export class QueryCache implements QueryService {
  /** The least recently used first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;
  #hits = 0;
  #partialHits = 0;
  #misses = 0;
  #invalidations = 0;

  /** `maxBytes` 0 keeps nothing. */
  constructor(
    private readonly rest: QueryService,
    private readonly changes: ChangeSource,
    private readonly maxBytes: number,
  ) {}

  get numbers(): CacheNumbers {
    return {
      bytes: this.#bytes,
      entries: this.#entries.size,
      hits: this.#hits,
      partialHits: this.#partialHits,
      misses: this.#misses,
      invalidations: this.#invalidations,
    };
  }

  async run(job: QueryJob, context: QueryContext): Promise<QueryAnswer> {
    if (this.maxBytes === 0 || job.kind !== 'range' || !isCandidate(job)) {
      return await this.rest.run(job, context);
    }
    const key = keyOf(job, context);
    const entry = this.#entries.get(key);
    // Asked before anything is read: what is read is of this version or later.
    const changed = this.changes.changedSince(entry?.version ?? 0);
    const known = entry && this.#usable(entry.kept, job, changed);
    const maxBytes = Math.floor(this.maxBytes / shareOfOne);
    const reuse = known === undefined ? { maxBytes } : { maxBytes, known };
    const { kept, reusedSteps = 0, ...answer } = await this.rest.run({ ...job, reuse }, context);
    this.#count(reusedSteps, stepsOf(job));
    this.#replace(key, kept && { version: changed.version, kept });
    return answer;
  }

  /** The steps that hold, if they are enough to be worth it. */
  #usable(kept: KeptSteps, job: RangeJob, changed: Changed): ReusableSteps | undefined {
    const least = Math.max(stepsMin / 2, stepsOf(job) / 4);
    const known = stepsThatHold(kept, job, changed);
    if (known.to - known.from >= least) {
      return known;
    }
    const unchanged = stepsThatHold(kept, job, nothingChanged);
    this.#invalidations += unchanged.to - unchanged.from >= least ? 1 : 0;
    return undefined;
  }

  #count(reused: number, steps: number): void {
    if (reused === 0) {
      this.#misses += 1;
    } else if (reused === steps) {
      this.#hits += 1;
    } else {
      this.#partialHits += 1;
    }
  }

  #replace(key: string, made: Pick<Entry, 'version' | 'kept'> | undefined): void {
    const old = this.#entries.get(key);
    if (old !== undefined && made !== undefined && old.version > made.version) {
      // Two asked at once, and the later one answered first.
      return;
    }
    if (old !== undefined) {
      this.#entries.delete(key);
      this.#bytes -= old.bytes;
    }
    if (made === undefined) {
      return;
    }
    const bytes = made.kept.bytes + key.length * 2 + overheadBytes;
    this.#entries.set(key, { ...made, bytes });
    this.#bytes += bytes;
    for (const [oldest, entry] of this.#entries) {
      if (this.#bytes <= this.maxBytes) {
        break;
      }
      this.#entries.delete(oldest);
      this.#bytes -= entry.bytes;
    }
  }
}

/** What is counted, cut or unaligned is evaluated as a whole. */
function isCandidate(job: RangeJob): boolean {
  const { query, limit, statistics, noCache, stepMs } = job;
  const plain = limit === 0 && statistics === undefined && noCache !== true;
  return plain && stepMs > 0 && query.length <= longestKept && stepsOf(job) >= stepsMin;
}

function keyOf(job: RangeJob, { scope }: QueryContext): string {
  const { startMs, endMs, stepMs, lookbackMs = 'default', query } = job;
  const phase = ((startMs % stepMs) + stepMs) % stepMs;
  const reader = scope.matchers.length === 0 ? scope.tenant : JSON.stringify(scope);
  return `${reader} ${stepMs} ${phase} ${endMs - startMs} ${lookbackMs} ${query}`;
}

const nothingChanged = { writtenFrom: Infinity, expiredTo: -Infinity };

/** The steps of a query that are kept and have read nothing that changed. */
function stepsThatHold(
  kept: KeptSteps,
  { startMs, endMs, stepMs }: RangeJob,
  { writtenFrom, expiredTo }: Pick<Changed, 'writtenFrom' | 'expiredTo'>,
): ReusableSteps {
  const { beforeMs, afterMs } = kept.reach;
  const shift = Math.round((kept.startMs - startMs) / stepMs);
  let from = Math.max(0, shift);
  let to = Math.min(stepsOf({ startMs, endMs, stepMs }), shift + kept.steps);
  // A step at t has read (t - beforeMs, t + afterMs]; what reads nothing holds for ever.
  if (afterMs > -Infinity) {
    to = Math.min(to, Math.ceil((writtenFrom - afterMs - startMs) / stepMs));
    from = Math.max(from, Math.ceil((expiredTo + beforeMs - startMs) / stepMs));
  }
  return { kept, from, to: Math.max(from, to) };
}
