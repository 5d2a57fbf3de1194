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

/** A process that refreshes a view until it is killed, while other processes write the view's tables. */

/** Pause between two refreshes on demand. */
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

// The test that started this process has ended.
process.on('disconnect', () => process.exit(1));
const app = await NestFactory.createApplicationContext(RefresherModule, {
  logger: new ConsoleLogger({ logLevels: ['fatal'], colors: false }),
});
if (isIdle) {
  process.channel?.unref();
  process.once('SIGTERM', () => void app.close());
} else {
  // Keeps the process alive, as an open port would in a real application.
  setInterval(() => undefined, 60_000);
}
console.log('booted');
while (demands) {
  // After a failure, such as a deadlock with a writer, the next refresh catches up.
  await app
    .get(RefreshService)
    .refresh(Totals, demands)
    .catch((error: unknown) => console.error(error));
  await pause(PAUSE_MS);
}
