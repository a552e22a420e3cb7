/**
 * @file A scrape target that speaks Prometheus' protobuf exposition, the only one that carries
 * native histograms: field numbers of `io/prometheus/client/metrics.proto` in client_model 0.6.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import protobuf from 'protobufjs';

const schema = `syntax = "proto3";
message Pair { string name = 1; string value = 2; }
message Time { int64 seconds = 1; int32 nanos = 2; }
message Exemplar { repeated Pair label = 1; double value = 2; Time timestamp = 3; }
message Gauge { double value = 1; }
message Counter { double value = 1; Exemplar exemplar = 2; Time created_timestamp = 3; }
message Bucket { uint64 cumulative_count = 1; double upper_bound = 2; Exemplar exemplar = 3; }
message Span { sint32 offset = 1; uint32 length = 2; }
message Histogram {
  uint64 sample_count = 1; double sample_sum = 2; repeated Bucket bucket = 3;
  sint32 schema = 5; double zero_threshold = 6; uint64 zero_count = 7;
  repeated Span negative_span = 9; repeated sint64 negative_delta = 10;
  repeated Span positive_span = 12; repeated sint64 positive_delta = 13;
  Time created_timestamp = 15; repeated Exemplar exemplars = 16;
}
message Metric {
  repeated Pair label = 1; Gauge gauge = 2; Counter counter = 3; Histogram histogram = 7;
}
message MetricFamily {
  string name = 1; string help = 2; int32 type = 3; repeated Metric metric = 4; string unit = 5;
}`;
const metricFamily = protobuf.parse(schema, { keepCase: true }).root.lookupType('MetricFamily');

/** The numbers of `MetricType`. */
export const familyTypes = { counter: 0, gauge: 1, histogram: 4 } as const;

/** A `MetricFamily` by its schema's names. */
export type Family = Readonly<Record<string, unknown>>;

export interface Target {
  readonly address: string;
  close(): Promise<void>;
}

/** A time as the schema has it. */
export function protoTime(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1e6 };
}

/** Serves what `families` gives, anew for each scrape, on a free port of the loopback interface. */
export async function serveFamilies(families: () => readonly Family[]): Promise<Target> {
  const type = 'application/vnd.google.protobuf';
  const parameters = 'proto=io.prometheus.client.MetricFamily; encoding=delimited';
  const server = createServer((_, response) => {
    const all = families().map((family) =>
      metricFamily.encodeDelimited(metricFamily.fromObject(family)).finish(),
    );
    response.writeHead(200, { 'content-type': `${type}; ${parameters}` });
    response.end(Buffer.concat(all));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return {
    address: `127.0.0.1:${address.port}`,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
