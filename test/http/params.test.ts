import { expect, test } from 'vitest';
import { parseDurationText, parseTime, unescapeLabelName } from '../../src/http/params.js';

test.for<[string, number | undefined]>([
  ['0', 0],
  ['1.5', 1500],
  ['-1.001', -1001],
  ['1435781451.781', 1435781451781],
  ['1e3', 1_000_000],
  ['9e99', 2 ** 53],
  ['-9e99', -(2 ** 53)],
  ['2015-07-01T20:10:51.781Z', 1435781451781],
  ['2015-07-01T22:10:51.7819+02:00', 1435781451781],
  ['2015-07-01T20:10:51', undefined],
  ['2015-02-30T20:10:51Z', undefined],
  ['2015-07-01', undefined],
  ['', undefined],
  [' 1', undefined],
  ['0x10', undefined],
  ['NaN', undefined],
  ['now', undefined],
])('the time %j is %j', ([text, ms]) => {
  expect(parseTime(text)).toBe(ms);
});

test.for<[string, number]>([
  ['15', 15_000],
  ['0.5', 500],
  ['-1', -1000],
  ['5m', 300_000],
  ['1h30m', 5_400_000],
])('the duration %j is %d ms', ([text, ms]) => {
  expect(parseDurationText(text)).toBe(ms);
});

test('what is not a duration is named', () => {
  expect(() => parseDurationText('5x')).toThrow('cannot parse "5x" to a valid duration');
  expect(() => parseDurationText('1e99')).toThrow(
    'cannot parse "1e99" to a valid duration. It overflows int64',
  );
});

test.for([
  ['job', 'job'],
  ['U__a_2e_b', 'a.b'],
  ['U__with__under', 'with_under'],
  ['U___1F600_', '😀'],
  ['U__bad_', 'U__bad_'],
  ['U___d800_', 'U___d800_'],
  ['U__', ''],
])('the label name %s in a path is %s', ([escaped, name]) => {
  expect(unescapeLabelName(escaped)).toBe(name);
});
