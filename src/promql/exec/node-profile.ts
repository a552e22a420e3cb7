/**
 * @file What each node of a plan takes: time of its own, samples decoded, series passed on.
 *
 * Rows are pushed, so a node's call contains the work of those above it. One clock runs at a time:
 * it changes hands when a node is entered and when a row leaves it.
 */
import type { Plan } from '../plan.js';
import type { Budget } from './budget.js';
import type { SeriesReader } from './context.js';
import type { RowSink } from './rows.js';

/** One node, counted so far. */
export interface NodeFigures {
  /** How often it was evaluated. */
  evaluations: number;
  /** Series that had a value. */
  series: number;
  /** Samples decoded for it, series that it selected. */
  samples: number;
  selected: number;
  /** Without the nodes below and above it. */
  ms: number;
}

/** Counts while a query is evaluated; costs two looks at the clock for every row. */
export class NodeProfile {
  private readonly figures = new Map<Plan, NodeFigures>();
  private readonly outside: NodeFigures = noFigures();
  private current = this.outside;
  private sinceMs: number;
  private samples = 0;
  private selected = 0;

  constructor(
    private readonly budget: Budget,
    private readonly clock: () => number,
  ) {
    this.sinceMs = clock();
  }

  /** What a node has taken; undefined when it was not evaluated. */
  of(node: Plan): NodeFigures | undefined {
    return this.figures.get(node);
  }

  /** Evaluates a node, in the name of the one that is being evaluated. */
  run<T>(node: Plan, work: (figures: NodeFigures) => T): T {
    return this.part(node, (figures) => {
      figures.evaluations++;
      return work(figures);
    });
  }

  /** Does a part of evaluating a node. */
  part<T>(node: Plan, work: (figures: NodeFigures) => T): T {
    const caller = this.current;
    const figures = this.figures.get(node) ?? noFigures();
    this.figures.set(node, figures);
    this.switchTo(figures);
    try {
      return work(figures);
    } finally {
      this.switchTo(caller);
    }
  }

  /** Evaluates the rows of a node into a sink of the node that is being evaluated. */
  rows(node: Plan, sink: RowSink, work: (sink: RowSink) => void): void {
    const caller = this.current;
    this.run(node, (figures) =>
      work({
        histograms: sink.histograms,
        onSkipped: () => sink.onSkipped?.(),
        begin: (labels, dropName) =>
          this.above(caller, figures, () => sink.begin(labels, dropName)),
        row: (series, row) => {
          figures.series++;
          this.above(caller, figures, () => sink.row(series, row));
        },
        end: () => this.above(caller, figures, () => sink.end()),
      }),
    );
  }

  /** The same for the samples of a range vector. */
  seriesOf(node: Plan, reader: SeriesReader, work: (reader: SeriesReader) => void): void {
    const caller = this.current;
    this.run(node, (figures) =>
      work({
        histograms: reader.histograms,
        begin: (labels, dropName) =>
          this.above(caller, figures, () => reader.begin(labels, dropName)),
        samples: (series, samples) => {
          figures.series++;
          this.above(caller, figures, () => reader.samples(series, samples));
        },
        end: () => this.above(caller, figures, () => reader.end()),
      }),
    );
  }

  private above(caller: NodeFigures, self: NodeFigures, work: () => void): void {
    this.switchTo(caller);
    work();
    this.switchTo(self);
  }

  private switchTo(next: NodeFigures): void {
    const now = this.clock();
    const { current, budget } = this;
    current.ms += now - this.sinceMs;
    current.samples += budget.samples - this.samples;
    current.selected += budget.series - this.selected;
    this.samples = budget.samples;
    this.selected = budget.series;
    this.sinceMs = now;
    this.current = next;
  }
}

function noFigures(): NodeFigures {
  return { evaluations: 0, series: 0, samples: 0, selected: 0, ms: 0 };
}
