/**
 * @file `absent` and `absent_over_time`.
 */
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { emptyLabels, LabelIndex, LabelScratch } from '../exec/label-sets.js';
import { presentSteps } from '../exec/presence.js';
import type { RowSink } from '../exec/rows.js';
import { WindowFinder } from '../exec/window.js';
import type { Plan } from '../plan.js';
import type { Implementation } from './implementation.js';
import { rangeArgument } from './range.js';

/**
 * The labels that `=` matchers ask for, each used once; none for anything but a selector. Follows
 * `createLabelsForAbsentFunction` in Prometheus' `promql/functions.go` (3.14).
 */
function absentLabels(ctx: EvalContext, arg: Plan): LabelTable {
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
    const [arg] = node.args;
    if (node.presence === true && arg.kind === 'selector') {
      sendAbsence(ctx, arg, presentSteps(ctx, arg), sink);
      return;
    }
    const { steps } = node.grid;
    const seen = new Uint8Array(steps);
    ctx.rows(arg, {
      histograms: 'take',
      begin: () => undefined,
      row: (_series, { present, presentBase }) => {
        if (present === null) {
          seen.fill(1);
          return;
        }
        for (let k = 0; k < steps; k++) {
          seen[k] |= present[presentBase + k];
        }
      },
      end: () => undefined,
    });
    sendAbsence(ctx, arg, seen, sink);
  },
};

/** 1 at every step where no series has a sample in its window. */
const absentOverTime: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const input = rangeArgument(node);
    if (node.presence === true && input.kind === 'matrix') {
      sendAbsence(ctx, input, presentSteps(ctx, input), sink);
      return;
    }
    const { steps } = node.grid;
    const finder = new WindowFinder(input.windows);
    const seen = new Uint8Array(steps);
    ctx.series(input, {
      histograms: 'take',
      begin: () => undefined,
      samples: (_series, samples) => {
        finder.find(samples);
        for (let k = 0; k < steps; k++) {
          seen[k] |= Number(finder.first[k] < finder.last[k]);
        }
        ctx.budget.spend(steps);
      },
      end: () => undefined,
    });
    sendAbsence(ctx, input, seen, sink);
  },
};

/** The answer: 1 wherever `seen` is 0. */
function sendAbsence(ctx: EvalContext, arg: Plan, seen: Uint8Array, sink: RowSink): void {
  const values = new Float64Array(seen.length).fill(1);
  const present = seen.map((flag) => 1 - flag);
  sink.begin(absentLabels(ctx, arg), null);
  sink.row(0, { values, base: 0, present, presentBase: 0 });
  sink.end();
}

export const absentFunctions = {
  absent,
  absent_over_time: absentOverTime,
} satisfies Record<string, Implementation>;
