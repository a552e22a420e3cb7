/**
 * @file Which operands an operator takes: precedence over a flat sequence of operands, signs,
 * infix operators and what stands behind an operand.
 *
 * lezer's grammar lets ranges, `offset` and `@` take a whole binary expression (`a + b offset 5m`
 * becomes `(a + b) offset 5m`), and reads `-1^2` as `(-1)^2`. The order of the parts is right
 * though, so they are laid out in a row and bound anew, as Haskell resolves fixity after parsing
 * (Haskell 2010 report, section 10.6). Parentheses, calls and aggregations are operands.
 *
 * Follows the precedences of Prometheus' `generated_parser.y` (3.14), loosest first: `or`; `and`
 * `unless`; comparisons; `+` `-`; `*` `/` `%` `atan2` and signs; `^`, to the right; what stands
 * behind an operand.
 */

/** How tightly an infix operator binds; a higher number is tighter. */
export const precedences: Readonly<Record<string, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '>': 3,
  '<=': 3,
  '>=': 3,
  '</': 3,
  '>/': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': 6,
};

const signPrecedence = 5;
const powerPrecedence = 6;

export interface Sign {
  readonly word: '+' | '-';
  readonly start: number;
}

/** What operators make of operands; called in the order of Prometheus' parser. */
export interface Operations<T, Infix> {
  sign(sign: Sign, operand: T): T;
  infix(operator: Infix, left: T, right: T): T;
  /** Complains that an operand is missing, which only an error can have left out. */
  missing(): never;
}

type Pending<Infix> =
  | { readonly kind: 'sign'; readonly binds: number; readonly sign: Sign }
  | { readonly kind: 'infix'; readonly binds: number; readonly operator: Infix };

/** Takes the parts from left to right; signs and operands must alternate with infix operators. */
export class Binding<T, Infix> {
  private readonly operands: T[] = [];
  private readonly pending: Pending<Infix>[] = [];

  constructor(private readonly operations: Operations<T, Infix>) {}

  sign(sign: Sign): void {
    this.pending.push({ kind: 'sign', binds: signPrecedence, sign });
  }

  operand(operand: T): void {
    this.operands.push(operand);
  }

  /** Replaces the last operand, which is how what stands behind it binds tightest. */
  behind(change: (operand: T) => T): void {
    this.operands.push(change(this.take()));
  }

  /** `binds` is of `precedences`. */
  infix(operator: Infix, binds: number): void {
    // Only `^` waits for an operator of its own precedence.
    this.reduce(binds === powerPrecedence ? binds + 1 : binds);
    this.pending.push({ kind: 'infix', binds, operator });
  }

  finish(): T {
    this.reduce(0);
    return this.take();
  }

  /** Applies the waiting operators that bind at least as tightly. */
  private reduce(least: number): void {
    for (;;) {
      const top = this.pending.at(-1);
      if (top === undefined || top.binds < least) {
        return;
      }
      this.pending.pop();
      const right = this.take();
      this.operands.push(
        top.kind === 'sign'
          ? this.operations.sign(top.sign, right)
          : this.operations.infix(top.operator, this.take(), right),
      );
    }
  }

  private take(): T {
    return this.operands.pop() ?? this.operations.missing();
  }
}
