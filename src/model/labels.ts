/**
 * @file Label sets as the columns of ids that everything above the storage works on.
 */

/**
 * Label sets as ids of the session's dictionary.
 *
 * `offsets.length === count + 1`; series `i` owns `ids[offsets[i] .. offsets[i + 1])`, which is
 * name, value, name, value …, names ascending bytewise, no empty value.
 */
export interface LabelTable {
  readonly count: number;
  readonly ids: Uint32Array;
  readonly offsets: Uint32Array;
}
