/**
 * @file Records what Prometheus answers to `test/conformance/histograms/cases.ts`.
 *
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/record-histograms.js
 *
 * It writes `test/conformance/histograms/recorded/answers.json` in the working directory.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { histogramCases, histogramData, inOrder } from '../conformance/histograms/cases.js';
import { encodeHistograms } from '../support/histogram-wire.js';
import { recordingSetup, startPrometheus } from './prometheus.js';

const prometheus = await startPrometheus(
  process.env.PROMETHEUS_BIN ?? 'prometheus',
  recordingSetup,
);
try {
  const client = new RemoteWriteClient({ url: prometheus.url });
  const written = await client.writeBody(encodeHistograms(histogramData));
  client.close();
  if (written.status !== 204) {
    throw new Error(`the write was answered ${written.status}: ${written.body}`);
  }
  const lines: string[] = [];
  for (const { query, path } of histogramCases) {
    const response = await fetch(`${prometheus.url}/api/v1/${path}`);
    lines.push(
      `${JSON.stringify(query)}: ${JSON.stringify(inOrder((await response.json()) as Parameters<typeof inOrder>[0]))}`,
    );
  }
  const file = join('test', 'conformance', 'histograms', 'recorded', 'answers.json');
  await writeFile(file, `{\n${lines.join(',\n')}\n}\n`);
  console.log(`recorded ${lines.length} answers`);
} finally {
  await prometheus.stop();
}
