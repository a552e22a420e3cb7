/**
 * @file The scripts of `test/conformance/scripts` over HTTP: the real binary, samples pushed by
 * remote_write, every `eval` asked of the query API.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { defaultFeatures } from '../../src/model/promql-features.js';
import { httpTarget } from '../conformance/script/http-target.js';
import { parseScript } from '../conformance/script/parse.js';
import { runScript, type StartTarget } from '../conformance/script/run.js';
import { startServer, temporaryDirectory } from '../support/server.js';

const folder = new URL('../conformance/scripts/', import.meta.url);

/** A server without data, for the samples of one script. */
const startBinary: StartTarget = async (features) => {
  const directory = temporaryDirectory('script');
  const server = await startServer({
    dataDir: directory.path,
    env: {
      METRICSTOR_PROMQL_FEATURES: [...defaultFeatures, ...features].join(','),
      // The samples are of 1970.
      METRICSTOR_RETENTION_DAYS: '36500',
    },
  });
  return httpTarget(server.url, async () => {
    // Nothing of it is wanted any more: a flush would be waited for.
    await server.kill();
    directory.remove();
  });
};

test.concurrent.each(readdirSync(folder))('%s gives what it says', async (file) => {
  const script = parseScript(readFileSync(new URL(file, folder), 'utf8'));
  expect(await runScript(script, startBinary)).toEqual([]);
});
