/**
 * @file The log: one JSON object a line on standard output, by pino.
 *
 * Nothing is logged per request at the default level. Secrets are not logged: keys and
 * certificates are named by their path only, and a body or a header never becomes a field.
 */
import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * A log with level names as text and times in RFC 3339. `destination` is standard output unless
 * given.
 */
export function createLogger(level: string, destination?: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
