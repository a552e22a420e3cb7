/**
 * @file The one table from error code to HTTP status, Prometheus `errorType` and "may a retry
 * help".
 *
 * The engine's codes (`native/engine/src/error.rs`) are all here under the same text; the rest are
 * the shell's own. `test/tidy` holds this table, the Rust list and the README equal.
 */

export interface ErrorKind {
  readonly status: number;
  /** What Prometheus' JSON envelope carries in `errorType`. */
  readonly errorType: string;
  readonly retryable: boolean;
}

export const errorKinds = {
  bad_data: { status: 400, errorType: 'bad_data', retryable: false },
  too_old: { status: 400, errorType: 'bad_data', retryable: false },
  too_far_ahead: { status: 400, errorType: 'bad_data', retryable: false },
  limit_exceeded: { status: 400, errorType: 'bad_data', retryable: false },
  too_large: { status: 413, errorType: 'bad_data', retryable: false },
  unsupported_media_type: { status: 415, errorType: 'bad_data', retryable: false },
  unauthorized: { status: 401, errorType: 'unauthorized', retryable: false },
  forbidden: { status: 403, errorType: 'forbidden', retryable: false },
  not_found: { status: 404, errorType: 'not_found', retryable: false },
  method_not_allowed: { status: 405, errorType: 'bad_data', retryable: false },
  execution: { status: 422, errorType: 'execution', retryable: false },
  overloaded: { status: 503, errorType: 'unavailable', retryable: true },
  disk_full: { status: 503, errorType: 'unavailable', retryable: true },
  read_only: { status: 503, errorType: 'unavailable', retryable: true },
  closed: { status: 503, errorType: 'unavailable', retryable: true },
  timeout: { status: 503, errorType: 'timeout', retryable: true },
  canceled: { status: 503, errorType: 'canceled', retryable: true },
  corruption: { status: 500, errorType: 'internal', retryable: false },
  io: { status: 503, errorType: 'unavailable', retryable: true },
  internal: { status: 500, errorType: 'internal', retryable: false },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

export class MetricstorError extends Error {
  readonly code: ErrorCode;
  /** Structured extra: file and offset of a corruption, the limit that was passed. */
  readonly detail: Readonly<Record<string, string | number>> | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options?: { cause?: unknown; detail?: Record<string, string | number> },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'MetricstorError';
    this.code = code;
    this.detail = options?.detail;
  }

  get kind(): ErrorKind {
    return errorKinds[this.code];
  }
}

/** Whether `text` is a code of the table. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(errorKinds, text);
}
