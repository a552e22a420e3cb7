/**
 * @file Functions that turn vectors into scalars and back, and those that sort.
 */
import type { EvalContext } from '../exec/context.js';
import { emptyLabels, labelValue } from '../exec/label-sets.js';
import { type Grid, type RowSink, reorder, sendGrid, sendRow } from '../exec/rows.js';
import type { CallPlan } from '../plan.js';
import { isInstant } from '../time-grid.js';
import type { Implementation } from './implementation.js';
import { naturalOrder, stringArgument } from './label.js';

/** The value of the only series with one, NaN where there is none or more than one. */
const scalar: Implementation = {
  kind: 'scalar',
  evaluate: (ctx, node) => {
    const { steps } = node.grid;
    const values = new Float64Array(steps).fill(NaN);
    const seen = new Uint8Array(steps);
    ctx.rows(node.args[0], {
      histograms: 'skip',
      begin: () => undefined,
      row: (_series, row) => {
        for (let k = 0; k < steps; k++) {
          if (row.present === null || row.present[row.presentBase + k] !== 0) {
            values[k] = seen[k] === 0 ? row.values[row.base + k] : NaN;
            seen[k] = 1;
          }
        }
      },
      end: () => undefined,
    });
    return values;
  },
};

const vector: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    sink.begin(emptyLabels, null);
    const values = ctx.scalars(node.args[0]);
    sink.row(0, { values, base: 0, present: null, presentBase: 0 });
    sink.end();
  },
};

/** Sorts an instant vector; a range query keeps its order and gets a warning. */
function sorting(
  histograms: 'take' | 'skip',
  compare: (ctx: EvalContext, node: CallPlan, grid: Grid) => (a: number, b: number) => number,
): Implementation {
  return {
    kind: 'rows',
    rows: (ctx: EvalContext, node: CallPlan, sink: RowSink) => {
      if (!isInstant(node.grid)) {
        const { steps } = node.grid;
        ctx.rows(node.args[0], {
          histograms,
          begin: (labels, dropName) => sink.begin(labels, dropName),
          row: (series, row) => sendRow(sink, series, row, steps),
          end: () => sink.end(),
        });
        // After what is inside, so that of two the outer one is shown.
        ctx.annotations.sortInRangeQuery(node.expr);
        return;
      }
      const grid = ctx.grid(node.args[0], histograms);
      const order = Array.from({ length: grid.labels.count }, (_, i) => i);
      order.sort(compare(ctx, node, grid));
      sendGrid(reorder(grid, order), sink);
      ctx.release(grid);
    },
  };
}

/** By value, NaN last whatever the direction. */
function byValue(sign: 1 | -1): Implementation {
  return sorting('skip', (_ctx, _node, { values }) => (a, b) => {
    const left = values[a];
    const right = values[b];
    const leftNan = Number.isNaN(left);
    const rightNan = Number.isNaN(right);
    if (leftNan || rightNan) {
      return Number(leftNan) - Number(rightNan);
    }
    return left < right ? -sign : left > right ? sign : 0;
  });
}

/** By the named labels in natural order, then by all labels. */
function byLabel(sign: 1 | -1): Implementation {
  return sorting('take', (ctx, node, { labels }) => {
    const names = node.args.slice(1).map((arg) => ctx.session.intern(stringArgument(arg)));
    const rank = new Uint32Array(labels.count);
    ctx.session.sortOrder(labels).forEach((series, position) => {
      rank[series] = position;
    });
    return (a, b) => {
      for (const name of names) {
        const left = labelValue(labels, a, name);
        const right = labelValue(labels, b, name);
        if (left !== right) {
          return sign * naturalOrder(ctx.session.text(left), ctx.session.text(right));
        }
      }
      return sign * (rank[a] - rank[b]);
    };
  });
}

export const vectorFunctions = {
  scalar,
  sort: byValue(1),
  sort_by_label: byLabel(1),
  sort_by_label_desc: byLabel(-1),
  sort_desc: byValue(-1),
  vector,
} satisfies Record<string, Implementation>;
