/**
 * @file The evaluation times of an expression, and the windows that a selector sees from them.
 */

/** Times `startMs + k * stepMs` for `k` in `[0, steps)`. */
export interface TimeGrid {
  readonly startMs: number;
  /** As asked for: may lie behind the last step. Inclusive. */
  readonly endMs: number;
  /** 0 for an instant query. */
  readonly stepMs: number;
  readonly steps: number;
}

/** How many steps a range has; none where `endMs < startMs`. */
export function stepsOf({ startMs, endMs, stepMs }: Omit<TimeGrid, 'steps'>): number {
  return Math.max(0, Math.floor((endMs - startMs) / stepMs) + 1);
}

/** The grid of a range. */
export function timeGrid(startMs: number, endMs: number, stepMs: number): TimeGrid {
  return { startMs, endMs, stepMs, steps: stepsOf({ startMs, endMs, stepMs }) };
}

/** The grid of one time. */
export function instantGrid(timeMs: number): TimeGrid {
  return { startMs: timeMs, endMs: timeMs, stepMs: 0, steps: 1 };
}

/** Whether the order of a vector's series is seen: only at a single time. */
export function isInstant(grid: TimeGrid): boolean {
  return grid.startMs === grid.endMs;
}

/**
 * Window `k` holds the samples with `end - rangeMs < t <= end`, where
 * `end = firstEndMs + k * strideMs`. A fixed window (`@`) has stride 0.
 */
export interface Windows {
  readonly firstEndMs: number;
  readonly strideMs: number;
  readonly rangeMs: number;
  readonly steps: number;
}

/** The earliest and latest sample time that any window holds, inclusive. */
export function windowBounds(windows: Windows): { mint: number; maxt: number } {
  const lastEnd = windows.firstEndMs + windows.strideMs * Math.max(0, windows.steps - 1);
  // The left bound is open; times are whole milliseconds.
  return { mint: windows.firstEndMs - windows.rangeMs + 1, maxt: lastEnd };
}
