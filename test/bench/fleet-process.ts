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
 * A process of the benchmarks `fleet` and `capacity`. Its first message makes it boot, and is answered with the duration in ms.
 * Later messages can fire the ticks of all views.
 */

export interface FleetOptions {
  viewCount: number;
  /** Whether the views are refreshed by schedule, and not after writes. @default false */
  isScheduled?: boolean;
  /** Applications in this process. Each stands for a process. @default 1 */
  memberCount?: number;
}

/** The answer is the number of statements since the start, or since the last `tickAt`. */
interface Question {
  id: number;
  /** When to fire the ticks of all views. */
  tickAt?: number;
  /** Asks for the process's memory in bytes instead. */
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
  // Counts each statement of a script, as the server does.
  statementCount += statement.isScript ? statement.text.split(';\n').length : 1;
  return answer.call(this, statement);
};

// The benchmark that started this process has ended.
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
