import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config/load.js';
import { configReference, effectiveValues } from '../../src/config/reference.js';
import { configLeaves, environmentName } from '../../src/config/schema.js';
import { defaultFeatures, promqlFeatures } from '../../src/model/promql-features.js';

const dir = mkdtempSync(join(tmpdir(), 'metricstor-config-'));
afterAll(() => rmSync(dir, { recursive: true }));

function write(text: string): string {
  const file = join(dir, `c${Math.random()}.yaml`);
  writeFileSync(file, text);
  return file;
}

function problems(sources: Parameters<typeof loadConfig>[0]): readonly string[] {
  try {
    loadConfig(sources);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems.map(({ place, message }) => `${place.split('/').at(-1)}: ${message}`);
    }
    throw error;
  }
  return [];
}

describe('sources', () => {
  it('gives the documented defaults without any source', () => {
    const { config } = loadConfig({ environment: {} });
    expect(config.http.addr).toBe('127.0.0.1:9101');
    expect(config.grpc.addr).toBe('127.0.0.1:9102');
    expect(config.dataDir).toBe('./metricstor-data');
    expect(config.retention.days).toBe(15);
    expect(config.wal.sync).toBe('always');
    expect(config.ingest.maxRequestBytes).toBe(10 * 1024 * 1024);
    expect(config.query.timeout).toBe(120_000);
    expect(config.storage.blockRange).toBe(7_200_000);
    expect(config.tls.allowedNames).toEqual([]);
  });

  it('prefers the environment to the file and the file to the defaults', () => {
    const file = write('http:\n  addr: 0.0.0.0:1\nretention: {days: 3}\nwal: {sync: 1s}\n');
    const { config } = loadConfig({ file, environment: { METRICSTOR_RETENTION_DAYS: '0.5' } });
    expect(config.http.addr).toBe('0.0.0.0:1');
    expect(config.retention.days).toBe(0.5);
    expect(config.wal.sync).toEqual({ intervalMs: 1000 });
  });

  it('freezes the whole result', () => {
    const { config } = loadConfig({ environment: {} });
    expect(Object.isFrozen(config) && Object.isFrozen(config.tls.allowedNames)).toBe(true);
    expect(() => Object.assign(config.http, { addr: 'x' })).toThrow(TypeError);
  });

  it('reads lists from YAML and, by commas, from the environment', () => {
    const file = write('tls:\n  cert: a\n  key: b\n  clientCa: c\n  allowedNames: [x, "y"]\n');
    expect(loadConfig({ file, environment: {} }).config.tls.allowedNames).toEqual(['x', 'y']);
    const environment = { METRICSTOR_TLS_ALLOWED_NAMES: 'a, spiffe://b/c' };
    expect(loadConfig({ file, environment }).config.tls.allowedNames).toEqual([
      'a',
      'spiffe://b/c',
    ]);
  });

  it('reads the features of PromQL, of which some are on by default', () => {
    const features = (text: string): readonly string[] =>
      loadConfig({ environment: { METRICSTOR_PROMQL_FEATURES: text } }).config.promql.features;
    expect(loadConfig({ environment: {} }).config.promql.features).toEqual(defaultFeatures);
    expect(features('promql-duration-expr, promql-delayed-name-removal')).toEqual([
      'promql-duration-expr',
      'promql-delayed-name-removal',
    ]);
    expect(features('all')).toEqual(promqlFeatures);
    expect(features('')).toEqual([]);
  });

  it.each(['promql-at-modifier', 'promql-typo'])('refuses the feature %s', (feature) => {
    const environment = { METRICSTOR_PROMQL_FEATURES: `all,${feature}` };
    const [problem] = problems({ environment });
    expect(problem).toContain('promql.features: want some of promql-experimental-functions, ');
    expect(problem).toContain(feature);
  });

  it('takes an empty file and sections without keys as defaults', () => {
    expect(problems({ file: write(''), environment: {} })).toEqual([]);
    expect(problems({ file: write('# nothing\ntls:\n'), environment: {} })).toEqual([]);
  });

  it('keeps a YAML minimum version that looks like a number', () => {
    const file = write('tls: {minVersion: 1.3}\n');
    expect(loadConfig({ file, environment: {} }).config.tls.minVersion).toBe('1.3');
  });

  it('only warns of an unknown variable', () => {
    const environment = { METRICSTOR_SERVICE_HOST: '10.0.0.1', METRICSTOR_CONFIG: 'x', PATH: '' };
    expect(loadConfig({ environment }).warnings).toEqual([
      'METRICSTOR_SERVICE_HOST is set, but there is no such key',
    ]);
  });
});

describe('rules of retention', () => {
  const rules = [
    { match: '{job="x"}', days: 3 },
    { match: 'up', days: 0.5 },
  ];

  it('are the same from a file and from the environment', () => {
    const file = write(
      'retention:\n  rules:\n    - match: \'{job="x"}\'\n      days: 3\n    - {match: up, days: 0.5}\n',
    );
    expect(loadConfig({ file, environment: {} }).config.retention.rules).toEqual(rules);
    const text = '[{match: \'{job="x"}\', days: 3}, {match: up, days: 0.5}]';
    const environment = { METRICSTOR_RETENTION_RULES: text };
    const { config } = loadConfig({ environment });
    expect(config.retention.rules).toEqual(rules);
    expect(Object.isFrozen(config.retention.rules[0])).toBe(true);
    const written = effectiveValues(config).get('retention.rules');
    const again = loadConfig({ environment: { METRICSTOR_RETENTION_RULES: written } });
    expect(again.config.retention.rules).toEqual(rules);
  });

  it.for([
    'up',
    '[up]',
    '[{match: up}]',
    '[{match: up, days: 0}]',
    '[{match: up, days: 1, more: 1}]',
    '[{match: up, days: 99999}]',
  ])('%s is refused', (text) => {
    expect(problems({ environment: { METRICSTOR_RETENTION_RULES: text } })[0]).toMatch(
      /retention\.rules: want a list such as/,
    );
  });
});

describe('errors', () => {
  it('reports all of them at once, each with its line and key', () => {
    const file = write(
      [
        'http:',
        '  addr: nowhere # no port',
        '  healthaddr: 127.0.0.1:1',
        'query:',
        '  timeout: soon',
        '  workers: 0',
        'limits: 5',
        'nonsense: true',
        'tls:',
        '  cert: only.pem',
      ].join('\n'),
    );
    const name = file.split('/').at(-1);
    const environment = { METRICSTOR_STORAGE_BLOCK_RANGE: '3x' };
    expect(problems({ file, environment })).toEqual([
      `${name}:2: http.addr: want host:port, got "nowhere"`,
      `${name}:3: http.healthaddr: no such key; did you mean http.healthAddr?`,
      `${name}:5: query.timeout: want a duration such as 90s or 2h, at least 1ms, got "soon"`,
      `${name}:6: query.workers: want an integer, at least 1, at most 256, got 0`,
      `${name}:7: limits: want a mapping of keys`,
      `${name}:8: nonsense: no such key`,
      'METRICSTOR_STORAGE_BLOCK_RANGE: storage.blockRange: want a duration such as 90s or 2h, ' +
        'at least 1m, at most 1d, got "3x"',
      `${name}:10: tls.cert: needs tls.key to be set too`,
    ]);
  });

  it('places a syntax error on its line', () => {
    expect(problems({ file: write('http:\n  addr: [\n'), environment: {} })[0]).toMatch(/:3: /);
  });

  it('refuses a key written twice', () => {
    expect(problems({ file: write('dataDir: a\ndataDir: b\n'), environment: {} })).toHaveLength(1);
  });

  it('says that a file cannot be read', () => {
    expect(problems({ file: join(dir, 'absent.yaml'), environment: {} })[0]).toMatch(
      /cannot be read/,
    );
  });
});

describe('reference', () => {
  it('equals docs/configuration.md', () => {
    const committed = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    expect(committed).toBe(configReference());
  });

  it('writes every default back as the schema spells it', () => {
    const values = effectiveValues(loadConfig({ environment: {} }).config);
    for (const leaf of configLeaves()) {
      expect([leaf.path, values.get(leaf.path)]).toEqual([
        leaf.path,
        leaf.kind === 'list' ? leaf.written.slice(1, -1).replaceAll(', ', ',') : leaf.written,
      ]);
    }
  });

  it('derives environment names from paths', () => {
    expect(environmentName('http.healthAddr')).toBe('METRICSTOR_HTTP_HEALTH_ADDR');
    expect(environmentName('shutdownTimeout')).toBe('METRICSTOR_SHUTDOWN_TIMEOUT');
  });
});
