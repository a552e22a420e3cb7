/**
 * @file Records the answers of Prometheus that `test/conformance/random.test.ts` asks for again.
 *
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/fuzz/record.js
 *
 * Questions without a series in their answer are kept one in four, errors one in eight.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RemoteWriteClient } from '../../../src/client/remote-write.js';
import { fingerprint, packAnswers } from '../../conformance/random/answers.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import { encodeHistograms } from '../../support/histogram-wire.js';
import { describeRecording, startPrometheus } from '../prometheus.js';
import { seededRandom } from '../series-draft.js';
import { ExpressionWriter } from './expressions.js';
import { nextQuestion, pathOf, type Question } from './questions.js';
import { fuzzSetup } from './setup.js';
import { makeWorld } from './world.js';

const seed = 314;
const wanted = 3000;
/** A longer answer is asked about again at one time only. */
const longestAnswer = 6000;

const prometheus = await startPrometheus(process.env.PROMETHEUS_BIN ?? 'prometheus', fuzzSetup);
try {
  const world = makeWorld(seed);
  const client = new RemoteWriteClient({ url: prometheus.url });
  for (const request of world) {
    const written = await client.writeBody(encodeHistograms(request));
    if (written.status !== 204) {
      throw new Error(`the write was answered ${written.status}: ${written.body}`);
    }
  }
  client.close();
  const random = seededRandom(seed + 1);
  const writer = new ExpressionWriter(random);
  const keep = seededRandom(seed + 2);
  const ask = async (question: Question): Promise<string> => {
    const response = await fetch(prometheus.url + pathOf(question));
    return await response.text();
  };
  const answers: [Question, ApiEnvelope][] = [];
  while (answers.length < wanted) {
    let question = nextQuestion(writer, random);
    let text = await ask(question);
    if (text.length > longestAnswer) {
      question = { ...question, range: undefined };
      text = await ask(question);
    }
    const answer = JSON.parse(text) as ApiEnvelope;
    const { result } = (answer.data ?? {}) as { result?: unknown };
    const empty = Array.isArray(result) && result.length === 0;
    const share = answer.status === 'error' ? 1 / 8 : empty ? 1 / 4 : 1;
    if (keep() < share && text.length <= 4 * longestAnswer) {
      answers.push([question, answer]);
    }
  }
  const recording = await describeRecording(prometheus.url, fuzzSetup);
  const packed = packAnswers({ recording, seed, world: fingerprint(world), answers });
  await writeFile(join('test', 'conformance', 'random', 'answers.jsonl.br'), packed);
  console.log(`recorded ${answers.length} answers in ${packed.length} bytes`);
} finally {
  await prometheus.stop();
}
