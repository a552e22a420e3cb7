/**
 * @file Durations as text and as milliseconds, in the spelling of Prometheus (`1h30m`, `500ms`).
 *
 * Follows `ParseDuration` and `Duration.String` of prometheus/common, `model/time.go`: units come
 * in falling order, each at most once; a year has 365 days.
 */

const unitMs = {
  y: 365 * 24 * 3600 * 1000,
  w: 7 * 24 * 3600 * 1000,
  d: 24 * 3600 * 1000,
  h: 3600 * 1000,
  m: 60 * 1000,
  s: 1000,
  ms: 1,
} as const;

const durationPattern =
  /^(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** The longest duration: 2^63 nanoseconds, as Go's `time.Duration`. */
export const maxDurationMs = 2 ** 63 / 1e6;

/** Milliseconds of seconds: rounded to nanoseconds, then cut off, as in Prometheus. */
export function wholeMilliseconds(seconds: number): number {
  return Math.trunc(Math.round(seconds * 1e9) / 1e6);
}

/**
 * Milliseconds of a duration, or undefined when `text` is not one or is too long.
 * `0` is the only form without a unit.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') {
    return 0;
  }
  const match = text === '' ? null : durationPattern.exec(text);
  if (match === null) {
    return undefined;
  }
  let total = 0;
  let group = 1;
  for (const ms of Object.values(unitMs)) {
    total += Number(match[group++] ?? 0) * ms;
  }
  return total < maxDurationMs ? total : undefined;
}

/** The shortest usual spelling of a duration of whole milliseconds, not negative. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) {
    return '0s';
  }
  let rest = durationMs;
  let text = '';
  for (const [unit, ms] of Object.entries(unitMs)) {
    // Years and weeks only where they divide the rest: 370 days are `370d`, not `1y5d`.
    const exact = unit === 'y' || unit === 'w';
    if (exact && rest % ms !== 0) {
      continue;
    }
    const count = Math.floor(rest / ms);
    if (count > 0) {
      text += `${count}${unit}`;
      rest -= count * ms;
    }
  }
  return text;
}
