/**
 * @file metricstor beside Prometheus and VictoriaMetrics, in one run on one machine.
 *
 *     npm run bench -- [--series 10000,100000] [--million] [--samples 2000000]
 *                      [--query-series 10000] [--hours 24] [--skip ingest,query,restart]
 *                      [--restart 100000x100,1000000x4]
 *                      [--servers metricstor,prometheus,victoriametrics] [--pages file]
 *     npm run bench -- --promql [--only pattern] [--milliseconds 300]
 *
 * With `--promql` only the evaluator of PromQL is measured, by itself: see `promql.ts`.
 * `--pages` names a file of recorded pages (`record.ts`): what they take on disk is measured too.
 * The others are measured where their binaries are found: `PROMETHEUS_BIN`,
 * `VICTORIA_METRICS_BIN`, or on PATH. Markdown on standard output, progress on standard error.
 */
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { type Contender, findContenders } from './competitors.js';
import { type IngestResult, measureIngest } from './ingest.js';
import type { MovingResult } from './moving.js';
import { measurePages } from './pages.js';
import { measurePromql } from './promql.js';
import { measureQueries, type QueryResult, type StorageResult } from './query.js';
import { measureRestart, type RestartResult } from './restart.js';
import { printTable } from './table.js';

const { values: flags } = parseArgs({
  options: {
    series: { type: 'string', default: '10000,100000' },
    million: { type: 'boolean', default: false },
    samples: { type: 'string', default: '2000000' },
    'query-series': { type: 'string', default: '10000' },
    hours: { type: 'string', default: '24' },
    pages: { type: 'string' },
    promql: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    milliseconds: { type: 'string', default: '300' },
    restart: { type: 'string', default: '100000x20' },
    skip: { type: 'string', default: '' },
    servers: { type: 'string', default: 'metricstor,prometheus,victoriametrics' },
  },
});

function progress(text: string): void {
  console.error(text);
}

function printIngest(results: readonly IngestResult[]): void {
  console.log('\n## Writing\n');
  console.log('remote_write 1.0, one sample a series, 2,000 samples a request, 4 connections.\n');
  printTable(
    [
      'series',
      'server',
      'CPU-s per million samples',
      'of new series',
      'of known series',
      'thousand samples/s',
      'resident bytes per series',
      'retries',
    ],
    results.map((one) => [
      one.series.toLocaleString('en'),
      one.contender,
      one.cpuAll.toFixed(2),
      one.cpuNew.toFixed(2),
      one.cpuKnown.toFixed(2),
      one.rate.toFixed(0),
      one.bytesPerSeries.toFixed(0),
      String(one.retries),
    ]),
  );
}

function printStorage(results: readonly StorageResult[], what: string): void {
  console.log(`\n## Disk: ${what}\n`);
  console.log('Once flushed and merged, all files; the log as it was before.\n');
  printTable(
    ['server', 'samples', 'bytes per sample', 'of log before'],
    results.map((one) => [
      one.contender,
      one.samples.toLocaleString('en'),
      one.bytesPerSample.toFixed(2),
      one.logBytesPerSample.toFixed(2),
    ]),
  );
}

function printQueries(contenders: readonly Contender[], results: readonly QueryResult[]): void {
  console.log('\n## Reading\n');
  console.log(
    'First time / median latency / CPU of one query in ms; series in the answer where they differ.\n',
  );
  const names = [...new Set(results.map((one) => one.query))];
  printTable(
    ['query', ...contenders.map((one) => one.name)],
    names.map((name) => {
      const row = results.filter((one) => one.query === name);
      const same = new Set(row.map((one) => one.series)).size === 1;
      return [
        name,
        ...row.map((one) => {
          const times = [one.coldMs, one.latencyMs, one.cpuMs].map((ms) => ms.toFixed(1));
          const cost = times.join(' / ');
          return same ? cost : `${cost} (${one.series} series)`;
        }),
      ];
    }),
  );
  printRatios(contenders, results);
}

/** Queries that take a competitor less are not compared by ratio: fixed costs decide them. */
const trivialMs = 2;

/** Geometric means of what metricstor takes as a share of what the others take. */
function printRatios(contenders: readonly Contender[], results: readonly QueryResult[]): void {
  const own = results.filter((one) => one.contender === 'metricstor');
  const others = contenders.filter((one) => one.name !== 'metricstor' && own.length > 0);
  if (others.length === 0) {
    return;
  }
  console.log(
    `\nShare of what the others take, geometric mean over queries above ${trivialMs} ms:\n`,
  );
  printTable(
    ['compared with', 'queries', 'first time', 'latency', 'CPU'],
    others.map(({ name }) => {
      const pairs = own.flatMap((mine) => {
        const theirs = results.find((one) => one.contender === name && one.query === mine.query);
        return theirs === undefined || theirs.latencyMs < trivialMs ? [] : [{ mine, theirs }];
      });
      const mean = (of: (one: QueryResult) => number): string => {
        const logs = pairs.map(({ mine, theirs }) => Math.log(of(mine) / of(theirs)));
        return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length).toFixed(2);
      };
      const shares = [
        mean((one) => one.coldMs),
        mean((one) => one.latencyMs),
        mean((one) => one.cpuMs),
      ];
      return [name, String(pairs.length), ...shares];
    }),
  );
}

function printRestart(results: readonly RestartResult[]): void {
  console.log('\n## Starting again after SIGKILL\n');
  printTable(
    ['series', 'samples', 'server', 'seconds to the first answer', 'samples found'],
    results.map((one) => [
      one.series.toLocaleString('en'),
      one.samples.toLocaleString('en'),
      one.contender,
      one.readySeconds.toFixed(2),
      `${(one.share * 100).toFixed(2)} %`,
    ]),
  );
}

/** What a refresh costs where answers are kept, beside what it costs where they are not. */
function printMoving(results: readonly MovingResult[]): void {
  console.log('\n## Refreshing a dashboard\n');
  console.log(
    'Range queries asked again and again, each time a step later; CPU of one in ms, with the ' +
      "server's cache of results and without.\n",
  );
  const contenders = [...new Set(results.map((one) => one.contender))];
  const cell = (name: string, query: string): string => {
    const found = results.find((one) => one.contender === name && one.query === query);
    return found === undefined
      ? ''
      : `${found.cachedCpuMs.toFixed(1)} / ${found.plainCpuMs.toFixed(1)}`;
  };
  const queries = [...new Set(results.map((one) => one.query))];
  const rows = queries.map((query) => [query, ...contenders.map((name) => cell(name, query))]);
  const mean = (name: string): string => {
    const logs = results
      .filter((one) => one.contender === name)
      .map(({ cachedCpuMs, plainCpuMs }) => Math.log(cachedCpuMs / plainCpuMs));
    return Math.exp(logs.reduce((sum, log) => sum + log, 0) / logs.length).toFixed(2);
  };
  const share = ['geometric mean of the share', ...contenders.map(mean)];
  printTable(['query', ...contenders], [...rows, share]);
}

console.log('# metricstor benchmark\n');
console.log(`${new Date().toISOString()}, ${cpus().length} × ${cpus()[0].model.trim()}`);
if (flags.promql) {
  await measurePromql({
    only: new RegExp(flags.only),
    milliseconds: Number(flags.milliseconds),
  });
} else {
  await measureServers();
}

/** metricstor as it is used, and the others. */
async function measureServers(): Promise<void> {
  const skipped = new Set(flags.skip.split(','));
  const contenders = findContenders(new Set(flags.servers.split(',')));
  for (const { name, version } of contenders) {
    console.log(`- ${name} ${version}`);
  }
  if (!skipped.has('ingest')) {
    const counts = flags.series.split(',').map(Number);
    const results: IngestResult[] = [];
    for (const series of flags.million ? [...counts, 1_000_000] : counts) {
      progress(`writing ${series} series …`);
      results.push(...(await measureIngest(contenders, series, Number(flags.samples))));
    }
    printIngest(results);
  }
  if (!skipped.has('restart')) {
    const results: RestartResult[] = [];
    for (const shape of flags.restart.split(',')) {
      const [series, scrapes] = shape.split('x').map(Number);
      progress(`killing servers with ${series} series × ${scrapes} …`);
      results.push(...(await measureRestart(contenders, { series, scrapes })));
    }
    printRestart(results);
  }
  if (!skipped.has('query')) {
    const series = Number(flags['query-series']);
    const hours = Number(flags.hours);
    progress(`loading ${series} series × ${hours} h, then asking …`);
    const { queries, moving, storage } = await measureQueries(contenders, series, hours);
    printStorage(storage, 'the generated fleet');
    printQueries(contenders, queries);
    printMoving(moving);
  }
  if (flags.pages !== undefined) {
    for (const [rate, what] of [
      ['dense', 'recorded pages, every second'],
      ['sparse', 'recorded pages, every 15 seconds'],
    ] as const) {
      progress(`writing ${what} …`);
      printStorage(await measurePages(contenders, flags.pages, rate), what);
    }
  }
}
