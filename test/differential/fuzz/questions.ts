/** @file Random queries as requests of the HTTP API. */
import type { Random } from '../series-draft.js';
import type { ExpressionWriter } from './expressions.js';
import { worldLengthMs, worldStartMs } from './world.js';

export interface Question {
  readonly query: string;
  /** Milliseconds; the time of an instant query. */
  readonly endMs: number;
  /** Undefined for an instant query. */
  readonly range: { readonly startMs: number; readonly stepMs: number } | undefined;
}

/** The next question; a range query has 25 steps at most. */
export function nextQuestion(writer: ExpressionWriter, random: Random): Question {
  const query = writer.expression();
  const endMs = worldStartMs + Math.floor((random() * 1.1 * worldLengthMs) / 10_000) * 10_000;
  if (random() < 0.45) {
    return { query, endMs, range: undefined };
  }
  const stepMs = (1 + Math.floor(random() * 12)) * 23_000;
  const steps = Math.floor(random() * 25);
  return { query, endMs, range: { startMs: endMs - steps * stepMs, stepMs } };
}

/** Path and form of a question. */
export function pathOf({ query, endMs, range }: Question): string {
  const seconds = (ms: number): string => String(ms / 1000);
  if (range === undefined) {
    return `/api/v1/query?${new URLSearchParams({ query, time: seconds(endMs) })}`;
  }
  const times = { start: seconds(range.startMs), end: seconds(endMs), step: seconds(range.stepMs) };
  return `/api/v1/query_range?${new URLSearchParams({ query, ...times })}`;
}
