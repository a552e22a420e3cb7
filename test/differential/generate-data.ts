/**
 * @file Writes the data set of the recorded answers (`test/conformance/recorded/data.txt`).
 *
 * Deterministic: a seeded generator, integers and decimal rounding only, so that every machine
 * writes the same text. The families below are named after what they are there to provoke.
 */
import {
  hour,
  minute,
  newSeries,
  type Random,
  type SeriesDraft,
  second,
  seededRandom,
} from './series-draft.js';

const runHours = 6;

/** Counters of two instances: two restarts (reset and stale marker), growth of different speeds. */
function requestCounters(random: Random): SeriesDraft[] {
  const drafts: SeriesDraft[] = [];
  for (const [instance, interval] of [
    ['a:9091', 15 * second],
    ['b:9092', 30 * second],
  ] as const) {
    for (const method of ['GET', 'POST']) {
      for (const code of ['200', '500']) {
        const rate = (method === 'GET' ? 9 : 2) * (code === '200' ? 1 : 0.04);
        const draft = newSeries(
          { __name__: 'http_requests_total', job: 'api', instance, method, code },
          interval,
        );
        let total = 0;
        for (let t = 0; t <= runHours * hour; t += interval) {
          const restart = instance === 'a:9091' && (t === 130 * minute || t === 240 * minute);
          if (restart) {
            draft.add(t, 'stale');
            total = 0;
            t += 75 * second;
            continue;
          }
          total += Math.floor((random() * 2 * rate * interval) / second);
          draft.add(t, total);
        }
        drafts.push(draft);
      }
    }
  }
  return drafts;
}

/** Fractional counters with one reset to a value above zero. */
function cpuCounters(random: Random): SeriesDraft[] {
  const drafts: SeriesDraft[] = [];
  for (const cpu of ['0', '1']) {
    for (const [mode, share] of [
      ['idle', 70],
      ['user', 20],
      ['system', 9],
    ] as const) {
      const draft = newSeries(
        { __name__: 'node_cpu_seconds_total', job: 'node', instance: 'a:9100', cpu, mode },
        30 * second,
      );
      let hundredths = 100_000 * share;
      for (let t = 7 * second; t <= runHours * hour; t += 30 * second) {
        hundredths += Math.floor(random() * 2 * share * 30);
        if (cpu === '1' && t > 3.5 * hour && t <= 3.5 * hour + 30 * second) {
          hundredths = 1234;
        }
        draft.add(t, hundredths / 100);
      }
      drafts.push(draft);
    }
  }
  return drafts;
}

/** Gauges that cross zero, with scrape jitter of up to two seconds. */
function temperatures(random: Random): SeriesDraft[] {
  const rooms = [
    ['küche', '1'],
    ['bad', '1'],
    ['büro 1', '2'],
    ['server"room\\1', '0'],
  ];
  return rooms.map(([room, floor], index) => {
    const draft = newSeries({ __name__: 'temperature_celsius', room, floor }, minute);
    let tenths = 30 * index - 40;
    for (let t = 0; t < runHours * hour; t += minute) {
      tenths += Math.floor(random() * 11) - 5;
      draft.add(t + Math.floor(random() * 2000), tenths / 10);
    }
    return draft;
  });
}

/** Gauges with gaps shorter and longer than the lookback; label values that a regex would eat. */
function queues(random: Random): SeriesDraft[] {
  return ['a.b|c*d', 'axb', 'mail+(in)'].map((queue, index) => {
    const draft = newSeries({ __name__: 'queue_depth', queue, job: 'mail' }, 30 * second);
    for (let t = index * 5 * second; t < runHours * hour; t += 30 * second) {
      const shortGap = t > 50 * minute && t < 53 * minute;
      const longGap = t > (118 + index) * minute && t < (131 + index) * minute;
      if (!shortGap && !longGap) {
        draft.add(t, Math.floor(random() * 40) - (index === 2 ? 20 : 0));
      }
    }
    return draft;
  });
}

/** `up` of six targets: outages, one target that ends with a marker and one without. */
function ups(): SeriesDraft[] {
  const targets: [string, string, (t: number) => number | 'stale' | undefined][] = [
    ['api', 'a:9091', (t) => (t >= 130 * minute && t < 132 * minute ? 0 : 1)],
    ['api', 'b:9092', () => 1],
    ['node', 'a:9100', () => 1],
    ['node', 'b:9100', (t) => (Math.floor(t / (25 * minute)) % 4 === 3 ? 0 : 1)],
    ['db', 'c:5432', (t) => (t < 2.5 * hour ? 1 : t < 2.5 * hour + minute ? 'stale' : undefined)],
    ['db', 'd:5432', (t) => (t < 4 * hour ? 1 : undefined)],
  ];
  return targets.map(([job, instance, valueAt]) => {
    const draft = newSeries({ __name__: 'up', job, instance }, minute);
    for (let t = 10 * second; t < runHours * hour; t += minute) {
      const value = valueAt(t);
      if (value !== undefined) {
        draft.add(t, value);
      }
    }
    return draft;
  });
}

/** Info metrics for joins; the first changes its version half way. */
function infos(): SeriesDraft[] {
  const build = (instance: string, version: string, from: number, to: number): SeriesDraft => {
    const draft = newSeries(
      { __name__: 'build_info', job: 'api', instance, version, revision: `r${version.length}` },
      minute,
    );
    for (let t = from; t < to; t += minute) {
      draft.add(t, 1);
    }
    if (to < runHours * hour) {
      draft.add(to, 'stale');
    }
    return draft;
  };
  const owners = ['api', 'node'].map((job) => {
    const draft = newSeries({ __name__: 'job_owner', job, team: `team-${job}` }, minute);
    for (let t = 0; t < runHours * hour; t += minute) {
      draft.add(t, 1);
    }
    return draft;
  });
  return [
    build('a:9091', '1.9.0', 0, 3 * hour),
    build('a:9091', '1.10.0', 3 * hour, runHours * hour),
    build('b:9092', '1.9.0', 0, runHours * hour),
    ...owners,
  ];
}

/** Values that arithmetic treats specially. */
function weirdValues(): SeriesDraft[] {
  const kinds: [string, (i: number) => number][] = [
    ['nan', () => NaN],
    ['inf', () => Infinity],
    ['neginf', () => -Infinity],
    ['negzero', () => -0],
    ['tiny', (i) => 5e-324 * (i % 7)],
    ['huge', (i) => (i % 2 === 0 ? 1.7e308 : 1.2e308)],
    ['mixed', (i) => [1, NaN, -2, Infinity, 0, -0, 3.5, -Infinity, 1e-7, 1e21][i % 10]],
    ['cancelling', (i) => [1e16, 1, -1e16, 1e-3][i % 4]],
  ];
  return kinds.map(([kind, valueAt]) => {
    const draft = newSeries({ __name__: 'weird', kind }, minute);
    for (let i = 0; i < runHours * 60; i++) {
      draft.add(i * minute, valueAt(i));
    }
    return draft;
  });
}

/** A classic histogram of two instances, buckets growing together; one restarts. */
function requestDurations(random: Random): SeriesDraft[] {
  const bounds = ['0.05', '0.1', '0.25', '0.5', '1', '2.5', '+Inf'];
  const name = 'http_request_duration_seconds';
  return ['a:9091', 'b:9092'].flatMap((instance) => {
    const labels = { job: 'api', instance };
    const buckets = bounds.map((le) =>
      newSeries({ __name__: `${name}_bucket`, ...labels, le }, minute),
    );
    const sum = newSeries({ __name__: `${name}_sum`, ...labels }, minute);
    const count = newSeries({ __name__: `${name}_count`, ...labels }, minute);
    let counts = bounds.map(() => 0);
    let hundredths = 0;
    for (let t = 20 * second; t < runHours * hour; t += minute) {
      if (instance === 'a:9091' && t > 240 * minute && t <= 241 * minute) {
        counts = bounds.map(() => 0);
        hundredths = 0;
      }
      let grown = 0;
      counts = counts.map((before, i) => {
        grown += Math.floor(random() * (i === 2 ? 40 : 12));
        return before + grown;
      });
      hundredths += grown * 30 + Math.floor(random() * 100);
      buckets.forEach((bucket, i) => {
        bucket.add(t, counts[i]);
      });
      sum.add(t, hundredths / 100);
      count.add(t, counts[counts.length - 1]);
    }
    return [...buckets, sum, count];
  });
}

/** Histograms that are not quite right: spelled bounds, falling counts, no `+Inf`, empty. */
function oddHistograms(): SeriesDraft[] {
  const shapes: [string, [string, number][]][] = [
    [
      'spelled',
      [
        ['1e-1', 3],
        ['0.50', 9],
        ['1.0', 11],
        ['+Inf', 12],
      ],
    ],
    [
      'falling',
      [
        ['0.1', 8],
        ['0.5', 6],
        ['1', 12],
        ['+Inf', 11],
      ],
    ],
    [
      'unbounded',
      [
        ['0.1', 3],
        ['1', 7],
      ],
    ],
    [
      'malformed',
      [
        ['abc', 3],
        ['0.1', 4],
        ['+Inf', 10],
      ],
    ],
    [
      'empty',
      [
        ['1', 0],
        ['+Inf', 0],
      ],
    ],
    [
      'negative',
      [
        ['-5', 2],
        ['-1', 5],
        ['0', 6],
        ['+Inf', 7],
      ],
    ],
    ['lonely', [['+Inf', 5]]],
  ];
  return shapes.flatMap(([shape, buckets]) =>
    buckets.map(([le, growth]) => {
      const draft = newSeries({ __name__: 'rpc_latency_bucket', shape, le }, 2 * minute);
      for (let t = hour, i = 1; t <= 3 * hour; t += 2 * minute, i++) {
        draft.add(t, growth * i);
      }
      return draft;
    }),
  );
}

/** Irregular events: intervals from seconds to ten minutes, one reset. */
function sparseCounters(random: Random): SeriesDraft[] {
  return ['import', 'export'].map((kind) => {
    const draft = newSeries({ __name__: 'sparse_events_total', kind }, 7 * minute);
    let total = kind === 'import' ? 0 : 17;
    for (let t = 31_007; t < runHours * hour; t += Math.floor(random() * 10 * minute) + 500) {
      total = t > 4 * hour && t < 4.1 * hour ? 1 : total + Math.floor(random() * 3);
      draft.add(t, total);
    }
    return draft;
  });
}

/** Series that live briefly: with a marker, without one, with a life of one sample, in pieces. */
function shortLives(): SeriesDraft[] {
  const pieces: [string, [number, number][], boolean][] = [
    ['marked', [[60, 90]], true],
    ['unmarked', [[60, 90]], false],
    ['once', [[121, 121]], false],
    [
      'pieces',
      [
        [100, 110],
        [112, 125],
        [200, 260],
      ],
      true,
    ],
  ];
  return pieces.map(([end, lives, marked]) => {
    const draft = newSeries({ __name__: 'short_lived', end }, minute);
    for (const [from, to] of lives) {
      for (let t = from; t <= to; t++) {
        draft.add(t * minute, t * 3 - from);
      }
      if (marked) {
        draft.add((to + 1) * minute, 'stale');
      }
    }
    return draft;
  });
}

/** Samples that arrive late: every fifth, whole stretches, and one series entirely afterwards. */
function lateSeries(random: Random): SeriesDraft[] {
  const everyFifth = newSeries({ __name__: 'late_gauge', how: 'fifth' }, 30 * second, 40 * minute);
  const stretches = newSeries(
    { __name__: 'late_gauge', how: 'stretch' },
    30 * second,
    150 * minute,
  );
  const counter = newSeries({ __name__: 'late_events_total', how: 'fifth' }, 30 * second, 3 * hour);
  const backfilled = newSeries({ __name__: 'backfilled_total', how: 'all' }, minute, 8 * hour);
  let total = 0;
  for (let t = 0, i = 0; t < runHours * hour; t += 30 * second, i++) {
    everyFifth.add(t, Math.floor(random() * 1000) / 8, i % 5 === 2);
    stretches.add(t, i % 100, Math.floor(i / 60) % 3 === 1);
    total = i === 400 ? 3 : total + Math.floor(random() * 5);
    counter.add(t, total, i % 5 === 4 || (i > 200 && i < 260));
  }
  for (let t = 0, sum = 0; t < runHours * hour; t += minute) {
    sum += Math.floor(random() * 9);
    backfilled.add(t, sum, true);
  }
  return [everyFifth, stretches, counter, backfilled];
}

/** Names and labels outside the old character set. */
function utf8Names(random: Random): SeriesDraft[] {
  const labelSets = [
    { __name__: 'http.server.duration', 'service.name': 'ünï', 'k8s/pod': 'p-1' },
    { __name__: 'http.server.duration', 'service.name': '漢字', 'k8s/pod': 'p-2' },
    { __name__: 'température', lieu: "l'été\nà 2 lignes" },
  ];
  return labelSets.map((labels, index) => {
    const draft = newSeries(labels, minute);
    for (let t = 0; t < runHours * hour; t += minute) {
      draft.add(t, Math.floor(random() * 100) / 4 + index);
    }
    return draft;
  });
}

/** Pairs for binary operators and joins, and label sets that differ by absent labels. */
function pairs(): SeriesDraft[] {
  const sets: [Record<string, string>, (i: number) => number | undefined][] = [
    [{ __name__: 'left', id: '1', zone: 'x' }, (i) => i % 13],
    [{ __name__: 'left', id: '2', zone: 'x' }, (i) => 7 - (i % 5)],
    [{ __name__: 'left', id: '3', zone: 'y' }, () => 0],
    [{ __name__: 'left', id: '4' }, (i) => i],
    [{ __name__: 'right', id: '1', zone: 'x', owner: 'ann' }, (i) => (i % 7) - 2],
    [{ __name__: 'right', id: '2', zone: 'x', owner: 'bob' }, () => 3],
    [{ __name__: 'right', id: '3', zone: 'y', owner: 'bob' }, (i) => (i % 3 === 0 ? NaN : 0)],
    [{ __name__: 'right', id: '5', zone: 'y', owner: 'eve' }, () => 5],
    [{ __name__: 'zone_limit', zone: 'x' }, () => 6],
    [{ __name__: 'zone_limit', zone: 'y' }, () => 1],
    [{ __name__: 'phase_one', p: 'same' }, (i) => (i < 180 ? i : undefined)],
    [{ __name__: 'phase_two', p: 'same' }, (i) => (i >= 190 ? i : undefined)],
    [{ __name__: 'node_sort', host: 'node1' }, () => 2],
    [{ __name__: 'node_sort', host: 'node2' }, () => 1],
    [{ __name__: 'node_sort', host: 'node10' }, () => 3],
    [{ __name__: 'constant' }, () => 42],
    [{ __name__: 'unix_hours' }, (i) => 1_700_000_000 + i * 86_400 * 3],
  ];
  return sets.map(([labels, valueAt]) => {
    const draft = newSeries(labels, minute);
    for (let i = 0; i < runHours * 60; i++) {
      const value = valueAt(i);
      if (value !== undefined) {
        draft.add(i * minute, value);
      }
    }
    return draft;
  });
}

/** A handful of samples around 1970. */
function epochSeries(): SeriesDraft[] {
  const draft = newSeries({ __name__: 'epoch' }, minute);
  for (let i = -2; i < 8; i++) {
    draft.addAbsolute(i * minute, i * i);
  }
  return [draft];
}

/** The text of the whole data set. One random stream, so the order of families matters. */
export function generateDataset(): string {
  const random = seededRandom(20260101);
  const families = [
    epochSeries,
    requestCounters,
    cpuCounters,
    temperatures,
    queues,
    ups,
    infos,
    weirdValues,
    requestDurations,
    oddHistograms,
    sparseCounters,
    shortLives,
    lateSeries,
    utf8Names,
    pairs,
  ];
  const blocks = families.map((family) =>
    [`# ${family.name}`, ...family(random).map((draft) => draft.print())].join('\n'),
  );
  return `${blocks.join('\n')}\n`;
}
