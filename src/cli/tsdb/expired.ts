/**
 * @file What of a data directory a server drops or hides, because its retention does not keep
 * it.
 *
 * Counts as `native/engine/src/retention.rs` does: from the earlier of the clock and the newest
 * sample, and a series is under the first rule that it satisfies.
 */
import { minTimeMs } from '../../http/params.js';
import type { NativeEngineOptions, RetentionRule } from '../../native/engine.js';
import type { Deleter } from '../../storage/deleter.js';
import type { LabelMatcher } from '../../storage/querier.js';
import { grouped, timeText } from './verb.js';

type Retention = Pick<NativeEngineOptions, 'retentionMs' | 'retentionRules'>;

/** Samples that retention does not keep. */
export interface Expired {
  readonly samples: number;
  /** Milliseconds: what retention counts from. */
  readonly reference: number;
  /** When a server drops them: newer samples move the reference. */
  readonly drops: 'at the next start' | 'with newer samples';
}

/**
 * Counts what `retention` does not keep when the newest sample is at `newest`, which is -Infinity
 * where there is none; or, where all is kept but older than that, once there is a sample of `now`.
 * Reads what it counts.
 */
export async function countExpired(
  engine: Deleter,
  retention: Retention,
  { newest, now }: { readonly newest: number; readonly now: number },
): Promise<Expired> {
  const reference = Math.min(newest, now);
  const samples = await countBefore(engine, retention, reference);
  if (samples > 0 || newest >= now - retention.retentionMs) {
    return { samples, reference, drops: 'at the next start' };
  }
  const later = await countBefore(engine, retention, now);
  return { samples: later, reference: now, drops: 'with newer samples' };
}

async function countBefore(
  engine: Deleter,
  { retentionMs, retentionRules }: Retention,
  reference: number,
): Promise<number> {
  // The default is a rule that every series satisfies, behind all others.
  const rules = [...retentionRules, { matchers: [], keepMs: retentionMs }];
  let samples = 0;
  for (const [index, { keepMs }] of rules.entries()) {
    const maxt = reference - keepMs - 1;
    if (maxt >= minTimeMs) {
      samples += await countUnder(engine, { rules, index, more: [], maxt });
    }
  }
  return samples;
}

interface Counting {
  readonly rules: readonly RetentionRule[];
  readonly index: number;
  /** What the series satisfy beside the rule. */
  readonly more: readonly LabelMatcher[];
  readonly maxt: number;
}

/** Samples up to `maxt` of the series that are under a rule: that satisfy it and none before it. */
async function countUnder(
  engine: Deleter,
  { rules, index, more, maxt }: Counting,
): Promise<number> {
  const matchers = [...more, ...(rules[index]?.matchers ?? [])];
  const scope = { tenant: 0, matchers: [] };
  const request = { scope, selectors: [matchers], mint: minTimeMs, maxt };
  let { samples } = await engine.countSeries(request);
  // Rules seldom share series, so that this ends at once.
  for (let before = 0; before < index && samples > 0; before += 1) {
    samples -= await countUnder(engine, { rules, index: before, more: matchers, maxt });
  }
  return samples;
}

/** A line for people about samples that retention does not keep. */
export function describeExpired(expired: Expired, retention: Retention): string {
  const { samples, reference, drops } = expired;
  const days = retention.retentionMs / (24 * 3_600_000);
  const rules = retention.retentionRules.length > 0 ? ' and retention.rules keep' : ' keeps';
  const [from, when] =
    drops === 'at the next start'
      ? [`from the newest sample (${timeText(reference)} UTC)`, 'at its next start']
      : ['from now', 'once it has stored newer samples'];
  return (
    `warning: ${grouped(samples)} samples of the directory are older than retention.days ` +
    `(${days})${rules}, counted ${from}: a server with this configuration drops them ${when}, ` +
    'by whole blocks; raise retention.days first to keep them'
  );
}
