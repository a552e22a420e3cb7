import { expect, test } from 'vitest';
import { FairQueue } from '../../src/query/fair-queue.js';

const any = () => true;

function drainInOrder<T>(queue: FairQueue<T>): T[] {
  const items: T[] = [];
  for (let item = queue.take(any); item !== undefined; item = queue.take(any)) {
    items.push(item);
  }
  return items;
}

test('clients take turns, and each keeps its own order', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'c2']) {
    queue.push(item[0] as string, item);
  }
  expect(drainInOrder(queue)).toEqual(['a1', 'b1', 'c1', 'a2', 'c2', 'a3']);
  expect(queue.size).toBe(0);
});

test('what is not accepted stays, and does not hold up what is', () => {
  const queue = new FairQueue<number>();
  queue.push('a', 1);
  queue.push('a', 2);
  queue.push('b', 3);
  expect(queue.take((item) => item % 2 === 0)).toBe(2);
  expect(queue.take((item) => item > 5)).toBeUndefined();
  expect(drainInOrder(queue)).toEqual([3, 1]);
});

test('an item taken out is gone, and only once', () => {
  const queue = new FairQueue<number>();
  queue.push('a', 1);
  queue.push('a', 2);
  expect(queue.remove('a', 1)).toBe(true);
  expect(queue.remove('a', 1)).toBe(false);
  expect(queue.remove('b', 2)).toBe(false);
  expect(queue.size).toBe(1);
  expect(queue.drain()).toEqual([2]);
});
