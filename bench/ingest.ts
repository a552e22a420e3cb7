/** @file Writing: one sample a series and request, 2,000 samples a request, over remote_write. */
import type { Contender } from './competitors.js';
import { type LoadPlan, startLoad } from './load.js';
import { cpuSeconds, residentBytes, settle } from './process.js';

export interface IngestResult {
  readonly contender: string;
  readonly series: number;
  readonly samples: number;
  /** CPU seconds of the server per million samples: while series are new, afterwards, in all. */
  readonly cpuNew: number;
  readonly cpuKnown: number;
  readonly cpuAll: number;
  /** Thousand samples per second of known series, with the load generator on the same machine. */
  readonly rate: number;
  /** Resident bytes per series beyond those of the empty server. */
  readonly bytesPerSeries: number;
  readonly retries: number;
}

const scrapesMin = 4;
/** Background work after the last request is counted as long as it goes on, up to this. */
const settleMs = 20_000;

function planFor(series: number, samples: number): LoadPlan {
  const scrapes = Math.max(scrapesMin, Math.round(samples / series));
  const intervalMs = 15_000;
  const nowMs = Math.floor(Date.now() / intervalMs) * intervalMs;
  return {
    series,
    scrapes,
    scrapesPerRequest: 1,
    startMs: nowMs - scrapes * intervalMs,
    intervalMs,
    connections: 4,
  };
}

/** Measures each contender, one after the other, with the same requests. */
export async function measureIngest(
  contenders: readonly Contender[],
  series: number,
  samples: number,
): Promise<IngestResult[]> {
  const plan = planFor(series, samples);
  const load = await startLoad(plan);
  try {
    const results: IngestResult[] = [];
    for (const contender of contenders) {
      const server = await contender.start();
      try {
        const { url, pid } = server;
        await settle(pid, settleMs);
        const cpuBefore = cpuSeconds(pid);
        const emptyBytes = residentBytes(pid);
        const first = await load.send({ url, from: 0, to: 1 });
        const cpuFirst = cpuSeconds(pid);
        const rest = await load.send({ url, from: 1, to: plan.scrapes });
        const cpuRest = cpuSeconds(pid);
        const bytes = residentBytes(pid) - emptyBytes;
        await settle(pid, settleMs);
        const cpuAfter = cpuSeconds(pid);
        const all = first.samples + rest.samples;
        results.push({
          contender: contender.name,
          series,
          samples: all,
          cpuNew: ((cpuFirst - cpuBefore) / first.samples) * 1e6,
          cpuKnown: ((cpuRest - cpuFirst) / rest.samples) * 1e6,
          cpuAll: ((cpuAfter - cpuBefore) / all) * 1e6,
          rate: rest.samples / rest.seconds / 1000,
          bytesPerSeries: bytes / series,
          retries: first.retries + rest.retries,
        });
      } finally {
        await server.stop();
      }
    }
    return results;
  } finally {
    load.stop();
  }
}
