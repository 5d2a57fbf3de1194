import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  type ViewClass,
} from '../../lib/index.js';

class BenchModule {}

/** Runs `work` in a booted application that has the given views, without schedules. */
export async function withApp<T>(
  url: string,
  views: ViewClass[],
  work: (app: INestApplicationContext) => Promise<T>,
  options: MaterializedViewsModuleOptions = {},
): Promise<T> {
  // Without `autoLoadEntities`, which adds the views of every earlier application in this process.
  const imports = [
    TypeOrmModule.forRoot({ type: 'postgres', url, entities: views, retryAttempts: 0 }),
    MaterializedViewsModule.forRoot({ views, scheduling: false, ...options }),
  ];
  const app = await NestFactory.createApplicationContext(
    { module: BenchModule, imports },
    { logger: false, abortOnError: false },
  );
  try {
    return await work(app);
  } finally {
    await app.close();
  }
}
