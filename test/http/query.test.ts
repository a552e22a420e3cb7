import { connect } from 'node:net';
import { gunzipSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer;

beforeAll(async () => {
  // Times near 1970 keep the expectations readable.
  server = await startTestServer({ RETENTION_DAYS: '36500' });
  const up = ['a', 'b', 'c'].map((job) =>
    series({ __name__: 'up', job }, [
      [0, 1],
      [60_000, 2],
      [120_000, 3],
    ]),
  );
  const many = Array.from({ length: 500 }, (_, i) =>
    series({ __name__: 'many', index: `${i}` }, [[60_000, i]]),
  );
  await pushAll(server.addresses.http, [...up, ...many]);
});
afterAll(() => server.stop());

interface Answer {
  readonly status: number;
  readonly body: {
    status: string;
    data?: { resultType: string; result: unknown[] };
    error?: string;
    errorType?: string;
    warnings?: string[];
  };
}

async function ask(path: string, init: RequestInit = {}): Promise<Answer> {
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}`, init);
  return { status: answer.status, body: (await answer.json()) as Answer['body'] };
}

test('an instant query answers in the envelope', async () => {
  expect(await ask('query?query=up{job="a"}&time=60')).toEqual({
    status: 200,
    body: {
      status: 'success',
      data: {
        resultType: 'vector',
        result: [{ metric: { __name__: 'up', job: 'a' }, value: [60, '2'] }],
      },
    },
  });
});

test('a range query answers at every step, the end included', async () => {
  const { body } = await ask('query_range?query=up{job="a"}&start=0&end=120&step=60s');
  expect(body.data?.result).toEqual([
    {
      metric: { __name__: 'up', job: 'a' },
      values: [
        [0, '1'],
        [60, '2'],
        [120, '3'],
      ],
    },
  ]);
});

test('what Grafana asks at "save and test" is answered', async () => {
  const form = new URLSearchParams({ query: '1+1', time: '1' });
  const posted = await ask('query', { method: 'POST', body: form });
  expect(posted.body.data).toEqual({ resultType: 'scalar', result: [1, '2'] });
  const build = (await ask('status/buildinfo')).body.data as unknown as Record<string, string>;
  const [major, minor] = (build.version as string).split('.').map(Number);
  expect((major as number) > 2 || (minor as number) >= 40).toBe(true);
  expect(build).not.toHaveProperty('features');
  const probe = await fetch(`${server.addresses.http}/api/v1/rules/test/test`);
  expect([probe.status, await probe.text()]).toEqual([
    404,
    expect.stringContaining('page not found'),
  ]);
});

test('the body of a form wins over the URL, and their match[] add up', async () => {
  const posted = await ask('query?query=1&time=7', {
    method: 'POST',
    body: new URLSearchParams({ query: '2' }),
  });
  expect(posted.body.data?.result).toEqual([7, '2']);
  const both = await ask(`series?match[]=${encodeURIComponent('up{job="a"}')}`, {
    method: 'POST',
    body: new URLSearchParams({ 'match[]': 'up{job="b"}' }),
  });
  expect(both.body.data).toEqual([
    { __name__: 'up', job: 'a' },
    { __name__: 'up', job: 'b' },
  ]);
});

test('a body that is no form is ignored', async () => {
  const answer = await ask('query?query=1&time=0', { method: 'POST', body: 'query=2' });
  expect(answer.body.data?.result).toEqual([0, '1']);
});

test.for<[string, string, string]>([
  [
    'a negative limit',
    'query?limit=-1&time=x',
    'invalid parameter "limit": limit must be non-negative',
  ],
  [
    'a limit that is no number, before anything else',
    'query?limit=many&time=x&timeout=x',
    'invalid parameter "limit": strconv.Atoi: parsing "many": invalid syntax',
  ],
  [
    'a time that is none',
    'query?time=noon&timeout=x',
    `invalid parameter "time": invalid time value for 'time': cannot parse "noon" to a valid timestamp`,
  ],
  [
    'a timeout that is none',
    'query?query=1&timeout=x&lookback_delta=x',
    'invalid parameter "timeout": cannot parse "x" to a valid duration',
  ],
  [
    'a lookback that is none',
    'query?lookback_delta=x',
    'error parsing lookback delta duration: cannot parse "x" to a valid duration',
  ],
  [
    'no start',
    'query_range?query=1&end=1&step=1',
    'invalid parameter "start": cannot parse "" to a valid timestamp',
  ],
  [
    'an end before the start',
    'query_range?query=1&start=2&end=1&step=0',
    'invalid parameter "end": end timestamp must not be before start time',
  ],
  [
    'a step of zero',
    'query_range?query=1&start=0&end=1&step=0',
    'invalid parameter "step": zero or negative query resolution step widths are not accepted. Try a positive integer',
  ],
  [
    'too many steps',
    'query_range?query=1&start=0&end=11001&step=1',
    'exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX), or increasing query.maxSteps',
  ],
  ['no match[]', 'series', 'no match[] parameter provided'],
  [
    'a match[] of series that does not parse',
    'series?match[]=a%20b',
    'invalid parameter "match[]": 1:3: parse error: unexpected identifier "b"',
  ],
  [
    'a match[] of labels with a malformed pattern',
    'labels?match[]={a=~"("}',
    '1:2: parse error: error parsing regexp: missing closing ): `(`',
  ],
  [
    'a match[] that matches everything',
    'labels?match[]={a=~".*"}',
    'match[] must contain at least one non-empty matcher',
  ],
])('%s is refused in Prometheus’ words', async ([, path, error]) => {
  expect(await ask(path)).toEqual({
    status: 400,
    body: { status: 'error', errorType: 'bad_data', error },
  });
});

test('an expression that does not parse names its parameter and position', async () => {
  const { status, body } = await ask('query?query=sum(');
  expect([status, body.errorType]).toEqual([400, 'bad_data']);
  expect(body.error).toMatch(/^invalid parameter "query": \d+:\d+: parse error: /);
});

test('an expression that fails is 422', async () => {
  const { status, body } = await ask(`query?query=${encodeURIComponent('up + on() up')}&time=60`);
  expect([status, body.errorType]).toEqual([422, 'execution']);
});

test('a limit truncates and says so', async () => {
  const instant = await ask('query?query=up&time=60&limit=2');
  expect(instant.body.data?.result.length).toBe(2);
  expect(instant.body.warnings).toEqual(['results truncated due to limit']);
  const range = await ask('query_range?query=up&start=0&end=60&step=60&limit=1');
  expect(range.body.data?.result.length).toBe(1);
  const exact = await ask('query?query=up&time=60&limit=3');
  expect(exact.body.warnings).toBeUndefined();
  for (const path of ['series?match[]=many&', 'labels?', 'label/index/values?']) {
    const { body } = await ask(`${path}limit=1`);
    expect([path, (body.data as unknown as unknown[]).length, body.warnings]).toEqual([
      path,
      1,
      ['results truncated due to limit'],
    ]);
  }
});

test('a lookback_delta narrows what counts as current', async () => {
  const wide = await ask('query?query=up&time=150');
  const narrow = await ask('query?query=up&time=150&lookback_delta=10s');
  expect([wide.body.data?.result.length, narrow.body.data?.result.length]).toEqual([3, 0]);
});

test('label look-ups answer sorted lists, and nothing where there is nothing', async () => {
  expect((await ask('labels?match[]=up')).body.data).toEqual(['__name__', 'job']);
  expect((await ask('label/job/values')).body.data).toEqual(['a', 'b', 'c']);
  expect((await ask('label/absent/values')).body.data).toEqual([]);
  expect((await ask('label/job/values?start=5&end=4')).body.data).toEqual([]);
  expect((await ask('label/U__job/values')).body.data).toEqual(['a', 'b', 'c']);
});

test.for([
  ['PUT', 'query', 405],
  ['HEAD', 'query', 405],
  ['DELETE', 'query_range', 405],
  ['POST', 'label/job/values', 405],
  ['OPTIONS', 'query', 204],
  ['GET', 'unknown', 404],
] as const)('%s %s is %d', async ([method, path, status]) => {
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}`, { method });
  expect(answer.status).toBe(status);
});

test.for([
  ['gzip', gunzipSync],
  ['deflate', inflateSync],
] as const)('a large answer is sent in %s to those who ask', async ([encoding, unpack]) => {
  const { hostname, port } = new URL(server.addresses.http);
  const raw = await new Promise<Buffer>((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(Number(port), hostname, () =>
      socket.write(
        'GET /api/v1/query?query=many&time=60 HTTP/1.1\r\nhost: x\r\n' +
          `accept-encoding: br, ${encoding}\r\nconnection: close\r\n\r\n`,
      ),
    );
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => resolve(Buffer.concat(chunks)));
    socket.on('error', reject);
  });
  const split = raw.indexOf('\r\n\r\n');
  const head = raw.subarray(0, split).toString().toLowerCase();
  expect(head).toContain(`content-encoding: ${encoding}`);
  expect(head).toContain('vary: accept-encoding');
  const { data } = JSON.parse(unpack(raw.subarray(split + 4)).toString());
  expect(data.result.length).toBe(500);
});

test.for(
  (['gzip', 'deflate'] as const).flatMap((coding) =>
    // Compressed where it is, on another thread, and piece by piece.
    [
      { coding, steps: 1, largerThan: 8 * 1024 },
      { coding, steps: 20, largerThan: 64 * 1024 },
      { coding, steps: 1400, largerThan: 8 * 1024 ** 2 },
    ],
  ),
)('$steps steps of many series are the same in $coding', async ({ coding, steps, largerThan }) => {
  const form = { query: 'many', start: '60', end: String(60 + (steps - 1) / 4), step: '0.25' };
  const url = `${server.addresses.http}/api/v1/query_range?${new URLSearchParams(form)}`;
  const plain = await fetch(url, { headers: { 'accept-encoding': 'identity' } });
  const packed = await fetch(url, { headers: { 'accept-encoding': coding } });
  expect(plain.headers.get('content-encoding')).toBeNull();
  expect(packed.headers.get('content-encoding')).toBe(coding);
  const body = Buffer.from(await packed.arrayBuffer());
  expect(body.length).toBeGreaterThan(largerThan);
  expect(body.equals(Buffer.from(await plain.arrayBuffer()))).toBe(true);
});

test('a small answer is not compressed, but varies all the same', async () => {
  const answer = await fetch(`${server.addresses.http}/api/v1/query?query=1`);
  expect(answer.headers.get('content-encoding')).toBeNull();
  expect(answer.headers.get('vary')).toBe('Accept-Encoding');
});

test('health, readiness and metrics answer', async () => {
  const text = async (path: string) => {
    const answer = await fetch(`${server.addresses.http}${path}`);
    return [answer.status, await answer.text()] as const;
  };
  expect(await text('/-/healthy')).toEqual([200, 'metricstor is Healthy.\n']);
  expect(await text('/-/ready')).toEqual([200, 'metricstor is Ready.\n']);
  const [status, metrics] = await text('/metrics');
  expect(status).toBe(200);
  expect(metrics).toContain('\nmetricstor_head_series 503\n');
  expect(metrics).toMatch(/metricstor_queries_total\{kind="instant",code="ok"\} \d+/);
  expect(metrics).toMatch(/metricstor_build_info\{version="\d+\.\d+\.\d+"/);
});

test('an expression is printed anew, and its tree shown, without being evaluated', async () => {
  const long = `sum(rate(${'a'.repeat(50)}[5m])) by (job)+${'b'.repeat(50)} offset 5m`;
  const formatted = await ask(`format_query?query=${encodeURIComponent(long)}`);
  expect(formatted.status).toBe(200);
  expect(formatted.body.data).toBe(
    `  sum by (job) (rate(${'a'.repeat(50)}[5m]))\n+\n  ${'b'.repeat(50)} offset 5m`,
  );
  const body = new URLSearchParams({ query: 'x[5m] smoothed' });
  const parsed = await ask('parse_query', { method: 'POST', body });
  expect(parsed.body.data).toMatchObject({
    type: 'matrixSelector',
    range: 300_000,
    smoothed: true,
  });
  for (const path of ['format_query', 'parse_query']) {
    const regex = await ask(`${path}?query=${encodeURIComponent('a{b="c", d=~"("}')}`);
    expect(regex.body.error).toBe(
      'invalid parameter "query": 1:10: parse error: error parsing regexp: missing closing ): `(`',
    );
    const refused = await ask(`${path}?query=a%20b`);
    expect(refused.status).toBe(400);
    expect(refused.body).toEqual({
      status: 'error',
      errorType: 'bad_data',
      error: 'invalid parameter "query": 1:3: parse error: unexpected identifier "b"',
    });
    expect((await fetch(`${server.addresses.http}/api/v1/${path}`, { method: 'PUT' })).status).toBe(
      405,
    );
  }
});
