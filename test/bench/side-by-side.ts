/** One of the ways to compare. */
export interface Way {
  name: string;
  /** Runs before each call, and is not measured. */
  prepare?(): Promise<unknown>;
  call(): Promise<unknown>;
  /** Calls per round, for a way that is much slower than the others. */
  callsPerRound?: number;
}

export interface SideBySideOptions {
  title: string;
  ways: Way[];
  /** The names of the ways that the others are compared with. */
  baselines: string[];
  rounds: number;
  callsPerRound: number;
  /** Calls of each way before measuring, to open connections, cache plans and warm up the JIT compiler. */
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

/** A way's median divided by the baseline's median of the same round. `median` is that of all rounds. */
export interface Ratio {
  baseline: string;
  median: number;
  min: number;
  max: number;
}

interface Timings {
  way: Way;
  /** A list of milliseconds for each round. */
  rounds: number[][];
}

/**
 * Measures several ways in one run. Each round calls every way several times. Each round starts with a different way, so that
 * other load on the machine affects all of them alike.
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

/** Interpolates linearly between values. */
function percentile(values: number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = ((sorted.length - 1) * percent) / 100;
  const lower = sorted[Math.floor(position)] ?? NaN;
  const upper = sorted[Math.ceil(position)] ?? NaN;
  return lower + (upper - lower) * (position % 1);
}
