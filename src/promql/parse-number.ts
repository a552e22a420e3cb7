/**
 * @file Number and duration tokens to values.
 */
import { parseDuration } from '../model/duration.js';
import { goQuote } from './position.js';
import type { TokenStream } from './token-stream.js';
import type { Token } from './tokens.js';

/** The value of a number token, or the seconds of a duration token. */
export function parseNumber(tokens: TokenStream, token: Token): number {
  if (token.type === 'duration') {
    const ms = parseDuration(token.text);
    if (ms === undefined) {
      const text = `not a valid duration string: ${goQuote(token.text)}`;
      return tokens.fail(token.start, text);
    }
    return ms / 1000;
  }
  const digits = token.text.replaceAll('_', '');
  const lower = digits.toLowerCase();
  if (lower === 'inf') {
    return Infinity;
  }
  if (lower === 'nan') {
    return NaN;
  }
  if (/^0[0-7]+$/.test(digits)) {
    return Number.parseInt(digits, 8);
  }
  return Number(digits);
}
