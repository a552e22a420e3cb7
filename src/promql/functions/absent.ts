/**
 * @file `absent`, and the labels that it and `absent_over_time` answer with.
 */
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { emptyLabels, LabelIndex, LabelScratch } from '../exec/label-sets.js';
import type { Plan } from '../plan.js';
import type { Implementation } from './implementation.js';

/**
 * The labels that `=` matchers ask for, each used once; none for anything but a selector. Follows
 * `createLabelsForAbsentFunction` in Prometheus' `promql/functions.go` (3.14).
 */
export function absentLabels(ctx: EvalContext, arg: Plan): LabelTable {
  if (arg.kind !== 'selector' && arg.kind !== 'matrix') {
    return emptyLabels;
  }
  const wanted = new Map<string, string>();
  const seen = new Set<string>();
  for (const { name, op, value } of arg.matchers) {
    if (name === '__name__') {
      continue;
    }
    if (op === '=' && !seen.has(name)) {
      wanted.set(name, value);
      seen.add(name);
    } else {
      wanted.delete(name);
    }
  }
  const scratch = new LabelScratch();
  for (const [name, value] of wanted) {
    scratch.set(ctx.session, ctx.session.intern(name), ctx.session.intern(value));
  }
  const index = new LabelIndex();
  index.add(scratch);
  return index.table();
}

/** 1 at every step where the vector is empty. */
const absent: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const { steps } = node.grid;
    const [arg] = node.args;
    const flags = new Uint8Array(steps).fill(1);
    ctx.rows(arg, {
      histograms: 'take',
      begin: () => undefined,
      row: (_series, { present, presentBase }) => {
        if (present === null) {
          flags.fill(0);
          return;
        }
        for (let k = 0; k < steps; k++) {
          if (present[presentBase + k] !== 0) {
            flags[k] = 0;
          }
        }
      },
      end: () => undefined,
    });
    const values = new Float64Array(steps).fill(1);
    sink.begin(absentLabels(ctx, arg), null);
    sink.row(0, { values, base: 0, present: flags, presentBase: 0 });
    sink.end();
  },
};

export const absentFunctions = { absent } satisfies Record<string, Implementation>;
