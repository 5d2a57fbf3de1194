import { ConsoleLogger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  MaterializedViewEntity,
  MaterializedViewsModule,
  RefreshService,
} from 'nestjs-materialized-views';
import { DataSource, Index, ViewColumn } from 'typeorm';
import { Lease } from '../../dist/esm/definition/lease.js';
import { Rest } from '../../dist/esm/schedule/rest.js';
import type { ReplicaOptions, Requested } from './replica-process.js';
import { shiftClock } from './shifted-clock.js';

/** One of several application processes that a test starts on one database. */

const options = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as ReplicaOptions;
shiftClock(options.clockOffsetMs ?? 0);
// A test may make a completed tick due again. A process that rests until the next tick would miss that.
Rest.prototype.isOver = () => true;
const { ask } = Lease.prototype;
Lease.prototype.ask = function (request) {
  return ask.call(this, { ...request, restMs: 0 });
};

@MaterializedViewEntity({
  name: 'ticking_total',
  expression: 'SELECT count(*)::int AS total FROM ticking',
})
class TickingTotal {
  @ViewColumn() total!: number;
}

@MaterializedViewEntity({
  name: 'ticking',
  expression: options.expression ?? `SELECT 1 AS id ${options.cron ? 'WHERE public.gate()' : ''}`,
  version: options.version,
  ...(options.cron && { refresh: { cron: options.cron } }),
})
@Index('ticking_id', ['id'], { unique: true })
class Ticking {
  @ViewColumn() id!: number;
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.REPLICA_DATABASE_URL,
      applicationName: `replica ${process.pid}`,
      autoLoadEntities: true,
      retryAttempts: 0,
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({
      views: [TickingTotal, Ticking],
      application: 'tests',
      lockTimeout: '60s',
      ...options.module,
    }),
  ],
})
class ReplicaModule {}

// The test that started this process has ended.
process.on('disconnect', () => process.exit(1));

const app = await NestFactory.createApplicationContext(ReplicaModule, {
  logger: new ConsoleLogger({ logLevels: ['error', 'fatal'], colors: false }),
});
app.enableShutdownHooks();
// Keeps the process alive, as an open port would in a real application.
setInterval(() => undefined, 60_000);
const requested: Promise<Requested>[] = [];
process.on('message', ({ id, count, row }: { id: number; count?: number; row?: number }) => {
  if (count !== undefined) {
    requested.push(...Array.from({ length: count }, () => request(row ?? 0)));
    process.send?.({ id, answer: 'requested' });
  } else {
    void Promise.all(requested).then((answer) => process.send?.({ id, answer }));
  }
});
console.log('booted');
if (options.refresh) {
  const { outcome } = await app.get(RefreshService).refresh(Ticking);
  console.log(outcome);
}

/** Refreshes the view, and checks whether it then has the row. */
async function request(row: number): Promise<Requested> {
  const { outcome, runId } = await app.get(RefreshService).refresh(Ticking);
  const rows = await app
    .get(DataSource)
    .query<unknown[]>('SELECT FROM ticking WHERE id = $1', [row]);
  return { outcome, runId, isCovered: rows.length === 1 };
}
