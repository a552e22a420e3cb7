/**
 * @file A query session that only reads: whatever the engine would evaluate or add up where the
 * samples are is left to the evaluator of PromQL, as it is behind a series with native histograms.
 */
import type { QuerySession, Selection } from '../../src/storage/querier.js';
import { plainRollup } from './plain-rollup.js';

/** What windows of single series are evaluated with: the engine's functions, or plain loops. */
export type Windows = 'engine' | 'plain';

/** A view of `session` that evaluates and adds up nothing natively. */
export function readOnlySession(session: QuerySession, windows: Windows): QuerySession {
  return overriding(session, {
    aggregation: undefined,
    select: (request) => reading(session.select(request)),
    ...(windows === 'plain' && { rollup: plainRollup }),
  });
}

/** Tells an evaluation that the next series has a native histogram: then all are read. */
function reading(selection: Selection): Selection {
  return overriding(selection, {
    evaluate: () => ({ series: 0, samples: 0, longest: 0, histogram: true }),
  });
}

/** An object with some members of its own, and those of `inner` else. */
export function overriding<T extends object>(
  inner: T,
  own: { readonly [K in keyof T]?: T[K] | undefined },
): T {
  return new Proxy(inner, {
    get: (target, key) => {
      if (key in own) {
        return Reflect.get(own, key);
      }
      const member: unknown = Reflect.get(target, key);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
