import type { Comparison } from './side-by-side.js';

/** One subject, measured on a database of its own. */
export interface Benchmark {
  name: string;
  description: string;
  run(log: Log): Promise<Outcome>;
}

export type Log = (message: string) => void;

export interface Outcome {
  /** What a reader must know to judge the numbers: sizes, settings, counts. */
  facts: Record<string, string | number>;
  comparisons: Comparison[];
  counts?: CountTable[];
}

/** What is counted and not timed. */
export interface CountTable {
  title: string;
  columns: string[];
  /** A count for each column. */
  rows: { name: string; counts: number[] }[];
}

export interface BenchmarkReport extends Outcome {
  name: string;
  description: string;
  durationMs: number;
}
