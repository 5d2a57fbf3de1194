import { NestFactory } from '@nestjs/core';
import type { INestApplication } from '@nestjs/common';
import { RefreshService } from 'nestjs-materialized-views';
import { Cleanup } from '../support/cleanup.js';
import { provideDatabase } from '../support/database.js';
import { DemoLogger } from '../support/demo.logger.js';
import { reported } from '../support/reported.js';
import { AppModule } from './app.module.js';
import { listen } from './demo/listen.js';
import { loadProgress } from './demo/load-progress.js';
import { describeLoad, printPages, printTimings, printUrls } from './demo/report.js';
import { selfCheck } from './demo/self-check.js';
import { requestTimings } from './demo/self-request.js';
import { loadCompatData } from './tables/compat.loader.js';

async function main(cleanup: Cleanup): Promise<void> {
  const { url } = await reported(
    () => provideDatabase(cleanup),
    ({ label }) => label,
  );
  await reported(() => loadCompatData(url, loadProgress()), describeLoad);
  const app = await reported(
    () => boot(cleanup),
    () => 'Booted: the views are there',
  );
  await reported(
    () => app.get(RefreshService).refreshAll(),
    () => 'Refreshed all of them',
  );
  const baseUrl = await listen(app);
  const timings = await requestTimings(baseUrl);
  printTimings(timings);
  printPages(baseUrl);
  if (process.env.DEMO_ONCE === '1') {
    process.exitCode = (await selfCheck(baseUrl, timings)) ? 0 : 1;
    await cleanup.run();
  } else {
    printUrls(baseUrl);
  }
}

async function boot(cleanup: Cleanup): Promise<INestApplication> {
  const app = await NestFactory.create(AppModule, {
    logger: new DemoLogger({ logLevels: ['log', 'warn', 'error', 'fatal'] }),
  });
  cleanup.add(() => app.close());
  return app.init();
}

Cleanup.around(main);
