import { reported } from '../../support/reported.js';
import { sell } from './sale-table.js';
import type { Check } from './scenes.js';
import { type ShopTotal, total, until, writeRuns } from './shop-client.js';
import type { ShopProcess } from './shop-process.js';

/** Each sale is a transaction of its own. */
const SALE_COUNT = 3;

/** Sales by plain SQL appear in the view soon, because the worker refreshes it after writes. */
export async function showFreshAfterWrites(
  url: string,
  worker: ShopProcess,
  [webUrl = '']: string[],
): Promise<Check[]> {
  const before = await until(() => totalWhen(webUrl, ({ isUnchanged }) => isUnchanged));
  for (let sale = 0; sale < SALE_COUNT; sale++) {
    await sell(url, 'fig', 1);
  }
  const writtenAt = performance.now();
  const after = await reported(
    () => until(() => totalWhen(webUrl, ({ sales }) => sales === before.sales + SALE_COUNT)),
    () =>
      `Sold ${SALE_COUNT} figs by SQL: GET /total had them ${Math.round(performance.now() - writtenAt)} ms after the last`,
  );
  const runs = await writeRuns(webUrl);
  return [
    {
      isRight: runs.length > 0 && runs.every(({ pid }) => pid === worker.pid),
      what: `the worker refreshed it because of writes, ${runs.length} times since it runs`,
    },
    {
      isRight: after.isUnchanged,
      what: 'its status says that nothing has been written since',
    },
  ];
}

async function totalWhen(
  webUrl: string,
  isIt: (total: ShopTotal) => boolean,
): Promise<ShopTotal | undefined> {
  const found = await total(webUrl);
  return isIt(found) ? found : undefined;
}
