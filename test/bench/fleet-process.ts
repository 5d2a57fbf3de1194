import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from '../../lib/index.js';
import { Session } from '../../lib/postgres/session.js';
import type { SqlStatement } from '../../lib/postgres/sql-statement.js';
import { viewClass, YEARLY } from '../support/view-class.js';

/**
 * One of the processes of the benchmark `fleet`: it boots with as many views as it is told, says how long that took, and then,
 * when it is told to, has all of them due.
 */

export interface FleetOptions {
  viewCount: number;
  /** Whether the views have ticks, and do not depend on writes. @default false */
  isScheduled?: boolean;
  /** So many applications in this process stand for as many processes. @default 1 */
  memberCount?: number;
}

/** It answers with the number of statements so far, or since a tick was asked for. */
interface Question {
  id: number;
  /** When all views are to be due. */
  tickAt?: number;
  /** Whether the memory that the process takes, in bytes, is asked for instead. */
  memory?: boolean;
}

const url = process.env.REPLICA_DATABASE_URL;
const {
  viewCount,
  isScheduled = false,
  memberCount = 1,
} = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as FleetOptions;

const views = Array.from({ length: viewCount }, (_, index) =>
  viewClass({
    name: `view_${index}`,
    schema: 'bench',
    expression: `SELECT id FROM public.items WHERE id <> ${index}`,
    key: ['id'],
    refresh: isScheduled ? { cron: YEARLY } : { on: 'sources' },
  }),
);

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: views, retryAttempts: 0 }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views }),
  ],
})
class FleetModule {}

let statementCount = 0;
const prototype = Session.prototype as unknown as {
  answer(statement: SqlStatement): Promise<unknown>;
};
const { answer } = prototype;
prototype.answer = function (statement) {
  // As the server counts: each of a script.
  statementCount += statement.isScript ? statement.text.split(';\n').length : 1;
  return answer.call(this, statement);
};

// The benchmark that started it is gone.
process.on('disconnect', () => process.exit(1));
console.log('loaded');
await new Promise((resolve) => process.once('message', resolve));
const startedAtMs = performance.now();
const app = await NestFactory.createApplicationContext(FleetModule, { logger: ['error'] });
for (let others = 1; others < memberCount; others++) {
  await NestFactory.createApplicationContext(FleetModule, { logger: ['error'] });
}
process.send?.({ id: 1, answer: performance.now() - startedAtMs });

process.on('message', ({ id, tickAt, memory }: Question) => {
  if (tickAt !== undefined) {
    statementCount = 0;
    const jobs = [...app.get(SchedulerRegistry).getCronJobs().values()];
    setTimeout(() => jobs.forEach((job) => void job.fireOnTick()), tickAt - Date.now());
  }
  process.send?.({ id, answer: memory ? process.memoryUsage.rss() : statementCount });
});
