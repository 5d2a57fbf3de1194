import { ConsoleLogger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  MaterializedViewEntity,
  type MaterializedViewError,
  MaterializedViewsModule,
  RefreshService,
} from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';
import { Lease } from '../../../dist/esm/definition/lease.js';
import { Rest } from '../../../dist/esm/schedule/rest.js';
import type { ReplicaOptions } from '../../support/replica-process.js';
import { shiftClock } from '../../support/shifted-clock.js';
import { LEDGER } from './ledger-view.js';

/** One of several processes that refresh the ledger's view and carry out a test's requests. */

interface Request {
  id: number;
  do: 'refresh' | 'giveUp' | 'block' | 'shiftClock';
  ms?: number;
}

export interface Answer {
  outcome: string;
  runId?: string;
  code?: string;
  message?: string;
  /** Start and end of `block`. */
  from?: string;
  to?: string;
}

const options = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as ReplicaOptions;
shiftClock(options.clockOffsetMs ?? 0);
// `Ledger.makeDue` makes completed ticks due again. A process that rests until the next tick would miss that.
Rest.prototype.isOver = () => true;
const { ask } = Lease.prototype;
Lease.prototype.ask = function (request) {
  return ask.call(this, { ...request, restMs: 0 });
};

@MaterializedViewEntity({ ...LEDGER, ...(options.cron && { refresh: { cron: options.cron } }) })
@Index('balance_account', ['account'], { unique: true })
class Balance {
  @ViewColumn() account!: number;
  @ViewColumn() balance!: number;
  @ViewColumn() revision!: number;
  @ViewColumn() xid!: string;
}

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.REPLICA_DATABASE_URL,
      applicationName: `replica ${process.pid}`,
      entities: [Balance],
      retryAttempts: 0,
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({
      views: [Balance],
      application: 'tests',
      sweepInterval: 200,
      lockTimeout: '60s',
      // Keeps all runs, because the invariants compare each success with its commit.
      history: { maxCount: 1_000_000 },
      ...options.module,
    }),
  ],
})
class ReplicaModule {}

// The test that started this process has ended.
process.on('disconnect', () => process.exit(1));
process.once('SIGTERM', () => console.log('stopping'));
const patience = new AbortController();
const app = await NestFactory.create(ReplicaModule, {
  logger: new ConsoleLogger({ logLevels: ['error', 'fatal'], colors: false }),
});
// Before `init`, to handle signals during the boot too.
app.enableShutdownHooks();
await app.init();
process.on('message', (request: Request) => {
  void answer(request).then(
    (said) => process.connected && process.send?.({ id: request.id, answer: said }),
  );
});
console.log('booted');

async function answer(request: Request): Promise<Answer> {
  switch (request.do) {
    case 'refresh':
      return refresh();
    case 'giveUp':
      patience.abort();
      return { outcome: 'gave up' };
    case 'block': {
      const from = new Date().toISOString();
      const until = performance.now() + (request.ms ?? 0);
      while (performance.now() < until);
      return { outcome: 'blocked', from, to: new Date().toISOString() };
    }
    case 'shiftClock':
      shiftClock(request.ms ?? 0);
      return { outcome: 'shifted' };
  }
}

async function refresh(): Promise<Answer> {
  try {
    const { outcome, runId } = await app.get(RefreshService).refresh(Balance, {
      signal: patience.signal,
    });
    return { outcome, runId };
  } catch (error) {
    const { code, message } = error as MaterializedViewError;
    return { outcome: 'failed', code, message };
  }
}
