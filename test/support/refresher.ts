import { ConsoleLogger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  MaterializedViewEntity,
  MaterializedViewsModule,
  RefreshService,
} from 'nestjs-materialized-views';
import { setTimeout as pause } from 'node:timers/promises';
import { Index, ViewColumn } from 'typeorm';
import type { ReplicaOptions } from './replica-process.js';
import { TOTALS } from './totals-view.js';

/** One of several processes that refresh a view of which others write the tables, until it is killed. */

/** How long to leave the view alone between two demands. */
const PAUSE_MS = 50;

const { demands, isIdle } = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as ReplicaOptions;

@MaterializedViewEntity({
  ...TOTALS,
  refresh: demands
    ? { cron: '* * * * * *', skipUnchanged: true }
    : { on: 'sources', debounce: 0, skipUnchanged: true },
})
@Index('totals_k', ['k'], { unique: true })
class Totals {
  @ViewColumn() k!: number;
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.REPLICA_DATABASE_URL,
      applicationName: `replica ${process.pid}`,
      entities: [Totals],
      retryAttempts: 0,
      extra: { allowExitOnIdle: true },
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [Totals], application: 'tests', sweepInterval: 500 }),
  ],
})
class RefresherModule {}

// The test that started it is gone.
process.on('disconnect', () => process.exit(1));
const app = await NestFactory.createApplicationContext(RefresherModule, {
  logger: new ConsoleLogger({ logLevels: ['fatal'], colors: false }),
});
if (isIdle) {
  process.channel?.unref();
  process.once('SIGTERM', () => void app.close());
} else {
  // An application would listen on a port.
  setInterval(() => undefined, 60_000);
}
console.log('booted');
while (demands) {
  // One that fails, as on a deadlock with a writer, is made up for by the next.
  await app
    .get(RefreshService)
    .refresh(Totals, demands)
    .catch((error: unknown) => console.error(error));
  await pause(PAUSE_MS);
}
