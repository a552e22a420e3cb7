import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeWriteRequest } from '../../src/client/remote-write.js';
import { series } from '../support/push.js';
import { repositoryRoot, temporaryDirectory } from '../support/server.js';

/** The library as it is published: its query threads run compiled code. */
const library = `${repositoryRoot}dist/index.js`;

interface Database {
  write(body: Uint8Array): Promise<{ samples: number }>;
  query(query: string, timeMs?: number): Promise<{ result: Record<string, unknown> }>;
  queryRange(
    query: string,
    range: { startMs: number; endMs: number; stepMs: number },
  ): Promise<{ result: Record<string, unknown> }>;
  close(): Promise<void>;
}

const data = temporaryDirectory('embedded');
let open: (options: object) => Promise<Database>;
let database: Database;

beforeAll(async () => {
  ({ open } = (await import(/* @vite-ignore */ library)) as { open: typeof open });
  database = await open({ dataDir: data.path, settings: { 'retention.days': '36500' } });
});
afterAll(async () => {
  await database.close();
  data.remove();
});

test('what was written is what is read', async () => {
  const body = encodeWriteRequest([
    series({ __name__: 'up', job: 'a' }, [
      [0, 1],
      [60_000, 0.5],
    ]),
  ]);
  expect(await database.write(body)).toMatchObject({ samples: 2 });
  const { result } = await database.query('up', 60_000);
  expect(result).toMatchObject({
    type: 'vector',
    texts: ['__name__', 'up', 'job', 'a'],
    values: Float64Array.of(0.5),
  });
  const range = { startMs: 0, endMs: 60_000, stepMs: 30_000 };
  expect((await database.queryRange('up', range)).result).toMatchObject({
    type: 'matrix',
    timestamps: Float64Array.of(0, 30_000, 60_000),
    values: Float64Array.of(1, 1, 0.5),
  });
});

test('a query that makes no sense is an error with its code', async () => {
  await expect(database.query('sum(')).rejects.toMatchObject({ code: 'bad_data' });
});

test('a setting that does not exist is refused', async () => {
  const settings = { 'query.patience': '1' };
  await expect(open({ dataDir: data.path, settings })).rejects.toMatchObject({ code: 'bad_data' });
});
