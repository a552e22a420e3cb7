/**
 * @file Text of a PromQL expression to its checked syntax tree.
 *
 * `lex.ts` splits the text into tokens, lezer finds the structure (`@prometheus-io/lezer-promql`
 * over the text of `spelling.ts`), `expressions.ts` builds the tree and binds operators anew,
 * `check.ts` types it. Error texts and positions are Prometheus' (3.14): the first thing that its
 * parser would complain about.
 */
import { MetricstorError } from '../errors.js';
import type { Expr, PlacedMatcher } from './ast.js';
import { check, checkSelector } from './check.js';
import { buildExpression } from './parse/expressions.js';
import { lex } from './parse/lex.js';
import { Source } from './parse/source.js';
import { spell } from './parse/spelling.js';
import { structureOf } from './parse/structure.js';
import { describeToken, type Token } from './parse/tokens.js';
import { parseError } from './position.js';

export { maxDepth } from './parse/spelling.js';

/** Longer queries are refused: parsing is linear, but every position costs memory. */
export const maxQueryLength = 256 * 1024;

/** Parses and checks one expression. Throws `bad_data` with Prometheus' text and `line:col`. */
export function parseQuery(text: string): Expr {
  const tokens = tokensOf(text);
  if (tokens[0]?.type === 'end') {
    throw parseError(text, 0, 'no expression found in input');
  }
  const expr = build(text, tokens);
  check(expr, text);
  return expr;
}

/** Parses one vector selector, as in `match[]`. Throws `bad_data`. */
export function parseSelector(text: string): readonly PlacedMatcher[] {
  const tokens = tokensOf(text);
  const end = selectorEnd(tokens);
  const behind = tokens[end] as Token;
  const unexpected = `unexpected ${describeToken(behind)}`;
  if (end === 0 && behind.type !== 'error') {
    throw parseError(text, behind.start, unexpected);
  }
  // What stands behind the selector only counts if the selector itself is right.
  const isLast = end === tokens.length - 1;
  const own = isLast ? tokens : [...tokens.slice(0, end), { ...behind, type: 'end' as const }];
  const selector = build(text, own);
  if (!isLast || selector.kind !== 'selector') {
    throw parseError(text, behind.start, unexpected);
  }
  checkSelector(selector, text);
  return selector.matchers;
}

function tokensOf(text: string): readonly Token[] {
  if (text.length > maxQueryLength) {
    throw new MetricstorError(
      'bad_data',
      `query is ${text.length} characters long, at most ${maxQueryLength} are allowed`,
    );
  }
  return lex(text);
}

function build(text: string, tokens: readonly Token[]): Expr {
  const { tree, broken } = structureOf(spell(text, tokens), tokens);
  const source = new Source(text, tokens, broken);
  const { firstChild } = tree.topNode;
  const expr = firstChild === null ? source.unexpected(0) : buildExpression(source, firstChild);
  source.finish();
  return expr;
}

/** Index of the first token that cannot belong to a selector: a name, then braces. */
function selectorEnd(tokens: readonly Token[]): number {
  const named = /^[A-Za-z_:]/.test(tokens[0]?.text ?? '') && !isNumber(tokens[0]) ? 1 : 0;
  if (tokens[named]?.text !== '{') {
    return named;
  }
  const close = tokens.findIndex(({ text }) => text === '}');
  return close < 0 ? tokens.length - 1 : close + 1;
}

function isNumber(token: Token | undefined): boolean {
  return token?.type === 'number';
}
