import { reported } from '../../support/reported.js';
import { catchUp, outage } from './outage.js';
import { sell } from './sale-table.js';
import { refresh, sales, scheduledRuns, until } from './shop-client.js';
import type { ShopProcess } from './shop-process.js';

/** Concurrent requests to each web process. */
const REQUEST_COUNT = 20;

export interface Check {
  isRight: boolean;
  what: string;
}

/** Ticks are done by the worker only. */
export async function showScheduled(worker: ShopProcess, webUrls: string[]): Promise<Check[]> {
  const [webUrl = ''] = webUrls;
  const runs = await reported(
    () =>
      until(async () => {
        const found = await scheduledRuns(webUrl);
        // In an existing database, the history also has runs of earlier workers.
        const own = found.slice(found.findIndex(({ pid }) => pid === worker.pid));
        return own.length >= 2 && own[0]?.pid === worker.pid ? own : undefined;
      }),
    (found) => `Scheduled refreshes in the history: ${found.length}`,
  );
  return [
    {
      isRight: runs.every(({ pid }) => pid === worker.pid),
      what: `the worker (process ${worker.pid}) did each of them`,
    },
  ];
}

/** Requests many refreshes from both web processes at once. Then both have the new row. */
export async function showOneRefreshForAll(url: string, webUrls: string[]): Promise<Check[]> {
  await sell(url, 'quince', 5);
  const results = await reported(
    () =>
      Promise.all(
        Array.from({ length: REQUEST_COUNT }, () => webUrls)
          .flat()
          .map(refresh),
      ),
    (found) =>
      `POST /refresh, ${REQUEST_COUNT} times of each: ${countOf(found, 'refreshed')} refreshed, ${countOf(found, 'joined')} joined one of these`,
  );
  const answers = await Promise.all(webUrls.map(sales));
  return [
    {
      isRight: results.every(({ outcome }) => ['refreshed', 'joined'].includes(outcome)),
      what: 'each request was answered with rows that are new enough',
    },
    ...answers.map(({ rows, ageMs }, index) => ({
      isRight: rows.some(({ product }) => product === 'quince'),
      what: `GET /sales of web ${index + 1}: ${rows.length} rows, ${Math.round(ageMs)} ms old, with what was sold before`,
    })),
  ];
}

function countOf(results: { outcome: string }[], outcome: string): number {
  return results.filter((each) => each.outcome === outcome).length;
}

export interface OutageSetup {
  worker: ShopProcess;
  /** Starts another worker. */
  restart: () => Promise<ShopProcess>;
  webUrls: string[];
}

/** Without a worker, no tick is done, but refreshes on demand work. A new worker makes up for all ticks with one refresh. */
export async function showOutage({ worker, restart, webUrls }: OutageSetup): Promise<Check[]> {
  const [webUrl = ''] = webUrls;
  await worker.kill();
  const gone = await reported(
    () => outage(webUrl),
    ({ missedTicks }) => `Killed the worker: ${missedTicks.length} ticks have gone by`,
  );
  const next = await restart();
  const made = await reported(
    () => catchUp(webUrl, gone),
    ({ tickAt }) => `Started another: it has done the tick ${new Date(tickAt).toISOString()}`,
  );
  return [
    {
      isRight: gone.doneTicks.length === 0 && gone.isStale,
      what: `without the worker ${gone.doneTicks.length} ticks were done, and GET /sales said that the rows were stale`,
    },
    {
      isRight: gone.outcome === 'refreshed',
      what: 'a web process refreshed on demand all the same',
    },
    {
      isRight: made.pid === next.pid && made.tickAt >= (gone.missedTicks.at(-1) ?? 0),
      what: 'all missed ticks were made good by one refresh of the new worker',
    },
  ];
}
