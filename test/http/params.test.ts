import { expect, test } from 'vitest';
import {
  parseDurationText,
  parseInteger,
  parseTime,
  unescapeLabelName,
} from '../../src/http/params.js';

test.for<[string, number | undefined]>([
  ['0', 0],
  ['1.5', 1500],
  ['-1.001', -1001],
  ['1435781451.781', 1435781451781],
  ['1e3', 1_000_000],
  ['9e99', 2 ** 53],
  ['-9e99', -(2 ** 53)],
  ['1e400', undefined],
  ['Inf', undefined],
  ['-0.0005', -1],
  ['1_0.5e0_1', 105_000],
  ['1__0', undefined],
  ['_1', undefined],
  ['1_.5', undefined],
  ['.5', 500],
  ['.', undefined],
  ['0x1.8p1', 3000],
  ['0x_1p4', 16_000],
  ['0xp4', undefined],
  ['1969-12-31T23:59:59.9995Z', 0],
  ['1970-01-01T1:00:00.0009Z', 3_600_000],
  ['1970-01-02T00:00:00+24:00', 0],
  ['1970-01-01T00:60:00Z', undefined],
  ['0001-01-01T00:00:00Z', -62135596800000],
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
  ['1_0', 10_000],
  ['1e-9', 1e-6],
  ['1e-10', 0],
])('the duration %j is %d ms', ([text, ms]) => {
  expect(parseDurationText(text)).toBe(ms);
});

test('what is not a duration is named', () => {
  expect(() => parseDurationText('5x')).toThrow('cannot parse "5x" to a valid duration');
  expect(() => parseDurationText('1e99')).toThrow(
    'cannot parse "1e99" to a valid duration. It overflows int64',
  );
  expect(() => parseDurationText('NaN')).toThrow('cannot parse "NaN" to a valid duration');
});

test.for<[string, number | string]>([
  ['007', 7],
  ['+1', 1],
  ['-9223372036854775808', Number.MIN_SAFE_INTEGER],
  ['9223372036854775807', Number.MAX_SAFE_INTEGER],
  ['9223372036854775808', 'value out of range'],
  ['-9223372036854775809', 'value out of range'],
  ['1.0', 'invalid syntax'],
  ['', 'invalid syntax'],
])('the integer %j is %s', ([text, want]) => {
  expect(parseInteger(text)).toBe(want);
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
