/**
 * @file How functions of range vectors tell of what they meet: the metric's name, and the place in
 * the text.
 */
import type { LabelTable } from '../../model/labels.js';
import type { Expr } from '../ast.js';
import type { EvalContext } from '../exec/context.js';
import { labelValue } from '../exec/label-sets.js';
import type { CallPlan } from '../plan.js';
import type { PairNote } from './histogram-pairs.js';

/**
 * Where a call's first argument stands. Prometheus evaluates a subquery into a selector that stands
 * nowhere: the text's beginning.
 */
export function placeOfArgument(node: CallPlan): Expr {
  const { expr } = node.args[0];
  return expr.kind === 'subquery' ? { ...expr, span: { start: 0, end: 0 } } : expr;
}

/** The metric name of a series, empty for none. */
export function nameOf(ctx: EvalContext, labels: LabelTable, series: number): string {
  return ctx.session.text(labelValue(labels, series, ctx.nameLabel));
}

/** Tells of the samples of a series. */
export function annotateRange(
  ctx: EvalContext,
  at: Expr,
  note: PairNote,
  of: { readonly labels: LabelTable; readonly series: number },
): void {
  const { annotations } = ctx;
  const metric = nameOf(ctx, of.labels, of.series);
  switch (note) {
    case 'mixedKinds':
      annotations.mixedFloatsAndHistograms(metric, at);
      break;
    case 'notACounter':
      annotations.notACounter(metric, at);
      break;
    case 'notAGauge':
      annotations.notAGauge(metric, at);
      break;
    case 'mixedSchemas':
      annotations.mixedSchemas(metric, at);
      break;
    case 'boundsSubtracted':
      annotations.boundsReconciled('subtraction', at);
      break;
    case 'boundsAdded':
      annotations.boundsReconciled('addition', at);
      break;
    case 'startOverlap':
      annotations.startOverlap(metric, at);
      break;
  }
}
