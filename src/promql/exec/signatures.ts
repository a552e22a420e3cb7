/**
 * @file Which series of two vectors match: equal ids of the labels that matching looks at.
 */
import type { LabelTable } from '../../model/labels.js';
import type { VectorMatching } from '../ast.js';
import type { EvalContext } from './context.js';
import { LabelIndex, LabelScratch } from './label-sets.js';
import { noSeries } from './rows.js';

/** The matching groups of two vectors: series of both sides with the same number match. */
export interface Signatures {
  readonly count: number;
  /** The group of each series on the left. */
  readonly left: Uint32Array;
  readonly right: Uint32Array;
  /** The labels that each group has in common. */
  readonly labels: LabelTable;
}

export function matchSignatures(
  ctx: EvalContext,
  left: LabelTable,
  right: LabelTable,
  matching: VectorMatching,
): Signatures {
  const names = new Set(matching.labels.map((label) => ctx.session.intern(label)));
  if (!matching.on) {
    names.add(ctx.nameLabel);
  }
  const index = new LabelIndex();
  const scratch = new LabelScratch();
  const groupsOf = (labels: LabelTable): Uint32Array => {
    const groups = new Uint32Array(labels.count);
    for (let i = 0; i < labels.count; i++) {
      scratch.project(labels, i, names, matching.on);
      groups[i] = index.add(scratch);
    }
    return groups;
  };
  const leftGroups = groupsOf(left);
  const rightGroups = groupsOf(right);
  return { count: index.count, left: leftGroups, right: rightGroups, labels: index.table() };
}

/** Whether two series of a vector are in one matching group. */
export function hasTwins(ctx: EvalContext, labels: LabelTable, matching: VectorMatching): boolean {
  const { count } = matchSignatures(ctx, labels, noSeries, matching);
  return count < labels.count;
}

/** Series by group: those of group `g` are `series[offsets[g] .. offsets[g + 1])`, ascending. */
export interface SeriesByGroup {
  readonly offsets: Uint32Array;
  readonly series: Uint32Array;
}

export function seriesByGroup(groups: Uint32Array, count: number): SeriesByGroup {
  const offsets = new Uint32Array(count + 1);
  for (const group of groups) {
    offsets[group + 1]++;
  }
  for (let g = 0; g < count; g++) {
    offsets[g + 1] += offsets[g];
  }
  const next = offsets.slice();
  const series = new Uint32Array(groups.length);
  for (let i = 0; i < groups.length; i++) {
    series[next[groups[i]]++] = i;
  }
  return { offsets, series };
}
