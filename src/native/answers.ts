/**
 * @file Answers of the add-on. Its promises are always fulfilled, with a `failure` where they
 * failed, because only so does the engine's code arrive; here it becomes a `MetricstorError`.
 */
import { isErrorCode, MetricstorError } from '../errors.js';

export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly file?: string;
  readonly offset?: number;
}

/** A report as JSON text. */
export interface TextAnswer {
  readonly failure?: Failure;
  readonly text: string;
}

export function fail(failure: Failure): never {
  const code = isErrorCode(failure.code) ? failure.code : 'internal';
  const detail: Record<string, string | number> = {};
  if (failure.file !== undefined) detail.file = failure.file;
  if (failure.offset !== undefined) detail.offset = failure.offset;
  throw new MetricstorError(code, failure.message, { detail });
}

/** The text of an answer. */
export async function textOf(promise: Promise<TextAnswer>): Promise<string> {
  const answer = await promise;
  if (answer.failure) fail(answer.failure);
  return answer.text;
}
