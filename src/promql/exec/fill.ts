/**
 * @file `fill`, `fill_left` and `fill_right`: series that stand in for missing ones, so that a join
 * knows nothing of filling.
 *
 * Follows the fill values of `VectorBinop` in Prometheus' `promql/engine.go` (3.14): where a
 * matching group has series on one side of a step alone, the other side counts as a series with the
 * group's labels and the given value. The "one" side of a group is alone also where none of the
 * pairs has a result, as floats and histograms may not, which is known when all are done.
 */
import type { EvalContext } from './context.js';
import { concatLabels, selectSeries } from './label-sets.js';
import type { Grid } from './rows.js';
import type { Signatures } from './signatures.js';

/** Two sides of a join, and which of their series match. */
export interface Matched {
  /** The left of `match`. */
  readonly many: Grid;
  readonly one: Grid;
  readonly match: Signatures;
}

/** What stands in for what is missing on a side; undefined for nothing. */
export interface FillValues {
  readonly many: number | undefined;
  readonly one: number | undefined;
}

/**
 * Both sides with their stand-ins behind the other series: those of the many side have a value
 * wherever the one side has. The budget holds the bytes returned.
 */
export function fillMissing(
  ctx: EvalContext,
  { many, one, match }: Matched,
  values: FillValues,
): Matched & { readonly bytes: number } {
  const manyHas = groupFlags(many, match.left, match.count);
  const oneHas = groupFlags(one, match.right, match.count);
  const filledMany = standIns(oneHas, many.steps, values.many);
  const missing = manyHas.map((has, cell) => has & ~oneHas[cell]);
  const filledOne = standIns(missing, one.steps, values.one);
  const grids = {
    many: extended(many, filledMany, match),
    one: extended(one, filledOne, match),
  };
  const left = Uint32Array.of(...match.left, ...filledMany.groups);
  const right = Uint32Array.of(...match.right, ...filledOne.groups);
  const bytes = (grids.many.values.length + grids.one.values.length) * 9;
  ctx.budget.hold(bytes, 0);
  return { ...grids, match: { ...match, left, right }, bytes };
}

/** Where a group has a value: group `g` owns `[g * steps, (g + 1) * steps)`. */
function groupFlags({ steps, present }: Grid, groups: Uint32Array, count: number): Uint8Array {
  const flags = new Uint8Array(count * steps);
  groups.forEach((group, i) => {
    for (let k = 0; k < steps; k++) {
      flags[group * steps + k] |= present === null ? 1 : present[i * steps + k];
    }
  });
  return flags;
}

/** The groups that need a stand-in, and its flags, one row a group. */
interface StandIns {
  readonly value: number;
  readonly groups: number[];
  readonly flags: Uint8Array[];
}

/** Stand-ins at the flagged steps. */
function standIns(wanted: Uint8Array, steps: number, value: number | undefined): StandIns {
  const found: StandIns = { value: value ?? NaN, groups: [], flags: [] };
  for (let from = 0; value !== undefined && from < wanted.length; from += steps) {
    const flags = wanted.slice(from, from + steps);
    if (flags.includes(1)) {
      found.groups.push(from / steps);
      found.flags.push(flags);
    }
  }
  return found;
}

function extended(grid: Grid, { value, groups, flags }: StandIns, match: Signatures): Grid {
  const { steps, labels } = grid;
  const before = labels.count * steps;
  const cells = before + groups.length * steps;
  const values = new Float64Array(cells).fill(value);
  values.set(grid.values.subarray(0, before));
  const present = new Uint8Array(cells).fill(1);
  present.set(grid.present?.subarray(0, before) ?? []);
  flags.forEach((row, i) => {
    present.set(row, before + i * steps);
  });
  const all = concatLabels(labels, selectSeries(match.labels, groups));
  return { ...grid, labels: all, values, present };
}
