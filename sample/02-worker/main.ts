import { Cleanup } from '../support/cleanup.js';
import { provideDatabase } from '../support/database.js';
import { reported } from '../support/reported.js';
import { showFreshAfterWrites } from './demo/fresh.js';
import { createSales } from './demo/sale-table.js';
import { showOneRefreshForAll, showOutage, showScheduled } from './demo/scenes.js';
import { ShopProcess } from './demo/shop-process.js';

async function main(cleanup: Cleanup): Promise<void> {
  const { url } = await reported(
    () => provideDatabase(cleanup),
    ({ label }) => label,
  );
  await createSales(url);
  const start = async (name: string, program: 'worker.ts' | 'web.ts'): Promise<ShopProcess> => {
    const started = await ShopProcess.start(name, program);
    cleanup.add(() => started.stop());
    return started;
  };
  const [worker, ...webs] = await reported(
    () =>
      Promise.all([
        start('worker', 'worker.ts'),
        start('web 1', 'web.ts'),
        start('web 2', 'web.ts'),
      ]),
    () => 'Started a worker and two web processes',
  );
  const webUrls = webs.map((web) => web.url);
  const checks = [
    await showScheduled(worker, webUrls),
    await showOneRefreshForAll(url, webUrls),
    await showFreshAfterWrites(url, worker, webUrls),
    await showOutage({ worker, restart: () => start('worker', 'worker.ts'), webUrls }),
  ].flat();
  checks.forEach(({ isRight, what }) => console.log(`  ${isRight ? 'right' : 'WRONG'}  ${what}`));
  if (process.env.DEMO_ONCE === '1') {
    process.exitCode = checks.every(({ isRight }) => isRight) ? 0 : 1;
    await cleanup.run();
  } else {
    console.log(`\nTry: curl -s ${webUrls[0]}/sales; curl -s -X POST ${webUrls[1]}/refresh`);
    console.log('Ctrl-C stops and cleans up.\n');
  }
}

Cleanup.around(main);
