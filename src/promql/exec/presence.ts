/**
 * @file At which steps a selector finds anything, for those who want no values: the engine decodes
 * none, and series behind those that answer for all steps are not looked at.
 */
import type { SelectorPlan } from '../plan.js';
import type { EvalContext } from './context.js';
import { evaluateRows, rollupFor } from './native-rows.js';
import { type Row, RowBuffer } from './rows.js';
import { floatColumns, readFrom, readSeriesFrom, withSelection } from './selector.js';

/** 1 at each step where any series has a sample in its window. */
export function presentSteps(ctx: EvalContext, plan: SelectorPlan): Uint8Array {
  const { windows } = plan;
  const { steps } = windows;
  const name = plan.kind === 'selector' ? 'timestamp' : 'present_over_time';
  const rollup = rollupFor(ctx, { function: name, windows, parameters: [] });
  const seen = new Uint8Array(steps);
  let missing = steps;
  const look = ({ present, presentBase }: Row): void => {
    for (let k = 0; k < steps && missing > 0; k++) {
      if (seen[k] === 0 && (present === null || present[presentBase + k] !== 0)) {
        seen[k] = 1;
        missing--;
      }
    }
  };
  withSelection(ctx, plan, (selection) => {
    const enough = (): boolean => missing === 0;
    const rows = { plan, selection, rollup, enough };
    const first = evaluateRows(ctx, rows, (_series, row) => look(row));
    if (missing === 0 || first === selection.labels.count) {
      return;
    }
    const out = new RowBuffer(steps);
    const read = plan.kind === 'selector' ? readFrom : readAllFrom;
    read(ctx, selection, first, (_series, samples) => {
      const columns = floatColumns(samples);
      const count = ctx.budget.native(() => rollup.evaluate(...columns, out.values, out.flags));
      out.filled(count);
      if (count > 0) {
        look(out);
      }
      ctx.budget.spend(steps);
    });
  });
  return seen;
}

/** Without stale markers, which a window leaves out. */
function readAllFrom(...[ctx, selection, from, take]: Parameters<typeof readFrom>): void {
  readSeriesFrom(ctx, selection, from, { histograms: 'take', samples: take });
}
