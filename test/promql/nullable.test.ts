import { expect, test } from 'vitest';
import { isNullable, matchesEmpty } from '../../src/promql/nullable.js';

test.each([
  ['', true],
  ['a', false],
  ['a*', true],
  ['a+', false],
  ['(a|b?)c', false],
  ['(a|b?)', true],
  ['|a', true],
  ['a{0,3}', true],
  ['a{1,3}', false],
  ['[a-z]', false],
  ['[]a]*', true],
  ['[^]a]', false],
  ['[[:alpha:]]?', true],
  ['(?i)', true],
  ['(?i:a)?', true],
  ['(?P<n>x*)', true],
  ['^$', true],
  ['\\Qa*\\E', false],
  ['\\Q\\E', true],
  ['\\p{Greek}', false],
  ['\\x{41}?', true],
  ['.*', true],
  ['.+', false],
  ['(((a*)*)*)+', true],
])('%j may be empty: %s', (pattern, nullable) => {
  expect(isNullable(pattern)).toBe(nullable);
});

test.each(['(', 'a)', '*', 'a|+', '[a', 'a\\', 'a**', 'a{2}{3}', '(a', '(?:a|b'])(
  '%j is no pattern, so it is for the engine to refuse',
  (value) => {
    expect(matchesEmpty({ name: 'a', op: '=~', value })).toBe(false);
    expect(matchesEmpty({ name: 'a', op: '!~', value })).toBe(false);
  },
);

test.each(['a*?', 'a??', 'a{0,1}?', '(?i)a?', '\\(?', '[(]*', '\\Q(\\E?'])(
  '%j is a pattern',
  (value) => {
    expect(matchesEmpty({ name: 'a', op: '=~', value })).toBe(true);
    expect(matchesEmpty({ name: 'a', op: '!~', value })).toBe(false);
  },
);
