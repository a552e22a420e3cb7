/**
 * @file Asks random queries of a Prometheus and of metricstor's binary over the same random
 * samples, and prints every difference without a reason.
 *
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/fuzz/run.js [seed [worlds [queries]]]
 *
 * A world is a set of samples, in fresh servers, of which `queries` are asked. The same seed asks
 * the same.
 */
import { RemoteWriteClient } from '../../../src/client/remote-write.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import { encodeHistograms } from '../../support/histogram-wire.js';
import { startServer, temporaryDirectory } from '../../support/server.js';
import { startPrometheus } from '../prometheus.js';
import { seededRandom } from '../series-draft.js';
import { ExpressionWriter } from './expressions.js';
import { unexplained } from './judge.js';
import { nextQuestion, pathOf, type Question } from './questions.js';
import { fuzzSetup } from './setup.js';
import { makeWorld } from './world.js';

const [seed = Date.now() % 1_000_000, worlds = 4, queries = 2500] = process.argv
  .slice(2)
  .map(Number);
/** Questions under way at a time. */
const atOnce = 4;

async function write(url: string, world: ReturnType<typeof makeWorld>): Promise<void> {
  const client = new RemoteWriteClient({ url });
  for (const request of world) {
    const answer = await client.writeBody(encodeHistograms(request));
    if (answer.status !== 204) {
      throw new Error(`the write was answered ${answer.status}: ${answer.body}`);
    }
  }
  client.close();
}

async function ask(url: string, question: Question): Promise<ApiEnvelope> {
  const response = await fetch(url + pathOf(question));
  return (await response.json()) as ApiEnvelope;
}

function hasSeries({ data }: ApiEnvelope): boolean {
  const { result } = (data ?? {}) as { result?: unknown };
  return Array.isArray(result) && result.length > 0;
}

const totals = { asked: 0, answered: 0, failed: 0, differ: 0 };

async function fuzzWorld(worldSeed: number): Promise<void> {
  const directory = temporaryDirectory('fuzz');
  const prometheus = await startPrometheus(process.env.PROMETHEUS_BIN ?? 'prometheus', fuzzSetup);
  const server = await startServer({
    // The compiled tool runs from the package's root.
    packageDir: process.cwd(),
    dataDir: directory.path,
    env: { METRICSTOR_RETENTION_DAYS: '36500' },
  });
  try {
    const world = makeWorld(worldSeed);
    await Promise.all([prometheus, server].map(({ url }) => write(url, world)));
    const random = seededRandom(worldSeed + 1);
    const writer = new ExpressionWriter(random);
    let left = queries;
    const work = async (): Promise<void> => {
      while (left-- > 0) {
        const question = nextQuestion(writer, random);
        const [want, got] = await Promise.all(
          [prometheus, server].map(({ url }) => ask(url, question)),
        );
        totals.asked++;
        totals.answered += hasSeries(want) ? 1 : 0;
        totals.failed += want.status === 'error' ? 1 : 0;
        const differences = unexplained(question.query, want, got);
        if (differences.length > 0) {
          totals.differ++;
          const said = differences.map(({ aspect, message }) => `  ${aspect}: ${message}`);
          const times = JSON.stringify({ ...question, query: undefined });
          console.log([`world ${worldSeed} ${times}`, question.query, ...said].join('\n'));
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
  } finally {
    await Promise.all([prometheus.stop(), server.stop()]);
    directory.remove();
  }
}

for (let i = 0; i < worlds; i++) {
  await fuzzWorld(seed + 1000 * i);
  console.log(`seed ${seed}: ${JSON.stringify(totals)}`);
}
process.exitCode = totals.differ > 0 ? 1 : 0;
