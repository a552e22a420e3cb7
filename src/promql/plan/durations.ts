/**
 * @file What a query says of its own times: durations, `start()`, `end()`, `range()` and `step()`.
 *
 * Follows `promql/durations.go` in Prometheus 3.14.
 */
import { MetricstorError } from '../../errors.js';
import { maxDurationMs, wholeMilliseconds } from '../../model/duration.js';
import type { Duration } from '../ast.js';
import type { TimeGrid } from '../time-grid.js';

/** The functions that only depend on the query's own times. */
export function queryConstant(name: string, query: TimeGrid): number | undefined {
  const { startMs, endMs, stepMs } = query;
  switch (name) {
    case 'start':
      return startMs / 1000;
    case 'end':
      return endMs / 1000;
    case 'range':
      return (endMs - startMs) / 1000;
    case 'step':
      // Unlike in durations, a range of one time counts as an instant.
      return startMs === endMs ? 0 : stepMs / 1000;
    default:
      return undefined;
  }
}

/** Milliseconds of a duration in a query over `query`; throws `bad_data` if it has no value. */
export function durationMs(duration: Duration, query: TimeGrid, sign: 'positive' | 'any'): number {
  if (duration.kind === 'fixed') {
    return wholeMilliseconds(duration.seconds);
  }
  const seconds = secondsOf(duration, query);
  if (!Number.isFinite(seconds)) {
    return failDuration(duration, 'duration is NaN or infinite');
  }
  if (seconds <= 0 && sign === 'positive') {
    return failDuration(duration, 'duration must be greater than 0');
  }
  if (Math.abs(seconds) * 1000 > maxDurationMs) {
    return failDuration(duration, 'duration is out of range');
  }
  return Math.trunc(seconds * 1000);
}

function secondsOf(duration: Duration, query: TimeGrid): number {
  switch (duration.kind) {
    case 'fixed':
      return duration.seconds;
    case 'step':
      return query.stepMs / 1000;
    case 'range':
      return (query.endMs - query.startMs) / 1000;
    case 'negate':
      return -secondsOf(duration.of, query);
    case 'paren':
      return secondsOf(duration.of, query);
    case 'binary':
      break;
  }
  const left = secondsOf(duration.left, query);
  const right = secondsOf(duration.right, query);
  switch (duration.op) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return right === 0 ? failDuration(duration, 'division by zero') : left / right;
    case '%':
      return right === 0 ? failDuration(duration, 'modulo by zero') : left % right;
    case '^':
      return left ** right;
    case 'min_of':
      return Math.min(left, right);
    case 'max_of':
      return Math.max(left, right);
  }
}

function failDuration(duration: Duration, text: string): never {
  const { start, end } = duration.span;
  throw new MetricstorError('bad_data', `${start}:${end}: ${text}`);
}
