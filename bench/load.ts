/**
 * @file The load generator: a process of its own, so that its CPU is not the server's.
 *
 * It encodes every request before it is told to send, then sends over keep-alive connections; each
 * series always travels on the same one, so that its samples arrive in order.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  encodeWriteRequest,
  RemoteWriteClient,
  type WireSeries,
} from '../src/client/remote-write.js';
import { makeFleet } from './fleet.js';

export interface LoadPlan {
  readonly series: number;
  /** Scrapes in all. */
  readonly scrapes: number;
  /** Scrapes of a series in one request. */
  readonly scrapesPerRequest: number;
  readonly startMs: number;
  readonly intervalMs: number;
  readonly connections: number;
}

/** Sends the requests of scrapes `[from, to)`, multiples of `scrapesPerRequest`. */
export interface SendOrder {
  readonly url: string;
  readonly from: number;
  readonly to: number;
}

export interface LoadReport {
  readonly samples: number;
  readonly seconds: number;
  /** Answers that asked to come back later; each was sent again. */
  readonly retries: number;
}

type ToChild = { kind: 'prepare'; plan: LoadPlan } | { kind: 'send'; order: SendOrder };
type FromChild =
  | { kind: 'prepared' }
  | { kind: 'sent'; report: LoadReport }
  | { kind: 'failed'; reason: string };

export const samplesPerRequest = 2000;

/** A load generator as the benchmark holds it. */
export interface LoadGenerator {
  send(order: SendOrder): Promise<LoadReport>;
  stop(): void;
}

/** Starts the process and waits until every request is encoded. */
export async function startLoad(plan: LoadPlan): Promise<LoadGenerator> {
  const child = fork(fileURLToPath(import.meta.url), ['child'], {
    execArgv: ['--max-old-space-size=8192'],
  });
  const ask = async (message: ToChild): Promise<FromChild> => {
    child.send(message);
    const [answer] = (await once(child, 'message')) as [FromChild];
    if (answer.kind === 'failed') {
      throw new Error(answer.reason);
    }
    return answer;
  };
  await ask({ kind: 'prepare', plan });
  return {
    send: async (order) => {
      const answer = await ask({ kind: 'send', order });
      if (answer.kind !== 'sent') {
        throw new Error(`the load generator answered ${answer.kind}, want sent`);
      }
      return answer.report;
    },
    stop: () => child.kill(),
  };
}

/** The requests of one slab of scrapes, in the order of the series. */
type Slab = readonly Uint8Array[];

function encodeSlabs(plan: LoadPlan): Slab[] {
  const fleet = makeFleet(plan.series);
  const seriesPerRequest = Math.max(1, Math.floor(samplesPerRequest / plan.scrapesPerRequest));
  const slabs: Slab[] = [];
  for (let from = 0; from < plan.scrapes; from += plan.scrapesPerRequest) {
    const timestamps = Float64Array.from(
      { length: plan.scrapesPerRequest },
      (_, i) => plan.startMs + (from + i) * plan.intervalMs,
    );
    const slab: Uint8Array[] = [];
    for (let first = 0; first < fleet.length; first += seriesPerRequest) {
      const request: WireSeries[] = fleet.slice(first, first + seriesPerRequest).map((one) => ({
        labels: one.labels,
        timestamps,
        values: Float64Array.from(timestamps, () => one.next()),
      }));
      slab.push(encodeWriteRequest(request));
    }
    slabs.push(slab);
  }
  return slabs;
}

async function sendOne(client: RemoteWriteClient, body: Uint8Array): Promise<number> {
  for (let retries = 0; ; retries++) {
    const answer = await client.writeBody(body);
    if (answer.status === 204 || answer.status === 200) {
      return retries;
    }
    if (answer.status < 500 || retries >= 100) {
      throw new Error(`write answered ${answer.status}: ${answer.body.slice(0, 300)}`);
    }
    await delay(100);
  }
}

/** Sends every `step`th request of each slab, beginning at `first`, one after the other. */
async function sendLane(
  client: RemoteWriteClient,
  slabs: readonly Slab[],
  first: number,
  step: number,
): Promise<number> {
  let retries = 0;
  for (const slab of slabs) {
    for (let i = first; i < slab.length; i += step) {
      retries += await sendOne(client, slab[i]);
    }
  }
  return retries;
}

async function sendSlabs(
  plan: LoadPlan,
  slabs: readonly Slab[],
  order: SendOrder,
): Promise<LoadReport> {
  const client = new RemoteWriteClient({ url: order.url, timeoutMs: 120_000 });
  const start = performance.now();
  const first = order.from / plan.scrapesPerRequest;
  const last = order.to / plan.scrapesPerRequest;
  const chosen = slabs.slice(first, last);
  // Slabs of many scrapes wait for each other: a server may refuse what is an hour behind.
  const groups = plan.scrapesPerRequest > 1 ? chosen.map((slab) => [slab]) : [chosen];
  let retries = 0;
  for (const group of groups) {
    const lanes = Array.from({ length: plan.connections }, (_, lane) =>
      sendLane(client, group, lane, plan.connections),
    );
    retries += (await Promise.all(lanes)).reduce((sum, one) => sum + one, 0);
  }
  client.close();
  return {
    samples: plan.series * (order.to - order.from),
    seconds: (performance.now() - start) / 1000,
    retries,
  };
}

function serveParent(): void {
  let plan: LoadPlan | undefined;
  let slabs: Slab[] = [];
  const answer = (message: FromChild): void => {
    process.send?.(message);
  };
  process.on('message', (message: ToChild) => {
    if (message.kind === 'prepare') {
      plan = message.plan;
      slabs = encodeSlabs(plan);
      answer({ kind: 'prepared' });
    } else if (plan !== undefined) {
      sendSlabs(plan, slabs, message.order).then(
        (report) => answer({ kind: 'sent', report }),
        (error: unknown) => answer({ kind: 'failed', reason: String(error) }),
      );
    }
  });
}

if (process.argv[2] === 'child' && process.send !== undefined) {
  serveParent();
}
