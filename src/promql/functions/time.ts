/**
 * @file Functions of times: `time`, `timestamp` and the parts of a UTC date.
 */

import { emptyLabels } from '../exec/label-sets.js';
import { droppingNames } from '../exec/names.js';
import { emptyGrid, sendGrid } from '../exec/rows.js';
import { selectorRows } from '../exec/selector.js';
import { startRows } from '../exec/start-lookback.js';
import { type CivilTime, civilTime, daysInMonth } from './civil.js';
import type { Implementation, RowMap } from './implementation.js';

/** What a date function reads. */
type DatePart = (time: CivilTime) => number;

/** The part of each value as seconds since 1970, cut to whole ones; the evaluation time's alone. */
function dateFunction(part: DatePart): Implementation {
  const map: RowMap = (from, base, to) => {
    for (let k = 0; k < to.length; k++) {
      to[k] = part(civilTime(from[base + k]));
    }
  };
  return {
    kind: 'rows',
    rows: (ctx, node, sink) => {
      const { startMs, stepMs, steps } = node.grid;
      const values = new Float64Array(steps);
      const out = { values, base: 0, present: null as Uint8Array | null, presentBase: 0 };
      const [arg] = node.args;
      if (arg === undefined) {
        const times = values.map((_, k) => Math.trunc((startMs + k * stepMs) / 1000));
        map(times, 0, values);
        sink.begin(emptyLabels, null);
        sink.row(0, out);
        sink.end();
        return;
      }
      const target = droppingNames(ctx, sink, steps);
      ctx.rows(arg, {
        histograms: 'skip',
        begin: (labels, dropName) => target.begin(labels, dropName),
        row: (series, row) => {
          map(row.values, row.base, values);
          out.present = row.present;
          out.presentBase = row.presentBase;
          target.row(series, out);
        },
        end: () => target.end(),
      });
    },
  };
}

const time: Implementation = {
  kind: 'scalar',
  evaluate: (_ctx, node) => {
    const { startMs, stepMs, steps } = node.grid;
    return new Float64Array(steps).map((_, k) => (startMs + k * stepMs) / 1000);
  },
};

/** The sample's time for a bare selector, the evaluation time for anything else. */
const timestamp: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [arg] = node.args;
    const { startMs, stepMs, steps } = node.grid;
    const target = droppingNames(ctx, sink, steps);
    if (arg.kind === 'selector') {
      selectorRows(ctx, arg, target, 'timestamp');
      return;
    }
    const values = new Float64Array(steps).map((_, k) => (startMs + k * stepMs) / 1000);
    ctx.rows(arg, {
      histograms: 'take',
      begin: (labels, dropName) => target.begin(labels, dropName),
      row: (series, { present, presentBase }) =>
        target.row(series, { values, base: 0, present, presentBase }),
      end: () => target.end(),
    });
  },
};

/**
 * What the sample of a bare selector says of its counter's start, 0 where that is nothing. No
 * series for anything else, and, as in Prometheus, where start timestamps are not in use.
 */
const startTimestamp: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [arg] = node.args;
    if (ctx.startTimestamps && arg.kind === 'selector') {
      startRows(ctx, arg, droppingNames(ctx, sink, node.grid.steps));
      return;
    }
    ctx.release(ctx.grid(arg, 'take'));
    sendGrid(emptyGrid(node.grid.steps), sink);
  },
};

export const timeFunctions = {
  day_of_month: dateFunction((time) => time.day),
  day_of_week: dateFunction((time) => time.weekday),
  day_of_year: dateFunction((time) => time.yearDay),
  days_in_month: dateFunction((time) => daysInMonth(time.year, time.month)),
  hour: dateFunction((time) => time.hour),
  minute: dateFunction((time) => time.minute),
  month: dateFunction((time) => time.month),
  start_timestamp: startTimestamp,
  time,
  timestamp,
  year: dateFunction((time) => time.year),
} satisfies Record<string, Implementation>;
