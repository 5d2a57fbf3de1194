import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule } from '../../lib/index.js';
import { viewClass } from '../support/view-class.js';

/** One of the processes of the benchmark `fleet`: it boots with as many views as it is told, and prints how long that took. */

const url = process.env.REPLICA_DATABASE_URL;
const { viewCount = 1 } = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as { viewCount?: number };

const views = Array.from({ length: viewCount }, (_, index) =>
  viewClass({
    name: `view_${index}`,
    schema: 'bench',
    expression: `SELECT id FROM public.items WHERE id <> ${index}`,
    key: ['id'],
    refresh: { on: 'sources' },
  }),
);

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: views, retryAttempts: 0 }),
    MaterializedViewsModule.forRoot({ views }),
  ],
})
class FleetModule {}

// The benchmark that started it is gone.
process.on('disconnect', () => process.exit(1));
console.log('loaded');
await new Promise((resolve) => process.once('message', resolve));
const startedAtMs = performance.now();
await NestFactory.createApplicationContext(FleetModule, { logger: ['error'] });
process.send?.({ id: 1, answer: performance.now() - startedAtMs });
