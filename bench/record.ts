/**
 * @file Records pages of `/metrics` as they come, for benchmarks that need real values.
 *
 *     node dist-bench/bench/record.js --out pages.jsonl --seconds 900 [--interval 1000] name=url …
 *
 * Every target is scraped at its own offset in the interval. The file is JSON lines of two kinds:
 * the series of a target whenever they change, and one line a page:
 *
 *     {"target":"node","series":["node_load1","node_cpu_seconds_total{cpu=\"0\"}", …]}
 *     {"target":"node","t":1763709082114,"values":"0.35 1240.7 …"}
 *
 * Series keep the order and the text of the page; values keep its text, so that a reader parses
 * what the exporter printed.
 */
import { createWriteStream, type WriteStream } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

interface Target {
  readonly name: string;
  readonly url: string;
}

interface Page {
  readonly series: readonly string[];
  readonly values: string;
}

/** Splits a page of the text format; timestamps and exemplars behind a value are left out. */
function parsePage(text: string): Page {
  const series: string[] = [];
  const values: string[] = [];
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) {
      continue;
    }
    const end = line.lastIndexOf('}') + 1 || line.indexOf(' ');
    series.push(line.slice(0, end));
    values.push(line.slice(end).trim().split(' ')[0]);
  }
  return { series, values: values.join(' ') };
}

/** Scrapes one target until `endMs`, at multiples of the interval plus `offsetMs`. */
async function record(
  target: Target,
  out: WriteStream,
  plan: { readonly intervalMs: number; readonly offsetMs: number; readonly endMs: number },
): Promise<void> {
  let known = '';
  const { intervalMs, offsetMs, endMs } = plan;
  for (;;) {
    const next = Math.floor((Date.now() - offsetMs) / intervalMs + 1) * intervalMs + offsetMs;
    if (next >= endMs) {
      return;
    }
    await delay(next - Date.now());
    const t = Date.now();
    try {
      const answer = await fetch(target.url, { signal: AbortSignal.timeout(10 * intervalMs) });
      const page = parsePage(await answer.text());
      const series = JSON.stringify(page.series);
      if (series !== known) {
        known = series;
        out.write(`{"target":${JSON.stringify(target.name)},"series":${series}}\n`);
      }
      out.write(`${JSON.stringify({ target: target.name, t, values: page.values })}\n`);
    } catch (error) {
      // A missed scrape is a gap, as it is for every scraper.
      console.error(`${target.name}: ${String(error)}`);
    }
  }
}

const { values: flags, positionals } = parseArgs({
  options: {
    out: { type: 'string', default: 'pages.jsonl' },
    seconds: { type: 'string', default: '900' },
    interval: { type: 'string', default: '1000' },
  },
  allowPositionals: true,
});
const out = createWriteStream(flags.out, { flags: 'a' });
const intervalMs = Number(flags.interval);
const endMs = Date.now() + Number(flags.seconds) * 1000;
await Promise.all(
  positionals.map((text, i) => {
    const at = text.indexOf('=');
    const target = { name: text.slice(0, at), url: text.slice(at + 1) };
    const offsetMs = Math.floor((intervalMs * i) / positionals.length);
    return record(target, out, { intervalMs, offsetMs, endMs });
  }),
);
out.end();
