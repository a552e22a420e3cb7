/**
 * @file What PromQL costs, without storage: microseconds to parse an expression, and for every
 * family of functions and operators nanoseconds per sample that a query reads and per step of each
 * series that it reads.
 *
 *     npm run bench -- --promql [--only 'rate|topk'] [--milliseconds 300]
 *
 * `own` is what is left of a step's cost without that of the operator's input, which is measured as
 * a query of its own: it compares operators. Times are of the CPU, all threads of the process, in
 * the run that took least: others on the machine disturb them little.
 */
import { Bench, type Task } from 'tinybench';
import { PromqlEngine } from '../src/promql/engine.js';
import { parseQuery } from '../src/promql/parse.js';
import { type Case, cases } from './promql-cases.js';
import { filledQuerier, hourMs } from './promql-data.js';
import { printTable } from './table.js';

/** Expressions of 54 and of 227 characters, as dashboards have them. */
const expressions = [
  'sum by (job) (rate(http_requests_total{co="500"}[5m]))',
  'histogram_quantile(0.999, sum by (le, job) ' +
    '(rate(http_request_duration_seconds_bucket{job="api", code=~"5.."}[5m]))) ' +
    '/ on (job) group_left sum without (le) (rate(requests_total{job="api"}[5m] offset 1h)) ' +
    '> bool 0.5 or vector(0)',
];

/** Steps a minute apart over most of a day, and a single time. */
const range = { startMs: 2 * hourMs, endMs: 24 * hourMs - 60_000, stepMs: 60_000 };
const steps = (range.endMs - range.startMs) / range.stepMs + 1;
const instantMs = 12 * hourMs;

/** What is measured, and for how long each. */
export interface PromqlBenchOptions {
  /** Cases whose family or query it matches. */
  readonly only: RegExp;
  /** For each query; one that takes longer runs a few times. */
  readonly milliseconds: number;
}

/** CPU time of this process. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function fastestMs({ result }: Task): number {
  return 'latency' in result ? result.latency.min : NaN;
}

async function measureParsing(milliseconds: number): Promise<void> {
  const bench = new Bench({ time: milliseconds, warmupTime: milliseconds });
  for (const expression of expressions) {
    bench.add(`${expression.length} characters`, () => {
      parseQuery(expression);
    });
  }
  await bench.run();
  console.log('\n## Parsing\n');
  const microseconds = (ms: number): string => (ms * 1000).toFixed(1);
  printTable(
    ['expression', 'µs (median)', 'µs (fastest)'],
    bench.tasks.map((task) => {
      const median = 'latency' in task.result ? task.result.latency.p50 : NaN;
      return [task.name, microseconds(median), microseconds(fastestMs(task))];
    }),
  );
}

/** What a query took, and how much it read. */
interface Figures {
  readonly ms: number;
  readonly samples: number;
  readonly series: number;
}

/** Measures parsing and every case, and prints tables on standard output. */
export async function measurePromql(options: PromqlBenchOptions): Promise<void> {
  await measureParsing(options.milliseconds);
  const querier = filledQuerier();
  const engine = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 200_000_000, maxBytes: 2 ** 32, maxPoints: 200_000_000 },
  });
  const run = ({ query, instant }: Pick<Case, 'query' | 'instant'>): Omit<Figures, 'ms'> => {
    const session = querier.openSession();
    const deadlineMs = Date.now() + 60_000;
    const outcome = instant
      ? engine.instant(session, { query, timeMs: instantMs, deadlineMs })
      : engine.range(session, { query, ...range, deadlineMs });
    session.close();
    return outcome.stats;
  };
  const { milliseconds } = options;
  const known = new Map<string, Figures>();
  const measure = async (one: Pick<Case, 'query' | 'instant'>): Promise<Figures> => {
    const key = `${one.instant ?? false} ${one.query}`;
    const before = known.get(key);
    if (before !== undefined) {
      return before;
    }
    const bench = new Bench({
      now: cpuMs,
      time: milliseconds,
      iterations: 3,
      warmupTime: milliseconds / 2,
      warmupIterations: 2,
      throws: true,
    });
    bench.add(one.query, () => {
      run(one);
    });
    await bench.run();
    const { samples, series } = run(one);
    const figures = { ms: fastestMs(bench.tasks[0]), samples, series };
    known.set(key, figures);
    return figures;
  };
  const chosen = cases.filter(({ family, query }) => options.only.test(`${family}: ${query}`));
  const rows: string[][] = [];
  for (const one of chosen) {
    const { input } = one;
    const figures = await measure(one);
    const of = input === undefined ? undefined : await measure({ query: input });
    rows.push(rowOf(one, figures, of));
    console.error(rows[rows.length - 1].join('  '));
  }
  console.log(`\n## Evaluating\n\n${steps} steps a minute apart, but for those at one time.\n`);
  printTable(
    ['family', 'query', 'CPU ms', 'samples', 'series', 'ns/sample', 'ns/(step × series)', 'own'],
    rows,
  );
}

function rowOf({ family, query, instant }: Case, figures: Figures, input?: Figures): string[] {
  const { ms, samples, series } = figures;
  const points = series * (instant ? 1 : steps);
  const own = input === undefined ? '' : (((ms - input.ms) * 1e6) / points).toFixed(1);
  return [
    family,
    query,
    ms.toFixed(2),
    String(samples),
    String(series),
    ((ms * 1e6) / samples).toFixed(1),
    ((ms * 1e6) / points).toFixed(1),
    own,
  ];
}
