import { expect, test } from 'vitest';
import { parseArguments, UsageError } from '../../src/cli/arguments.js';
import { missingPoolSize } from '../../src/cli/launch.js';

test.for<[string[], string, string | undefined]>([
  [[], 'serve', undefined],
  [['serve', '--config', 'a.yml'], 'serve', 'a.yml'],
  [['-c', 'a.yml'], 'serve', 'a.yml'],
  [['check-config', '--config=a.yml'], 'check-config', 'a.yml'],
  [['version'], 'version', undefined],
  [['--version'], 'version', undefined],
  [['serve', '--help'], 'help', undefined],
  [['help'], 'help', undefined],
])('%j is %s with file %s', ([parameters, command, configFile]) => {
  expect(parseArguments(parameters, {})).toEqual({ command, configFile });
});

test.for([[['run']], [['serve', 'twice']], [['--port', '1']], [['--config']]])(
  '%j is wrong usage',
  ([parameters]) => {
    expect(() => parseArguments(parameters, {})).toThrow(UsageError);
  },
);

test('a file on the command line wins over the one in the environment', () => {
  const environment = { METRICSTOR_CONFIG: 'env.yml' };
  expect(parseArguments([], environment).configFile).toBe('env.yml');
  expect(parseArguments(['-c', 'own.yml'], environment).configFile).toBe('own.yml');
});

test('the pool grows with the machine, unless its size was chosen', () => {
  expect(missingPoolSize({}, 2)).toBeUndefined();
  expect(missingPoolSize({}, 4)).toBeUndefined();
  expect(missingPoolSize({}, 16)).toBe(16);
  expect(missingPoolSize({ UV_THREADPOOL_SIZE: '2' }, 16)).toBeUndefined();
});
