/** One of the ways that are compared. */
export interface Way {
  name: string;
  /** What has to be done before each call, and is not measured. */
  prepare?(): Promise<unknown>;
  call(): Promise<unknown>;
  /** Calls per round, for a way that is much slower than the others. */
  callsPerRound?: number;
}

export interface SideBySideOptions {
  title: string;
  ways: Way[];
  /** The names of the ways that all others are divided by. */
  baselines: string[];
  rounds: number;
  callsPerRound: number;
  /** Calls of each way that are not counted: connections, plans, the JIT compiler. */
  warmUpCalls: number;
}

export interface Comparison {
  title: string;
  rounds: number;
  measurements: Measurement[];
}

export interface Measurement {
  way: string;
  callCount: number;
  medianMs: number;
  p95Ms: number;
  ratios: Ratio[];
}

/** A way's median divided by the baseline's median of the same round: the median of all rounds. */
export interface Ratio {
  baseline: string;
  median: number;
  min: number;
  max: number;
}

interface Timings {
  way: Way;
  /** One list of milliseconds a round. */
  rounds: number[][];
}

/**
 * Measures several ways in one run. In each round every way is called a number of times, and each
 * round starts with another way, so that what the machine does meanwhile meets all of them alike.
 */
export async function sideBySide(options: SideBySideOptions): Promise<Comparison> {
  const { title, ways, rounds, callsPerRound, warmUpCalls } = options;
  const timings = ways.map((way): Timings => ({ way, rounds: [] }));
  for (const way of ways) {
    await time(way, Math.min(warmUpCalls, way.callsPerRound ?? warmUpCalls));
  }
  for (let round = 0; round < rounds; round++) {
    for (const each of rotate(timings, round)) {
      each.rounds.push(await time(each.way, each.way.callsPerRound ?? callsPerRound));
    }
  }
  const baselines = options.baselines.map((name) => requireBaseline(timings, name));
  return { title, rounds, measurements: timings.map((each) => measure(each, baselines)) };
}

async function time(way: Way, callCount: number): Promise<number[]> {
  const timesMs: number[] = [];
  for (let call = 0; call < callCount; call++) {
    await way.prepare?.();
    const startedAtMs = performance.now();
    await way.call();
    timesMs.push(performance.now() - startedAtMs);
  }
  return timesMs;
}

function rotate<T>(items: T[], by: number): T[] {
  const first = by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

function requireBaseline(timings: Timings[], name: string): Timings {
  const found = timings.find(({ way }) => way.name === name);
  if (found === undefined) {
    throw new Error(`Baseline "${name}" is not among the ways.`);
  }
  return found;
}

function measure({ way, rounds }: Timings, baselines: Timings[]): Measurement {
  const timesMs = rounds.flat();
  return {
    way: way.name,
    callCount: timesMs.length,
    medianMs: percentile(timesMs, 50),
    p95Ms: percentile(timesMs, 95),
    ratios: baselines.map((baseline) => ({
      baseline: baseline.way.name,
      ...ratio(rounds.map(median), baseline.rounds.map(median)),
    })),
  };
}

function ratio(mediansMs: number[], baselineMs: number[]): Omit<Ratio, 'baseline'> {
  const ratios = mediansMs.map((ms, round) => ms / (baselineMs[round] ?? NaN));
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

function median(values: number[]): number {
  return percentile(values, 50);
}

/** Between two values, the weighted mean of both. */
function percentile(values: number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = ((sorted.length - 1) * percent) / 100;
  const lower = sorted[Math.floor(position)] ?? NaN;
  const upper = sorted[Math.ceil(position)] ?? NaN;
  return lower + (upper - lower) * (position % 1);
}
