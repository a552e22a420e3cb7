import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { uncompress } from 'snappyjs';
import { expect, test } from 'vitest';
import { encodeWriteRequest, encodeWriteRequest2 } from '../../src/client/remote-write.js';
import { addRequest, type SeriesBits, staleMarkerBits } from '../support/recording.js';

function messageType(file: string, name: string): protobuf.Type {
  const schema = readFileSync(new URL(`../../proto/${file}`, import.meta.url), 'utf8');
  return protobuf.parse(schema, { keepCase: true }).root.lookupType(name);
}

const writeRequest = messageType(
  'remote_write_v1.proto',
  'metricstor.remote_write.v1.WriteRequest',
);
const writeRequest2 = messageType('remote_write_v2.proto', 'metricstor.remote_write.v2.Request');

test('the encoder writes what the schema reads, negative and large timestamps included', () => {
  const body = encodeWriteRequest([
    {
      labels: [
        ['__name__', 'température'],
        ['room', 'küche'],
      ],
      timestamps: Float64Array.of(-1, 1, 127, 128, 1767225600000),
      values: Float64Array.of(1.5, -0, Infinity, -Infinity, 1e-300),
    },
    { labels: [['__name__', 'empty']], timestamps: new Float64Array(), values: new Float64Array() },
  ]);
  const message = writeRequest.decode(uncompress(body));
  expect(writeRequest.toObject(message, { longs: String })).toEqual({
    timeseries: [
      {
        labels: [
          { name: '__name__', value: 'température' },
          { name: 'room', value: 'küche' },
        ],
        samples: [
          { value: 1.5, timestamp: '-1' },
          { value: -0, timestamp: '1' },
          { value: Infinity, timestamp: '127' },
          { value: -Infinity, timestamp: '128' },
          { value: 1e-300, timestamp: '1767225600000' },
        ],
      },
      { labels: [{ name: '__name__', value: 'empty' }] },
    ],
  });
});

test('the encoder of 2.0 writes what its schema reads', () => {
  const body = encodeWriteRequest2([
    {
      labels: [
        ['__name__', 'rpc_total'],
        ['job', 'api'],
      ],
      timestamps: Float64Array.of(-1, 1767225600000),
      values: Float64Array.of(1.5, -0),
      exemplars: [{ labels: [['trace_id', '4bf9']], timestampMs: 1767225600000, value: 0.25 }],
      metadata: { type: 'counter', help: 'Calls.', unit: 'calls' },
    },
    { labels: [['job', 'api']], timestamps: Float64Array.of(1), values: Float64Array.of(2) },
  ]);
  const message = writeRequest2.decode(uncompress(body));
  expect(writeRequest2.toObject(message, { longs: String })).toEqual({
    symbols: ['', '__name__', 'rpc_total', 'job', 'api', 'trace_id', '4bf9', 'Calls.', 'calls'],
    timeseries: [
      {
        labels_refs: [1, 2, 3, 4],
        samples: [
          { value: 1.5, timestamp: '-1' },
          { value: -0, timestamp: '1767225600000' },
        ],
        exemplars: [{ labels_refs: [5, 6], value: 0.25, timestamp: '1767225600000' }],
        metadata: { type: 1, help_ref: 7, unit_ref: 8 },
      },
      { labels_refs: [3, 4], samples: [{ value: 2, timestamp: '1' }] },
    ],
  });
});

test('a stale marker keeps its bits', () => {
  const bits = BigUint64Array.of(staleMarkerBits);
  const body = encodeWriteRequest([
    {
      labels: [['__name__', 'gone']],
      timestamps: Float64Array.of(1),
      values: new Float64Array(bits.buffer),
    },
  ]);
  const series: SeriesBits = new Map();
  addRequest(series, body);
  expect(series.get('[["__name__","gone"]]')).toEqual(new Map([[1, staleMarkerBits]]));
});
