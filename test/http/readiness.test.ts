import { afterEach, expect, test } from 'vitest';
import { buildHealthApp } from '../../src/http/health-app.js';
import { Readiness } from '../../src/telemetry/readiness.js';

const readiness = new Readiness();
const app = buildHealthApp(readiness);
afterEach(() => app.close());

test('a server is alive before it is ready, and not ready once it stops', async () => {
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const status = async (path: string) => (await fetch(`${url}${path}`)).status;
  expect([await status('/-/healthy'), await status('/-/ready')]).toEqual([200, 503]);
  readiness.change('ready');
  expect([await status('/-/healthy'), await status('/-/ready')]).toEqual([200, 200]);
  readiness.change('stopping');
  expect([await status('/-/healthy'), await status('/-/ready')]).toEqual([200, 503]);
});
