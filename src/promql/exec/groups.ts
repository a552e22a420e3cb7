/**
 * @file Which series an aggregation puts together, decided by label ids.
 */
import type { LabelTable } from '../../model/labels.js';
import type { Aggregate } from '../ast.js';
import type { EvalContext } from './context.js';
import { LabelIndex, LabelScratch } from './label-sets.js';

/** The groups of a table's series. */
export interface Groups {
  /** The labels that a group answers with. */
  readonly labels: LabelTable;
  /** The group of each series. */
  readonly of: Uint32Array;
}

/**
 * Groups series by (or without) labels, comparing ids. Metric names that are `dropped` count as
 * not there.
 */
export function groupSeries(
  ctx: EvalContext,
  labels: LabelTable,
  by: Aggregate,
  metricNames: 'kept' | 'dropped' = 'kept',
): Groups {
  const names = new Set(by.grouping.map((name) => ctx.session.intern(name)));
  if (by.without) {
    names.add(ctx.nameLabel);
  }
  for (const name of metricNames === 'dropped' ? ctx.metadataLabels : []) {
    if (by.without) {
      names.add(name);
    } else {
      names.delete(name);
    }
  }
  const index = new LabelIndex();
  const scratch = new LabelScratch();
  const of = new Uint32Array(labels.count);
  for (let i = 0; i < labels.count; i++) {
    scratch.project(labels, i, names, !by.without);
    of[i] = index.add(scratch);
  }
  return { labels: index.table(), of };
}
