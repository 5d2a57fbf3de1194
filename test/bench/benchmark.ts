import type { Comparison } from './side-by-side.js';

/** One subject to measure, in a database of its own. */
export interface Benchmark {
  name: string;
  description: string;
  run(log: Log): Promise<Outcome>;
}

export type Log = (message: string) => void;

export interface Outcome {
  /** What you need to judge the numbers: sizes, settings, counts. */
  facts: Record<string, string | number>;
  comparisons: Comparison[];
  counts?: CountTable[];
}

/** Results that are not measured side by side. */
export interface CountTable {
  title: string;
  columns: string[];
  /** One number for each column. */
  rows: { name: string; counts: number[] }[];
}

export interface BenchmarkReport extends Outcome {
  name: string;
  description: string;
  durationMs: number;
}
