/**
 * @file Records what Prometheus answers to `test/conformance/recorded/expressions.txt`, and how it
 * understands `test/conformance/recorded/parse/expressions.txt`.
 *
 *     node dist-bench/test/differential/record.js data      writes the data set
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/record.js answers
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/record.js expressions
 *
 * It writes into the folder `test/conformance/recorded` of the working directory.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import type { RecordedAnswer, Recording } from '../conformance/recorded/answers.js';
import {
  arrivalRequests,
  parseDataset,
  type RecordedSeries,
} from '../conformance/recorded/dataset.js';
import { parseCases, type RecordedCase, requestPath } from '../conformance/recorded/expressions.js';
import {
  type ParsedExpression,
  parseExpressionList,
} from '../conformance/recorded/parse/expressions.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { generateDataset } from './generate-data.js';
import {
  type PrometheusSetup,
  parserSetup,
  recordingSetup,
  startPrometheus,
} from './prometheus.js';

const folder = join('test', 'conformance', 'recorded');
const dataFile = join(folder, 'data.txt');
const expressionsFile = join(folder, 'expressions.txt');
const answersFolder = join(folder, 'answers');

async function ask(url: string, one: RecordedCase): Promise<RecordedAnswer> {
  const response = await fetch(url + requestPath(one));
  const text = await response.text();
  try {
    const answer = sortedAnswer(one, JSON.parse(text) as ApiEnvelope);
    return { id: one.id, httpStatus: response.status, answer };
  } catch (cause) {
    throw new Error(`"${one.id}" was answered by ${response.status} ${text}`, { cause });
  }
}

async function describeRecording(url: string, setup: PrometheusSetup): Promise<Recording> {
  const response = await fetch(`${url}/api/v1/status/buildinfo`);
  const { data } = (await response.json()) as { data: Record<string, string> };
  return {
    version: data.version,
    revision: data.revision,
    goVersion: data.goVersion,
    ...setup,
  };
}

async function push(url: string, dataset: readonly RecordedSeries[]): Promise<void> {
  const client = new RemoteWriteClient({ url });
  try {
    for (const request of arrivalRequests(dataset)) {
      const answer = await client.write(request);
      if (answer.status !== 204) {
        throw new Error(`write answered ${answer.status}, want 204: ${answer.body}`);
      }
    }
  } finally {
    client.close();
  }
}

/** The order of an instant vector is chance unless the case asks for it: sorted, to compare. */
function sortedAnswer(one: RecordedCase, answer: ApiEnvelope): ApiEnvelope {
  const data = answer.data as { resultType?: string; result?: { metric: object }[] } | undefined;
  if (one.kind !== 'instant' || one.ordered || data?.resultType !== 'vector') {
    return answer;
  }
  const keyed = (data.result ?? []).map((series) => ({
    key: JSON.stringify(series.metric),
    series,
  }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : 1));
  return { ...answer, data: { ...data, result: keyed.map(({ series }) => series) } };
}

/** One answer a line, so that a new recording shows as a readable difference. */
function printAnswers(answers: readonly RecordedAnswer[]): string {
  return `[\n${answers.map((answer) => JSON.stringify(answer)).join(',\n')}\n]\n`;
}

async function recordAnswers(binary: string): Promise<void> {
  const dataset = parseDataset(await readFile(dataFile, 'utf8'));
  const cases = parseCases(await readFile(expressionsFile, 'utf8'));
  const prometheus = await startPrometheus(binary, recordingSetup);
  try {
    await push(prometheus.url, dataset);
    await mkdir(answersFolder, { recursive: true });
    const recording = await describeRecording(prometheus.url, recordingSetup);
    await writeFile(
      join(answersFolder, 'recording.json'),
      `${JSON.stringify(recording, undefined, 2)}\n`,
    );
    const themes = new Map<string, RecordedAnswer[]>();
    for (const one of cases) {
      const list = themes.get(one.theme) ?? [];
      list.push(await ask(prometheus.url, one));
      themes.set(one.theme, list);
    }
    for (const [theme, answers] of themes) {
      const name = `${theme.replaceAll(' ', '-')}.json`;
      await writeFile(join(answersFolder, name), printAnswers(answers));
    }
    console.log(`recorded ${cases.length} answers of Prometheus ${recording.version}`);
  } finally {
    await prometheus.stop();
  }
}

/** The answer of a path of the API to one expression. */
async function askAbout(url: string, path: string, query: string): Promise<ApiEnvelope> {
  const body = new URLSearchParams({ query });
  const response = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body });
  return (await response.json()) as ApiEnvelope;
}

async function understand(url: string, query: string): Promise<ParsedExpression> {
  const parsed = await askAbout(url, 'parse_query', query);
  if (parsed.status === 'error') {
    return { query, error: parsed.error ?? '' };
  }
  const formatted = await askAbout(url, 'format_query', query);
  return { query, format: formatted.data as string, tree: parsed.data };
}

async function recordExpressions(binary: string): Promise<void> {
  const file = join(folder, 'parse', 'expressions.txt');
  const queries = parseExpressionList(await readFile(file, 'utf8'));
  const prometheus = await startPrometheus(binary, parserSetup);
  try {
    const head = await describeRecording(prometheus.url, parserSetup);
    const lines = [JSON.stringify(head)];
    for (const query of queries) {
      lines.push(JSON.stringify(await understand(prometheus.url, query)));
    }
    await writeFile(join(folder, 'parse', 'answers.jsonl'), `${lines.join('\n')}\n`);
    console.log(`recorded ${queries.length} expressions of Prometheus ${head.version}`);
  } finally {
    await prometheus.stop();
  }
}

const [what] = process.argv.slice(2);
if (what === 'data') {
  await writeFile(dataFile, generateDataset());
} else if (what === 'answers') {
  await recordAnswers(process.env.PROMETHEUS_BIN ?? 'prometheus');
} else if (what === 'expressions') {
  await recordExpressions(process.env.PROMETHEUS_BIN ?? 'prometheus');
} else {
  console.error('usage: record.js data | answers | expressions');
  process.exitCode = 2;
}
