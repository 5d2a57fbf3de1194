import 'reflect-metadata';
import { Injectable, Module, type OnApplicationShutdown } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cron, CronExpression, ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewEntity, MaterializedViewsModule } from '../../lib/index.js';
import { Pool } from 'pg';
import { Index, ViewColumn } from 'typeorm';
import { shiftClock } from '../support/shifted-clock.js';

/** A process of the benchmark `cluster`. It refreshes three views every second, each in a different way. */

const url = process.env.REPLICA_DATABASE_URL;
const { clockOffsetMs = 0 } = JSON.parse(process.env.REPLICA_OPTIONS ?? '{}') as {
  clockOffsetMs?: number;
};
shiftClock(clockOffsetMs);

@MaterializedViewEntity({
  name: 'library',
  schema: 'bench',
  expression: 'SELECT id, run FROM bench.library_query',
  refresh: { cron: CronExpression.EVERY_SECOND },
})
@Index(['id'], { unique: true })
class Library {
  @ViewColumn() id!: number;
  @ViewColumn() run!: string;
}

/** What an application without the library would do. */
@Injectable()
class OwnSchedule implements OnApplicationShutdown {
  private readonly pool = new Pool({ connectionString: url, max: 2 });

  @Cron(CronExpression.EVERY_SECOND)
  async plain(): Promise<void> {
    await this.pool.query('REFRESH MATERIALIZED VIEW CONCURRENTLY bench.plain');
  }

  @Cron(CronExpression.EVERY_SECOND)
  async tryLock(): Promise<void> {
    const client = await this.pool.connect();
    try {
      await client.query('BEGIN');
      const { rows } = await client.query<{ acquired: boolean }>(
        'SELECT pg_try_advisory_xact_lock(4712) AS acquired',
      );
      if (rows[0]?.acquired) {
        await client.query('REFRESH MATERIALIZED VIEW CONCURRENTLY bench.try_lock');
      }
      await client.query('COMMIT');
    } finally {
      client.release();
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: [Library], retryAttempts: 0 }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ views: [Library] }),
  ],
  providers: [OwnSchedule],
})
class ClusterModule {}

// The benchmark that started this process has ended.
process.on('disconnect', () => process.exit(1));
await NestFactory.createApplicationContext(ClusterModule, { logger: ['error'] });
console.log('booted');
