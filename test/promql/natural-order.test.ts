import { expect, test } from 'vitest';
import { naturalOrder } from '../../src/promql/functions/label.js';

test.for<[string, string]>([
  ['', 'a'],
  ['a', 'b'],
  ['a2', 'a10'],
  ['9', '10'],
  ['a', 'a1'],
  ['a1', 'a1b'],
  ['1.9', '1.10'],
  ['9007199254740992', '9007199254740993'],
  // Longer numbers are numbers, too.
  ['3', '100000000000000000000'],
  ['99999999999999999999', '100000000000000000000'],
  // Leading zeros decide where nothing else does.
  ['a007b1', 'a7b2'],
  ['007', '7'],
  // Text is ordered by bytes, where U+FFxx comes before an emoji.
  ['\uff01', '😀'],
])('%s comes before %s', ([first, second]) => {
  expect(naturalOrder(first, second)).toBeLessThan(0);
  expect(naturalOrder(second, first)).toBeGreaterThan(0);
});

test('what is the same is equal', () => {
  expect(naturalOrder('a1', 'a1')).toBe(0);
});
