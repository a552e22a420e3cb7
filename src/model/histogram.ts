/**
 * @file Native histograms as runs of doubles: the form in which they cross from the engine, are
 * reckoned with, and go back to be printed.
 *
 * | element | what |
 * |---|---|
 * | 0 | schema: -4 to 8 exponential, -53 custom bounds |
 * | 1 | counter-reset hint, see `ResetHint` |
 * | 2, 3 | zero threshold, count of the zero bucket |
 * | 4, 5 | count, sum |
 * | 6, 7, 8 | numbers of positive spans p, of negative spans n, of custom bounds b |
 * | then | 2p: offset and length of each positive span; 2n: of each negative one |
 * | then | b: custom bounds, ascending |
 * | then | a count for each bucket of the positive spans, then of the negative ones |
 *
 * Laws: as `native/engine/src/read/packed.rs` has them; the engine refuses a run that breaks one.
 * A run is never changed once it is in a row, so that operators may share it.
 */

/** One packed histogram. */
export type Histogram = Float64Array;

/**
 * The histograms of a column: cell `i` is a histogram where `cells[i]` is one, else a float. May be
 * shorter than the column; undefined stands for a column of floats.
 */
export type HistogramCells = readonly (Histogram | undefined)[] | undefined;

/** What is known of a counter reset between a histogram and the one before. */
export const resetHint = { unknown: 0, reset: 1, noReset: 2, gauge: 3 } as const;

/** Elements before the spans. */
export const headerLength = 9;
/** The schema of histograms with bounds of their own. */
export const customSchema = -53;

/** Places of the header. */
export const place = {
  schema: 0,
  hint: 1,
  zeroThreshold: 2,
  zeroCount: 3,
  count: 4,
  sum: 5,
  positiveSpans: 6,
  negativeSpans: 7,
  bounds: 8,
} as const;

/**
 * Packed histograms of some places of a column: that of place `rows[k]` is
 * `[offsets[k], offsets[k + 1])` of `packed`.
 */
export interface PackedHistograms {
  /** Ascending. */
  readonly rows: Uint32Array;
  /** `rows.length + 1` of them. */
  readonly offsets: Uint32Array;
  readonly packed: Float64Array;
}

/** The histograms among `length` cells, packed; undefined when there is none. */
export function packCells(cells: HistogramCells, length: number): PackedHistograms | undefined {
  if (cells === undefined) {
    return undefined;
  }
  const rows: number[] = [];
  const offsets = [0];
  for (let i = 0; i < Math.min(cells.length, length); i++) {
    const histogram = cells[i];
    if (histogram !== undefined) {
      rows.push(i);
      offsets.push(offsets[offsets.length - 1] + histogram.length);
    }
  }
  if (rows.length === 0) {
    return undefined;
  }
  const packed = new Float64Array(offsets[rows.length]);
  rows.forEach((row, k) => {
    packed.set(cells[row] as Histogram, offsets[k]);
  });
  return { rows: Uint32Array.from(rows), offsets: Uint32Array.from(offsets), packed };
}

/** The cells that `packed` fills in a column of `length`. */
export function unpackCells(
  { rows, offsets, packed }: PackedHistograms,
  length: number,
): (Histogram | undefined)[] {
  const cells = new Array<Histogram | undefined>(length).fill(undefined);
  for (let k = 0; k < rows.length; k++) {
    cells[rows[k]] = packed.subarray(offsets[k], offsets[k + 1]);
  }
  return cells;
}
