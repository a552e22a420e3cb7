import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import type { ClientTls } from '../../src/client/remote-write.js';
import { startAgent, startNodeExporter } from '../support/agent.js';
import { type Authority, makeAuthority } from '../support/certs.js';
import { startRecordingProxy } from '../support/proxy.js';
import { queryRaw, someNaN } from '../support/query.js';
import {
  addRequest,
  countSamples,
  isNaNBits,
  missingFrom,
  type SeriesBits,
  staleMarkerBits,
} from '../support/recording.js';
import { startServer, temporaryDirectory } from '../support/server.js';
import { readStored } from '../support/stored.js';
import { requireTool } from '../support/tools.js';

const available = requireTool('prometheus', 'prometheus-node-exporter', 'openssl');

/** Values that an exporter may show and that a careless path changes. */
const delicateMetrics = `# TYPE delicate gauge
delicate{value="nan"} NaN
delicate{value="inf"} +Inf
delicate{value="minus_inf"} -Inf
delicate{value="minus_zero"} -0
delicate{value="denormal"} 5e-324
delicate{value="largest"} 1.7976931348623157e308
delicate{value="küche \\"süd\\" \\\\"} 0.1
`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The names of the certificates that take part; the proxy and the agent each have one. */
interface Parties {
  readonly authority: Authority;
  readonly server: ReturnType<Authority['server']>;
  readonly agent: ReturnType<Authority['client']>;
  readonly proxy: ReturnType<Authority['client']>;
}

function makeParties(dir: string): Parties {
  const authority = makeAuthority(dir);
  return {
    authority,
    server: authority.server('metricstor'),
    agent: authority.client('agent'),
    proxy: authority.client('proxy'),
  };
}

/** What HTTP shows of the samples: no stale markers, and of NaN only that it is one. */
function visible(all: SeriesBits): SeriesBits {
  const shown: SeriesBits = new Map();
  for (const [key, samples] of all) {
    const kept = [...samples].filter(([, bits]) => bits !== staleMarkerBits);
    shown.set(key, new Map(kept.map(([t, bits]) => [t, isNaNBits(bits) ? someNaN : bits])));
  }
  return shown;
}

/** The same series as the agent's direct connection labels them. */
function sentDirectly(all: SeriesBits): SeriesBits {
  const relabeled: SeriesBits = new Map();
  for (const [key, samples] of all) {
    const labels: [string, string][] = [...JSON.parse(key), ['sent', 'directly']];
    const sorted = labels.sort(([a], [b]) => (a < b ? -1 : 1));
    relabeled.set(JSON.stringify(sorted), samples);
  }
  return relabeled;
}

function remoteWrite(url: string, parties: Parties | undefined, relabel: boolean): string {
  const tls =
    parties === undefined
      ? ''
      : `
    tls_config:
      ca_file: ${parties.authority.caFile}
      cert_file: ${parties.agent.certFile}
      key_file: ${parties.agent.keyFile}`;
  const rules = relabel
    ? `
    write_relabel_configs:
      - {target_label: sent, replacement: directly}`
    : '';
  return `
  - url: ${url}/api/v1/write${tls}${rules}
    queue_config: {batch_send_deadline: 500ms, min_backoff: 100ms}`;
}

/** Until the condition holds; a failing wait says what it waited for. */
async function until(what: string, holds: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(100);
  }
}

describe.skipIf(!available)('a real Prometheus agent scraping a real node_exporter', () => {
  test.for([
    ['plain HTTP', false],
    ['mutual TLS', true],
  ] as const)(
    'over %s: every sample sent is read back',
    { timeout: 240_000 },
    async ([, secure]) => {
      const work = temporaryDirectory('agent');
      cleanups.push(() => work.remove());
      const parties = secure ? makeParties(work.path) : undefined;
      const tls: ClientTls | undefined = parties && {
        ca: parties.authority.ca,
        cert: parties.agent.cert,
        key: parties.agent.key,
      };
      const dataDir = `${work.path}/data`;
      const serverOptions = {
        dataDir,
        env:
          parties === undefined
            ? {}
            : {
                METRICSTOR_TLS_CERT: parties.server.certFile,
                METRICSTOR_TLS_KEY: parties.server.keyFile,
                METRICSTOR_TLS_CLIENT_CA: parties.authority.caFile,
              },
      };
      let server = await startServer(serverOptions);
      cleanups.push(() => server.kill());

      const sent: SeriesBits = new Map();
      const refused: string[] = [];
      let staleMarkers = 0;
      const proxy = await startRecordingProxy({
        target: server.url,
        ...(parties && {
          tls: { ca: parties.authority.ca, server: parties.server, client: parties.proxy },
        }),
        onWrite: ({ body, status }) => {
          if (status !== 204) refused.push(`${status}`);
          addRequest(sent, body);
          staleMarkers = [...sent.values()].filter((samples) =>
            [...samples.values()].includes(staleMarkerBits),
          ).length;
        },
      });
      cleanups.push(() => proxy.close());

      const exporter = await startNodeExporter(work.path, delicateMetrics);
      cleanups.push(() => exporter.stop());
      const agent = await startAgent(
        work.path,
        `global: {scrape_interval: 1s, scrape_timeout: 900ms}
scrape_configs:
  - job_name: node
    static_configs: [{targets: ['${exporter.address}']}]
remote_write:${remoteWrite(proxy.url, parties, false)}${remoteWrite(server.url, parties, true)}
`,
      );
      cleanups.push(() => agent.stop());

      await until('5 scrapes of 300 series', () => {
        const lengths = [...sent.values()].filter((samples) => samples.size >= 5).length;
        return lengths >= 300;
      });
      // A target that goes away makes the agent end each of its series with a stale marker.
      await exporter.stop();
      await until('stale markers of 300 series', () => staleMarkers >= 300);
      // Stopping, the agent sends what it still has in its queues.
      await agent.stop();
      await proxy.close();
      expect(refused).toEqual([]);

      const now = Date.now();
      const want = new Map([...sent, ...sentDirectly(sent)]);
      const expectVisible = async (): Promise<void> => {
        const stored = await queryRaw(server.url, '{__name__=~".+"}[1h]', now, tls);
        expect(missingFrom(stored, visible(want))).toEqual([]);
        expect(missingFrom(visible(want), stored)).toEqual([]);
      };
      await expectVisible();
      expect(await server.stop()).toBe(0);
      server = await startServer(serverOptions);
      await expectVisible();
      expect(await server.stop()).toBe(0);

      const stored = await readStored(dataDir);
      expect(missingFrom(stored, want)).toEqual([]);
      expect(countSamples(stored)).toBe(countSamples(want));
      console.log(
        `agent over ${secure ? 'mutual TLS' : 'plain HTTP'}: ${countSamples(want)} samples of ` +
          `${want.size} series, ${staleMarkers} series ended by a stale marker, all there`,
      );
    },
  );
});
