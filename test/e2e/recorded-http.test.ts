/**
 * @file The recorded answers over HTTP: the real binary, the data set pushed by remote_write in the
 * order in which it arrives, and every question asked of it.
 */
import { afterAll, beforeAll } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { arrivalRequests, readDataset } from '../conformance/recorded/dataset.js';
import { requestPath } from '../conformance/recorded/expressions.js';
import { describeRecorded } from '../conformance/recorded/suite.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const directory = temporaryDirectory('recorded');
let server: RunningServer;

beforeAll(async () => {
  server = await startServer({
    dataDir: directory.path,
    // The data set reaches back to 1970.
    env: { METRICSTOR_RETENTION_DAYS: '36500' },
  });
  const client = new RemoteWriteClient({ url: server.url });
  for (const request of arrivalRequests(readDataset())) {
    const answer = await client.write(request);
    if (answer.status !== 204) {
      throw new Error(`write answered ${answer.status}, want 204: ${answer.body}`);
    }
  }
  client.close();
});

afterAll(async () => {
  await server?.stop();
  directory.remove();
});

describeRecorded(
  () => true,
  async (one) => {
    const response = await fetch(server.url + requestPath(one));
    return (await response.json()) as ApiEnvelope;
  },
);
