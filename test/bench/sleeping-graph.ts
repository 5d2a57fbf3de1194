import { defineMaterializedView, type ViewClass } from '../../lib/index.js';

const LEVEL_COUNT = 5;
const LEVEL_SIZE = 10;

/** Views that only sleep, so that a run's time depends on its order, not on the machine's cores. */
export interface SleepingGraph {
  /** From bottom to top. */
  levels: ViewClass[][];
  /** The sum of all sleeps, in milliseconds. */
  workMs: number;
  /** The longest path of sleeps, in milliseconds. */
  pathMs: number;
}

interface SleepingView {
  view: ViewClass;
  name: string;
  pathMs: number;
}

/** Each view reads one to three views of the level below. Some sleep much longer than most. */
export function sleepingGraph(): SleepingGraph {
  const random = seededRandom(20);
  const levels: SleepingView[][] = [];
  let workMs = 0;
  for (let level = 0; level < LEVEL_COUNT; level++) {
    const below = levels.at(-1) ?? [];
    levels.push(
      Array.from({ length: LEVEL_SIZE }, (_, position) => {
        const sleepMs = Math.min(300, Math.round(24 / random() ** 0.7));
        workMs += sleepMs;
        return sleepingView(`slow_${level}_${position}`, sleepMs, pick(below, random));
      }),
    );
  }
  const pathMs = Math.max(...levels.flat().map((each) => each.pathMs));
  return { levels: levels.map((level) => level.map(({ view }) => view)), workMs, pathMs };
}

function sleepingView(name: string, sleepMs: number, sources: SleepingView[]): SleepingView {
  const from = [...sources.map((each) => `bench.${each.name}`), `pg_sleep(${sleepMs / 1_000})`];
  const view = defineMaterializedView({
    name,
    schema: 'bench',
    expression: `SELECT 1 AS n FROM ${from.join(' CROSS JOIN ')}`,
    columns: ['n'],
  });
  return { view, name, pathMs: sleepMs + Math.max(0, ...sources.map((each) => each.pathMs)) };
}

function pick<T>(from: T[], random: () => number): T[] {
  const count = Math.min(from.length, 1 + Math.floor(random() * 3));
  return [...from].sort(() => random() - 0.5).slice(0, count);
}

/** The same numbers in every run (Lehmer's generator), between 0 and 1 (both exclusive). */
function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
