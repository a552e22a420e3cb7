/**
 * @file Text of a PromQL expression to its checked syntax tree.
 *
 * `lex.ts` splits the text into tokens, lezer finds the structure (`@prometheus-io/lezer-promql`
 * over the text of `spelling.ts`), `expressions.ts` builds the tree and binds operators anew,
 * `check.ts` types it. Error texts and positions are Prometheus' (3.14): the first thing that its
 * parser would complain about.
 */
import { MetricstorError } from '../errors.js';
import type { LabelMatcher } from '../storage/querier.js';
import type { Expr } from './ast.js';
import { check, checkSelector } from './check.js';
import { buildExpression } from './parse/expressions.js';
import { lex } from './parse/lex.js';
import { Source } from './parse/source.js';
import { spell } from './parse/spelling.js';
import { structureOf } from './parse/structure.js';
import type { Token } from './parse/tokens.js';

export { maxDepth } from './parse/spelling.js';

/** Longer queries are refused: parsing is linear, but every position costs memory. */
export const maxQueryLength = 256 * 1024;

/** Parses and checks one expression. Throws `bad_data` with Prometheus' text and `line:col`. */
export function parseQuery(text: string): Expr {
  const tokens = tokensOf(text);
  if (tokens[0]?.type === 'end') {
    const where = text === '' ? 'unknown position' : '1:1';
    throw new MetricstorError('bad_data', `${where}: parse error: no expression found in input`);
  }
  const expr = build(text, tokens);
  check(expr, text);
  return expr;
}

/** Parses one vector selector, as in `match[]`. Throws `bad_data`. */
export function parseSelector(text: string): readonly LabelMatcher[] {
  const tokens = tokensOf(text);
  const end = selectorEnd(tokens);
  const last = tokens[end] as Token;
  if (end === 0) {
    new Source(text, tokens).unexpected(last.start);
  }
  // What follows the selector only counts if the selector itself is right.
  const selector = build(text, [...tokens.slice(0, end), { ...last, type: 'end' }]);
  if (last.type !== 'end' || selector.kind !== 'selector') {
    return new Source(text, tokens).unexpected(last.start);
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
  const { type } = tokens[0] as Token;
  const named = type === 'end' || type === 'error' || type === 'punctuation' ? 0 : 1;
  if (tokens[named]?.text !== '{') {
    return named;
  }
  const close = tokens.findIndex(({ text }) => text === '}');
  return close < 0 ? tokens.length - 1 : close + 1;
}
