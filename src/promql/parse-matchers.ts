/**
 * @file The braces of a selector.
 */
import type { MatchOp } from '../storage/querier.js';
import type { PlacedMatcher } from './ast.js';
import type { TokenStream } from './token-stream.js';
import { unquote } from './unquote.js';

const matchOps: ReadonlySet<string> = new Set(['=', '!=', '=~', '!~']);

/** Reads `{…}`. A lone string in it is the metric name. */
export function parseMatchers(tokens: TokenStream): PlacedMatcher[] {
  tokens.next();
  const matchers: PlacedMatcher[] = [];
  while (!tokens.takePunctuation('}')) {
    matchers.push(parseMatcher(tokens));
    if (!tokens.takePunctuation(',') && tokens.peek().text !== '}') {
      tokens.unexpected('label matching', '"," or "}"');
    }
  }
  return matchers;
}

function parseMatcher(tokens: TokenStream): PlacedMatcher {
  const label = tokens.peek();
  if (label.type !== 'identifier' && label.type !== 'string') {
    tokens.unexpected('label matching', 'identifier or "}"');
  }
  tokens.next();
  const quoted = label.type === 'string';
  const name = quoted ? unquote(label.text) : label.text;
  const op = tokens.peek();
  if (op.type !== 'operator' || !matchOps.has(op.text)) {
    if (quoted) {
      const span = { start: label.start, end: label.end };
      return { name: '__name__', op: '=', value: name, span };
    }
    return tokens.unexpected('label matching', 'label matching operator');
  }
  tokens.next();
  const value = tokens.peek();
  if (value.type !== 'string') {
    return tokens.unexpected('label matching', 'string');
  }
  tokens.next();
  const span = { start: label.start, end: value.end };
  return { name, op: op.text as MatchOp, value: unquote(value.text), span };
}
