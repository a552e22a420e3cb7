/**
 * @file `label_replace` and `label_join`.
 *
 * Follow `evalLabelReplace` and `evalLabelJoin` in Prometheus' `promql/functions.go` (3.14): they
 * act on whole series, and series that become equal merge unless they meet at a step.
 */
import { MetricstorError } from '../../errors.js';
import type { EvalContext } from '../exec/context.js';
import { LabelScratch, labelValue } from '../exec/label-sets.js';
import { mergeEqual } from '../exec/names.js';
import { type Grid, type RowSink, sendGrid } from '../exec/rows.js';
import type { CallPlan, Plan } from '../plan.js';
import type { Implementation } from './implementation.js';

/** Any text but the empty one; bytes that are not UTF-8 have become U+FFFD. */
export function isLabelName(name: string): boolean {
  return name !== '' && !name.includes('\ufffd');
}

/** The text of a string argument. */
export function stringArgument(node: Plan): string {
  if (node.kind !== 'string') {
    throw new MetricstorError('internal', `expected a string, got ${node.kind}`);
  }
  return node.value;
}

/** The new value id of the label of a series, or undefined to leave the series alone. */
type Relabel = (grid: Grid, series: number) => number | undefined;

function relabelRows(
  ctx: EvalContext,
  node: CallPlan,
  sink: RowSink,
  label: string,
  relabel: Relabel,
): void {
  const input = ctx.grid(node.args[0], 'take');
  const name = ctx.session.intern(label);
  const { count } = input.labels;
  const offsets = new Uint32Array(count + 1);
  const parts: Uint32Array[] = [];
  const scratch = new LabelScratch();
  const dropName = input.dropName?.slice() ?? null;
  for (let i = 0; i < count; i++) {
    const value = relabel(input, i);
    scratch.load(input.labels, i);
    if (value !== undefined) {
      scratch.set(ctx.session, name, value);
      if (label === '__name__' && dropName !== null) {
        dropName[i] = 0;
      }
    }
    parts.push(scratch.ids.slice(0, scratch.length));
    offsets[i + 1] = offsets[i] + scratch.length;
  }
  const ids = new Uint32Array(offsets[count]);
  parts.forEach((part, i) => {
    ids.set(part, offsets[i]);
  });
  sendGrid(mergeEqual(ctx, { ...input, labels: { count, ids, offsets }, dropName }), sink);
  ctx.release(input);
}

function checkLabelName(name: string, what: string, fn: string): void {
  if (!isLabelName(name)) {
    throw new MetricstorError('execution', `invalid ${what} label name in ${fn}(): ${name}`);
  }
}

const labelReplace: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [destination, template, source, pattern] = node.args.slice(1).map(stringArgument);
    const regex = compile(ctx, pattern);
    checkLabelName(destination, 'destination', 'label_replace');
    const sourceId = ctx.session.intern(source);
    // Series of one selector often share the value.
    const known = new Map<number, number | undefined>();
    relabelRows(ctx, node, sink, destination, (grid, series) => {
      const from = labelValue(grid.labels, series, sourceId);
      if (!known.has(from)) {
        const text = regex.replace(ctx.session.text(from), template);
        known.set(from, text === undefined ? undefined : ctx.session.intern(text));
      }
      return known.get(from);
    });
  },
};

function compile(ctx: EvalContext, pattern: string): ReturnType<EvalContext['session']['regex']> {
  try {
    return ctx.session.regex(pattern);
  } catch (cause) {
    if (cause instanceof MetricstorError && cause.code === 'bad_data') {
      const text = `invalid regular expression in label_replace(): ${pattern}`;
      throw new MetricstorError('execution', text, { cause });
    }
    throw cause;
  }
}

const labelJoin: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [destination, separator, ...sources] = node.args.slice(1).map(stringArgument);
    for (const source of sources) {
      checkLabelName(source, 'source', 'label_join');
    }
    checkLabelName(destination, 'destination', 'label_join');
    const ids = sources.map((source) => ctx.session.intern(source));
    relabelRows(ctx, node, sink, destination, (grid, series) => {
      const values = ids.map((id) => ctx.session.text(labelValue(grid.labels, series, id)));
      return ctx.session.intern(values.join(separator));
    });
  },
};

/**
 * Natural order, as in `facette/natsort`: runs of digits compare as numbers, however long they are.
 * Texts that differ in leading zeros alone compare as text. Less than 0 if `a` comes first.
 */
export function naturalOrder(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? [];
  const right = b.match(/\d+|\D+/g) ?? [];
  const common = Math.min(left.length, right.length);
  for (let i = 0; i < common; i++) {
    const order =
      /^\d/.test(left[i]) && /^\d/.test(right[i])
        ? numberOrder(left[i], right[i])
        : byteOrder(left[i], right[i]);
    if (order !== 0) {
      return order;
    }
  }
  return left.length - right.length || byteOrder(a, b);
}

/** Order of two runs of digits as numbers. */
function numberOrder(a: string, b: string): number {
  const [left, right] = [a, b].map((digits) => digits.replace(/^0+/, ''));
  return left.length - right.length || byteOrder(left, right);
}

/** Order by the bytes of UTF-8, which is not that of UTF-16. */
function byteOrder(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}

export const labelFunctions = {
  label_join: labelJoin,
  label_replace: labelReplace,
} satisfies Record<string, Implementation>;
