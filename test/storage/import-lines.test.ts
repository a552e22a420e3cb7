import { expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import type { WriteOutcome } from '../../src/storage/appender.js';
import { importLines, piecesOf } from '../../src/storage/import-lines.js';

const scope = { tenant: 0, matchers: [] };

async function* inChunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size);
  }
}

async function pieces(text: string, size: number, maxLineBytes: number) {
  const found: { text: string; firstLine: number }[] = [];
  for await (const piece of piecesOf(inChunks(text, size), maxLineBytes)) {
    found.push({ text: Buffer.from(piece.text).toString(), firstLine: piece.firstLine });
  }
  return found;
}

test('pieces are whole lines with the number of their first, however the stream is cut', async () => {
  const lines = Array.from({ length: 400 }, (_, n) => `${n}:${'x'.repeat((n * 7) % 90)}\n`);
  const text = lines.join('');
  for (const size of [1, 7, 64, 1000, 1 << 20]) {
    const found = await pieces(text, size, 100);
    expect(found.map((piece) => piece.text).join('')).toBe(text);
    let line = 1;
    for (const piece of found) {
      expect(piece.firstLine).toBe(line);
      expect(piece.text.length).toBeLessThanOrEqual(100);
      expect(piece.text.endsWith('\n')).toBe(true);
      line += piece.text.split('\n').length - 1;
    }
  }
});

test('the last line needs no newline', async () => {
  expect(await pieces('a\nb', 1, 10)).toEqual([{ text: 'a\nb', firstLine: 1 }]);
  expect(await pieces('', 1, 10)).toEqual([]);
});

test('a line that is too long is named and ends the stream', async () => {
  for (const size of [1, 5, 1000]) {
    await expect(pieces(`ok\n${'x'.repeat(20)}\n`, size, 10)).rejects.toMatchObject({
      code: 'too_large',
      message: 'line 2 is longer than 10 bytes',
    });
  }
});

const stored = (samples: number): WriteOutcome => ({
  samples,
  histograms: 0,
  exemplars: 0,
  replaced: 0,
  rejections: [],
  droppedExemplars: 0,
  droppedMetadata: 0,
});

test('what became of all pieces is added up', async () => {
  let writes = 0;
  const appender = {
    write: async (): Promise<WriteOutcome> => {
      writes += 1;
      const examples = [`example ${writes}`];
      return { ...stored(2), rejections: [{ code: 'bad_data', count: 3, examples }] };
    },
  };
  const source = inChunks('12345678\n'.repeat(8), 9);
  const outcome = await importLines(source, appender, { scope, maxLineBytes: 10 });
  expect(writes).toBe(8);
  expect(outcome.samples).toBe(16);
  const [refused] = outcome.rejections;
  expect(refused).toMatchObject({ code: 'bad_data', count: 24 });
  expect(refused?.examples).toHaveLength(5);
});

test('a write that fails stops the import and says from which line on', async () => {
  let writes = 0;
  const appender = {
    write: async (): Promise<WriteOutcome> => {
      writes += 1;
      if (writes === 3) throw new MetricstorError('disk_full', 'no room');
      return stored(1);
    },
  };
  const source = inChunks('12345678\n'.repeat(100), 9);
  await expect(importLines(source, appender, { scope, maxLineBytes: 10 })).rejects.toMatchObject({
    code: 'disk_full',
    message: 'from line 3 on: no room',
  });
  expect(writes).toBeLessThan(10);
});

test('no more than a few pieces wait at once', async () => {
  let [waiting, most] = [0, 0];
  const appender = {
    write: async (): Promise<WriteOutcome> => {
      waiting += 1;
      most = Math.max(most, waiting);
      await new Promise((resolve) => setImmediate(resolve));
      waiting -= 1;
      return stored(1);
    },
  };
  await importLines(inChunks('12345678\n'.repeat(50), 9), appender, { scope, maxLineBytes: 10 });
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(4);
});
