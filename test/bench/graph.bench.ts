import { setTimeout as sleep } from 'node:timers/promises';
import { RefreshService, type ViewClass } from '../../lib/index.js';
import type { TestDatabase } from '../support/test-database.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide } from './side-by-side.js';
import { type SleepingGraph, sleepingGraph } from './sleeping-graph.js';

const WORKERS = [2, 4];

export const graphBenchmark: Benchmark = {
  name: 'graph',
  description: 'many views in the order of their graph, beside one by one and level by level',
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  const graph = sleepingGraph();
  log('makes the views');
  const views = graph.levels.flat();
  const poolSize = Math.max(...WORKERS);
  const measureAll = async (refreshes: RefreshService): Promise<Comparison[]> => {
    const comparisons: Comparison[] = [];
    for (const workers of WORKERS) {
      log(`measures with ${workers} at a time`);
      comparisons.push(await measure(refreshes, graph, workers));
    }
    return comparisons;
  };
  return {
    facts: {
      ...(await serverFacts(database)),
      views: `${views.length} that sleep, in ${graph.levels.length} levels`,
      'work, ms': graph.workMs,
      'longest path, ms': graph.pathMs,
    },
    comparisons: await withApp(database.url, views, (app) => measureAll(app.get(RefreshService)), {
      poolSize,
    }),
  };
}

/** The lower bound: no order is faster than the work divided by the workers, or than the longest path. */
async function measure(
  refreshes: RefreshService,
  { levels, workMs, pathMs }: SleepingGraph,
  workers: number,
): Promise<Comparison> {
  const boundMs = Math.max(workMs / workers, pathMs);
  const bound = 'lower bound (a timer)';
  return sideBySide({
    title: `${workers} at a time`,
    ways: [
      { name: 'one by one', call: () => inPool(levels.flat(), 1, refreshes) },
      { name: 'level by level', call: () => byLevel(levels, workers, refreshes) },
      { name: 'refreshAll', call: () => refreshes.refreshAll({ concurrency: workers }) },
      { name: bound, call: () => sleep(boundMs) },
    ],
    baselines: ['one by one', 'level by level', bound],
    rounds: 3,
    callsPerRound: 1,
    warmUpCalls: 1,
  });
}

async function byLevel(
  levels: ViewClass[][],
  workers: number,
  refreshes: RefreshService,
): Promise<void> {
  for (const level of levels) {
    await inPool(level, workers, refreshes);
  }
}

/** Refreshes `workers` views at a time, each as soon as a worker is free. */
async function inPool(
  views: ViewClass[],
  workers: number,
  refreshes: RefreshService,
): Promise<void> {
  const rest = [...views];
  const work = async (): Promise<void> => {
    for (let view = rest.shift(); view !== undefined; view = rest.shift()) {
      await refreshes.refresh(view);
    }
  };
  await Promise.all(Array.from({ length: workers }, work));
}
