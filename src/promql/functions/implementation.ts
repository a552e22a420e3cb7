/**
 * @file The forms that a function's implementation can have.
 */
import type { EvalContext } from '../exec/context.js';
import type { RowSink } from '../exec/rows.js';
import type { WindowFunction } from '../exec/window.js';
import type { CallPlan } from '../plan.js';

/** Sets `to[k]` from `from[base + k]` for every step; cells without a value may hold anything. */
export type RowMap = (from: Float64Array, base: number, to: Float64Array) => void;

export type Implementation =
  /** Over the windows of the range vector argument; scalar arguments go to the kernel in order. */
  | { readonly kind: 'window'; make(ctx: EvalContext, node: CallPlan): WindowFunction }
  /** Value by value over the first argument, a vector, which loses its name. */
  | { readonly kind: 'map'; make(ctx: EvalContext, node: CallPlan): RowMap }
  /** Anything else that gives a vector. */
  | { readonly kind: 'rows'; rows(ctx: EvalContext, node: CallPlan, sink: RowSink): void }
  /** Gives a scalar: a value a step. */
  | { readonly kind: 'scalar'; evaluate(ctx: EvalContext, node: CallPlan): Float64Array };

/** A `map` of a plain function of one number. */
export function numeric(fn: (value: number) => number): Implementation {
  return {
    kind: 'map',
    make: () => (from, base, to) => {
      for (let k = 0; k < to.length; k++) {
        to[k] = fn(from[base + k]);
      }
    },
  };
}
