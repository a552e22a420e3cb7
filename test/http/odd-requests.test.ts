/**
 * @file Requests that no client should send and some do. What is expected is what Prometheus 3.14
 * answered to the same over the same samples.
 */
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ RETENTION_DAYS: '36500' });
  const all = [
    series({ __name__: 'up', job: 'a' }, [[60_000, 1]]),
    series({ __name__: 'down', job: 'b' }, [[60_000, 1]]),
  ];
  await pushAll(server.addresses.http, all);
});
afterAll(() => server.stop());

async function ask(path: string, init?: RequestInit): Promise<unknown> {
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}`, init);
  const text = await answer.text();
  return [answer.status, text === '' ? '' : JSON.parse(text)];
}

const urlencoded = 'application/x-www-form-urlencoded';
const multipart = 'multipart/form-data; boundary=B';

function post(type: string, body: string): RequestInit {
  return { method: 'POST', headers: { 'content-type': type }, body };
}

function part(name: string, value: string, more = ''): string {
  return `--B\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
}

function scalar(time: number, value: string): unknown {
  return [200, { status: 'success', data: { resultType: 'scalar', result: [time, value] } }];
}

function badData(error: string): unknown {
  return [400, { status: 'error', errorType: 'bad_data', error }];
}

const noQuery = badData(
  'invalid parameter "query": unknown position: parse error: no expression found in input',
);

test.for<[string, string, unknown]>([
  ['a broken escape is left out', 'query?query=1&time=1&x=%ZZ', scalar(1, '1')],
  ['a name with a broken escape is left out', 'query?%ZZ=1&query=1&time=1', scalar(1, '1')],
  ['a query with a broken escape is left out', 'query?query=%Z&time=1', noQuery],
  ['a field with a semicolon is left out', 'query?x=1;y=2&query=1&time=1', scalar(1, '1')],
  ['a query with a semicolon is left out', 'query?query=1;time=1', noQuery],
  ['the first of several counts', 'query?query=1&query=2&time=3&time=4', scalar(3, '1')],
  ['the first counts even if it is empty', 'query?query=&query=2&time=1', noQuery],
  ['empty fields are nothing', 'query?&=&query=1&&time=1&', scalar(1, '1')],
  ['underscores separate digits', 'query?query=1&time=1_000', scalar(1000, '1')],
  ['an hour may have one digit', 'query?query=1&time=1970-01-01T3:00:00Z', scalar(10800, '1')],
  [
    'the 24th hour is none',
    'query?query=1&time=1970-01-01T24:00:00Z',
    badData(
      `invalid parameter "time": invalid time value for 'time': cannot parse "1970-01-01T24:00:00Z" to a valid timestamp`,
    ),
  ],
  [
    'a number out of range is not a time',
    'query?query=1&time=1e400',
    badData(
      `invalid parameter "time": invalid time value for 'time': cannot parse "1e400" to a valid timestamp`,
    ),
  ],
  [
    'a number out of range is not a duration',
    'query?query=1&time=1&timeout=1e400',
    badData('invalid parameter "timeout": cannot parse "1e400" to a valid duration'),
  ],
  [
    'infinity overflows a duration',
    'query_range?query=1&start=0&end=1&step=Inf',
    badData('invalid parameter "step": cannot parse "Inf" to a valid duration. It overflows int64'),
  ],
  [
    'the largest limit is one',
    'series?match[]=up&limit=9223372036854775807',
    [200, { status: 'success', data: [{ __name__: 'up', job: 'a' }] }],
  ],
  [
    'a larger limit is none',
    'query?query=1&limit=9223372036854775808',
    badData(
      'invalid parameter "limit": strconv.Atoi: parsing "9223372036854775808": value out of range',
    ),
  ],
  [
    'a lookback below a millisecond finds nothing',
    'query?query=up&time=60&lookback_delta=0.0001',
    [200, { status: 'success', data: { resultType: 'vector', result: [] } }],
  ],
  [
    'the bounds of time have a spelling',
    'labels?start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z',
    [200, { status: 'success', data: ['__name__', 'job'] }],
  ],
  [
    'series refuse a broken escape',
    'series?match[]=up&x=%ZZ',
    badData('error parsing form values: invalid URL escape "%ZZ"'),
  ],
  [
    'series refuse a semicolon',
    'series?match[]=up&x=1;y=2',
    badData('error parsing form values: invalid semicolon separator in query'),
  ],
  [
    'what does not parse comes before what selects everything',
    'series?match[]={a=""}&match[]=up%20or',
    badData('invalid parameter "match[]": 1:4: parse error: unexpected <op:or>'),
  ],
  [
    'match[] may say more of the name',
    'series?match[]=up{__name__!="down"}',
    [200, { status: 'success', data: [{ __name__: 'up', job: 'a' }] }],
  ],
  [
    'what selects everything is refused',
    'series?match[]=up&match[]={a=""}',
    badData('invalid parameter "match[]": match[] must contain at least one non-empty matcher'),
  ],
  [
    'a pattern of exemplars has a place',
    'query_exemplars?query=up%2Bup{a=~"("}',
    badData('1:7: parse error: error parsing regexp: missing closing ): `(`'),
  ],
  [
    'a duration does not begin with a dot',
    'query?query=up[.5m]',
    badData('invalid parameter "query": 1:4: parse error: not a valid duration string: ".5m"'),
  ],
  ['exemplars of no selector are nothing', 'query_exemplars?query=1', [204, '']],
  ['there are no rules', 'rules?type=Alert', [200, { status: 'success', data: { groups: [] } }]],
  [
    'a type of rules that there is not',
    'rules?type=x',
    badData('invalid parameter "type": not supported value "x"'),
  ],
  ['there are no alerts', 'alerts', [200, { status: 'success', data: { alerts: [] } }]],
])('%s: %s', async ([, path, want]) => {
  expect(await ask(path)).toEqual(want);
});

test.for<[string, string, RequestInit, unknown]>([
  [
    'a broken escape in a body is left out',
    'query?time=1',
    post(urlencoded, 'query=2&x=%ZZ'),
    scalar(1, '2'),
  ],
  [
    'the URL has what is broken in the body',
    'query?time=1&query=1',
    post(urlencoded, 'query=%ZZ'),
    scalar(1, '1'),
  ],
  [
    'series refuse a broken escape in a body',
    'series?x=%YY',
    post(urlencoded, 'match[]=up&x=%ZZ'),
    badData('error parsing form values: invalid URL escape "%ZZ"'),
  ],
  [
    'raw and escaped UTF-8',
    'query?time=1',
    post(urlencoded, 'query="ä%C3%A4+%F0%9F%98%80"'),
    [200, { status: 'success', data: { resultType: 'string', result: [1, 'ää 😀'] } }],
  ],
  [
    'a multipart form',
    'query',
    post(multipart, `${part('query', 'time()')}${part('time', '77')}--B--\r\n`),
    scalar(77, '77'),
  ],
  [
    'the URL wins over a multipart form',
    'query?time=1&query=3',
    post(multipart, `${part('query', '2')}--B--\r\n`),
    scalar(1, '3'),
  ],
  [
    'a file is no field',
    'query?time=1',
    post(multipart, `${part('query', '2', '; filename="x"')}--B--\r\n`),
    noQuery,
  ],
  ['a multipart form without an end', 'query?time=1', post(multipart, part('query', '2')), noQuery],
  ['no multipart form', 'query?time=1', post(multipart, 'nonsense'), noQuery],
  [
    'match[] of a multipart form',
    'labels',
    post(multipart, `${part('match[]', '{job="none"}')}--B--\r\n`),
    [200, { status: 'success', data: [] }],
  ],
])('%s', async ([, path, init, want]) => {
  expect(await ask(path, init)).toEqual(want);
});

test.for(['0', '-1', '0s'])('a timeout of %s is over', async (timeout) => {
  const [status, body] = (await ask(`query?query=1&timeout=${timeout}`)) as [number, object];
  expect([status, body]).toMatchObject([503, { errorType: 'timeout' }]);
});

test('a pattern of 200,000 characters fits into a URL', async () => {
  const selector = `up{job=~"${'x|'.repeat(100_000)}a"}`;
  expect(await ask(`label/job/values?match[]=${selector}`)).toEqual([
    200,
    { status: 'success', data: ['a'] },
  ]);
});

test('a path that is no URL is answered in the envelope', async () => {
  const [status, body] = (await ask('label/%ff/values')) as [number, object];
  expect([status, body]).toMatchObject([400, { status: 'error', errorType: 'bad_data' }]);
});

test('a delete refuses what it cannot read, and deletes nothing', async () => {
  const path = 'admin/tsdb/delete_series?match[]=up&start=%ZZ';
  expect(await ask(path, { method: 'POST' })).toEqual(
    badData('error parsing form values: invalid URL escape "%ZZ"'),
  );
  const left = await ask('series?match[]=up');
  expect(left).toEqual([200, { status: 'success', data: [{ __name__: 'up', job: 'a' }] }]);
});

/** The answer to bytes that Node would not send as a request. */
function exchange(bytes: string): Promise<string> {
  const { hostname, port } = new URL(server.addresses.http);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}

test.for<[string, string, number, string]>([
  ['raw UTF-8 in a URL', 'GET /api/v1/query?query="ä" HTTP/1.1\r\n\r\n', 400, '%C3%A4'],
  ['a blank in a URL', 'GET /api/v1/query?query=1 + 1 HTTP/1.1\r\n\r\n', 400, 'HTTP'],
  ['no request', 'hello\r\n\r\n', 400, 'not valid HTTP'],
])('%s is told so', async ([, bytes, status, text]) => {
  const [head, body] = (await exchange(bytes)).split('\r\n\r\n');
  expect(head).toContain(`HTTP/1.1 ${status} `);
  const { error, ...rest } = JSON.parse(body) as { error: string };
  expect(rest).toEqual({ status: 'error', errorType: 'bad_data' });
  expect(error).toContain(text);
});
