import { refresh, sales, type ScheduledRun, scheduledRuns, until } from './shop-client.js';

const MISSED_TICK_COUNT = 3;

export interface Outage {
  /** The ticks that came meanwhile. */
  missedTicks: number[];
  /** Those of them that were done, by whomever. */
  doneTicks: number[];
  /** What a web process said of the rows before it refreshed them on demand. */
  isStale: boolean;
  outcome: string;
}

/** What happens while there is no worker: lets some ticks go by, then refreshes on demand. */
export async function outage(webUrl: string): Promise<Outage> {
  // A tick may start a moment before its instant: this one may have been sent off by the worker still.
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

/** Waits for the next tick, by the database's clock. */
async function nextTick(webUrl: string): Promise<number> {
  const { nextTickAt } = await sales(webUrl);
  await until(async () => (await sales(webUrl)).nextTickAt > nextTickAt || undefined);
  return nextTickAt;
}

/** The first scheduled refresh after all, for however many ticks. */
export async function catchUp(webUrl: string, { missedTicks }: Outage): Promise<ScheduledRun> {
  return until(async () => {
    const runs = await scheduledRuns(webUrl);
    return runs.find(({ tickAt }) => tickAt >= (missedTicks[0] ?? 0));
  });
}
