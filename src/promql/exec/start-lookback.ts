/**
 * @file The start timestamp of an instant selector: of the newest sample within the lookback of
 * each step, as `selector.ts` finds it.
 */
import type { SelectorPlan } from '../plan.js';
import type { EvalContext } from './context.js';
import { RowBuffer, type RowSink, sendRow } from './rows.js';
import { isStale, readFrom, withSelection } from './selector.js';
import { WindowFinder } from './window.js';

/** The rows of start timestamps in seconds; 0 where a sample says none. */
export function startRows(ctx: EvalContext, plan: SelectorPlan, sink: RowSink): void {
  const { steps } = plan.windows;
  const finder = new WindowFinder(plan.windows);
  const out = new RowBuffer(steps);
  let bits = new Uint32Array(0);
  withSelection(ctx, plan, (selection) => {
    sink.begin(selection.labels, null);
    readFrom(ctx, selection, 0, (series, samples) => {
      const { values, starts } = samples;
      if (bits.buffer !== values.buffer) {
        bits = new Uint32Array(values.buffer as ArrayBuffer);
      }
      finder.find(samples);
      let count = 0;
      for (let k = 0; k < steps; k++) {
        const at = finder.last[k] - 1;
        const found = at >= finder.first[k] && !isStale(values, bits, at);
        out.flags[k] = found ? 1 : 0;
        out.values[k] = (starts?.[at] ?? 0) / 1000;
        count += out.flags[k];
      }
      if (count > 0) {
        out.filled(count);
        sendRow(sink, series, out, steps);
      }
      ctx.budget.spend(steps);
    });
    sink.end();
  });
}
