import { refresh, sales, type ScheduledRun, scheduledRuns, until } from './shop-client.js';

const MISSED_TICK_COUNT = 3;

export interface Outage {
  /** The ticks during the outage. */
  missedTicks: number[];
  /** Those of them that any process did. */
  doneTicks: number[];
  /** Whether a web process reported stale rows before the refresh on demand. */
  isStale: boolean;
  outcome: string;
}

/** Without a worker, lets a few ticks pass, then refreshes on demand. */
export async function outage(webUrl: string): Promise<Outage> {
  // Skips one tick: a tick may start a moment early, so the worker may have started this one before it was killed.
  await nextTick(webUrl);
  const missedTicks: number[] = [];
  while (missedTicks.length < MISSED_TICK_COUNT) {
    missedTicks.push(await nextTick(webUrl));
  }
  const { isStale } = await sales(webUrl);
  const { outcome } = await refresh(webUrl);
  const runs = await scheduledRuns(webUrl);
  const doneTicks = missedTicks.filter((tick) => runs.some(({ tickAt }) => tickAt === tick));
  return { missedTicks, doneTicks, isStale, outcome };
}

/** Waits until the next tick has passed, and returns its time. */
async function nextTick(webUrl: string): Promise<number> {
  const { nextTickAt } = await sales(webUrl);
  await until(async () => (await sales(webUrl)).nextTickAt > nextTickAt || undefined);
  return nextTickAt;
}

/** Waits for the first scheduled refresh that makes up for the missed ticks. */
export async function catchUp(webUrl: string, { missedTicks }: Outage): Promise<ScheduledRun> {
  return until(async () => {
    const runs = await scheduledRuns(webUrl);
    return runs.find(({ tickAt }) => tickAt >= (missedTicks[0] ?? 0));
  });
}
