/**
 * @file The handlers of the gRPC services.
 */

import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js';
import {
  Metadata,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Access } from '../auth/access.js';
import { identityOf, noIdentity } from '../auth/identity.js';
import { type ErrorCode, MetricstorError } from '../errors.js';
import type { QueryAnswer, QueryJob, QueryService, ResultColumns } from '../query/service.js';
import { type Logger, messageOf } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness, ReadyState } from '../telemetry/readiness.js';
import { type BuildInfo, prometheusVersion } from '../telemetry/version.js';
import type { Message } from './schema.js';

export interface GrpcParts {
  readonly queries: QueryService;
  readonly metrics: Metrics;
  readonly readiness: Readiness;
  readonly build: BuildInfo;
  readonly log: Logger;
  readonly access: Access;
  /** Whether clients are asked for certificates. */
  readonly asksForCertificates: boolean;
  readonly maxSteps: number;
  engineNumbers(): Readonly<Record<string, number>>;
  /** Epoch milliseconds. */
  now(): number;
}

type Call = ServerUnaryCall<Message, Message>;

const statusOf: Readonly<Record<ErrorCode, status>> = {
  bad_data: status.INVALID_ARGUMENT,
  too_old: status.INVALID_ARGUMENT,
  too_far_ahead: status.INVALID_ARGUMENT,
  limit_exceeded: status.RESOURCE_EXHAUSTED,
  too_large: status.RESOURCE_EXHAUSTED,
  unsupported_media_type: status.INVALID_ARGUMENT,
  unauthorized: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  not_found: status.NOT_FOUND,
  method_not_allowed: status.UNIMPLEMENTED,
  execution: status.FAILED_PRECONDITION,
  overloaded: status.UNAVAILABLE,
  disk_full: status.UNAVAILABLE,
  read_only: status.UNAVAILABLE,
  closed: status.UNAVAILABLE,
  timeout: status.DEADLINE_EXCEEDED,
  canceled: status.CANCELLED,
  corruption: status.DATA_LOSS,
  io: status.UNAVAILABLE,
  internal: status.INTERNAL,
};

interface CallFailure {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** What a caller is told; the error's own code goes along as metadata. */
function failureOf(error: unknown, log: Logger): CallFailure {
  const metadata = new Metadata();
  if (error instanceof MetricstorError) {
    metadata.set('metricstor-code', error.code);
    return { code: statusOf[error.code], details: error.message, metadata };
  }
  log.error({ error: messageOf(error) }, 'a call failed');
  return { code: status.INTERNAL, details: 'an internal error; the log says more', metadata };
}

/**
 * Judges the caller by the current configuration, on open connections too. Every method only asks:
 * what `Admin` tells is what `/metrics` and `status/buildinfo` tell.
 */
async function admit(parts: GrpcParts, call: Call): Promise<void> {
  const [authorization] = call.metadata.get('authorization');
  await parts.access.admit({
    identity: parts.asksForCertificates
      ? identityOf(call.getAuthContext().sslPeerCertificate)
      : noIdentity,
    authorization: authorization?.toString(),
    needs: 'read',
    now: parts.now(),
  });
}

function unary(
  parts: GrpcParts,
  answer: (request: Message, call: Call) => Promise<Message> | Message,
): handleUnaryCall<Message, Message> {
  return (call, callback) => {
    const run = async (): Promise<Message> => {
      await admit(parts, call);
      return await answer(call.request, call);
    };
    run().then(
      (message) => callback(null, message),
      (error: unknown) => callback(failureOf(error, parts.log)),
    );
  };
}

export function queryService(parts: GrpcParts): UntypedServiceImplementation {
  return {
    Instant: unary(parts, async (request, call) => {
      const timeMs = request.timeMs === undefined ? parts.now() : integer(request, 'timeMs');
      return toMessage(await run(parts, call, { kind: 'instant', timeMs, ...expression(request) }));
    }),
    Range: unary(parts, async (request, call) => {
      const startMs = integer(request, 'startMs');
      const endMs = integer(request, 'endMs');
      const stepMs = integer(request, 'stepMs');
      if (stepMs <= 0 || endMs < startMs || (endMs - startMs) / stepMs > parts.maxSteps) {
        const text = `want start_ms <= end_ms, step_ms > 0 and at most ${parts.maxSteps} steps`;
        throw new MetricstorError('bad_data', text);
      }
      const range = { kind: 'range', startMs, endMs, stepMs } as const;
      return toMessage(await run(parts, call, { ...range, ...expression(request) }));
    }),
  };
}

function integer(message: Message, field: string): number {
  const value = message[field] ?? 0;
  return typeof value === 'number' ? value : Number(value);
}

function expression(request: Message) {
  const options = (request.options ?? {}) as Message;
  const lookbackMs = integer(options, 'lookbackMs');
  return {
    query: String(request.query ?? ''),
    limit: integer(options, 'limit'),
    format: 'columns' as const,
    ...(lookbackMs > 0 ? { lookbackMs } : {}),
  };
}

async function run(parts: GrpcParts, call: Call, job: QueryJob): Promise<QueryAnswer> {
  const gone = new AbortController();
  call.once('cancelled', () => gone.abort());
  const deadline = call.getDeadline();
  const timeoutMs = Math.max(Number(deadline) - parts.now(), 0);
  try {
    const answer = await parts.queries.run(job, {
      client: call.getPeer(),
      scope: { tenant: 0, matchers: [] },
      signal: gone.signal,
      ...(Number.isFinite(timeoutMs) ? { timeoutMs } : {}),
    });
    parts.metrics.query(job.kind, 'ok');
    return answer;
  } catch (error) {
    parts.metrics.query(job.kind, error instanceof MetricstorError ? error.code : 'internal');
    throw error;
  }
}

function toMessage({ columns, warnings, infos, stats }: QueryAnswer): Message {
  return { ...resultOf(columns), warnings, infos, stats };
}

function resultOf(columns: ResultColumns | undefined): Message {
  switch (columns?.type) {
    case undefined:
      return {};
    case 'scalar':
      return { scalar: { timestampMs: columns.timestampMs, value: columns.values[0] } };
    case 'string':
      return { text: { timestampMs: columns.timestampMs, value: columns.value } };
    case 'vector':
    case 'matrix':
      return { [columns.type]: { series: seriesOf(columns) } };
  }
}

type SeriesColumns = Extract<ResultColumns, { type: 'vector' | 'matrix' }>;

function seriesOf(columns: SeriesColumns): Message[] {
  const { texts, labelIds, labelOffsets, offsets, timestamps, values } = columns;
  if (columns.histograms !== undefined) {
    const text = 'the result has native histograms, which gRPC does not carry; ask over HTTP';
    throw new MetricstorError('execution', text);
  }
  const series: Message[] = [];
  for (let i = 0; i + 1 < offsets.length; i += 1) {
    const labels: Message[] = [];
    for (let at = labelOffsets[i]; at < labelOffsets[i + 1]; at += 2) {
      labels.push({ name: texts[labelIds[at]], value: texts[labelIds[at + 1]] });
    }
    series.push({
      labels,
      timestampsMs: timestamps.subarray(offsets[i], offsets[i + 1]),
      values: values.subarray(offsets[i], offsets[i + 1]),
    });
  }
  return series;
}

export function adminService(parts: GrpcParts): UntypedServiceImplementation {
  return {
    Statistics: unary(parts, () => ({ numbers: parts.engineNumbers() })),
    BuildInformation: unary(parts, () => ({ ...parts.build, prometheusVersion })),
  };
}

/** `ServingStatus` of `health.proto`. */
const serving: Readonly<Record<ReadyState, number>> = { starting: 2, ready: 1, stopping: 2 };

/** Open to every client that the handshake lets in, as `/-/healthy` is. */
export function healthService(
  parts: GrpcParts,
  services: readonly string[],
): UntypedServiceImplementation {
  const known = new Set(['', ...services]);
  const check: handleUnaryCall<Message, Message> = (call, callback) => {
    if (known.has(String(call.request.service ?? ''))) {
      callback(null, { status: serving[parts.readiness.state] });
    } else {
      callback({ code: status.NOT_FOUND, details: 'no such service' });
    }
  };
  return {
    Check: check,
    Watch: (call: ServerWritableStream<Message, Message>) => {
      // The protocol's SERVICE_UNKNOWN: the service may appear later, so the stream stays open.
      const knows = known.has(String(call.request.service ?? ''));
      const send = (state: ReadyState): void => {
        call.write({ status: knows ? serving[state] : 3 });
        if (state === 'stopping') {
          end();
        }
      };
      const end = (): void => {
        stop();
        call.end();
      };
      const stop = parts.readiness.watch(send);
      call.once('cancelled', end);
      send(parts.readiness.state);
    },
  };
}
