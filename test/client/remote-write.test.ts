import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { uncompress } from 'snappyjs';
import { expect, test } from 'vitest';
import { encodeWriteRequest } from '../../src/client/remote-write.js';
import { addRequest, type SeriesBits, staleMarkerBits } from '../support/recording.js';

const schema = readFileSync(new URL('../../proto/remote_write_v1.proto', import.meta.url), 'utf8');
const writeRequest = protobuf
  .parse(schema, { keepCase: true })
  .root.lookupType('metricstor.remote_write.v1.WriteRequest');

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
