import { ConsoleLogger, type INestApplication } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ScheduleModule } from '@nestjs/schedule';
import { Test, type TestingModuleBuilder } from '@nestjs/testing';
import { MaterializedViewsModule } from '../../lib/index.js';
import { typeOrm } from './test-app.js';
import type { TestDatabase } from './test-database.js';

export type Platform = 'express' | 'fastify';

export interface HttpApp {
  app: INestApplication;
  /** Without a trailing slash. */
  url: string;
}

interface HttpAppOptions {
  platform: Platform;
  database: TestDatabase;
  options: NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;
  metadata: Parameters<typeof Test.createTestingModule>[0];
  /** In addition to the views. */
  entities?: (new () => object)[];
  /** Whether Fastify ignores a trailing slash in a path, as Express does. @default false */
  ignoreTrailingSlash?: boolean;
  /** Called before the application listens, for what `main.ts` would do. */
  prepare?: (app: INestApplication) => void;
}

/** Starts an application without schedules on a free port. */
export async function listen({
  platform,
  database,
  options,
  metadata,
  entities = [],
  ignoreTrailingSlash = false,
  prepare = () => undefined,
}: HttpAppOptions): Promise<HttpApp> {
  const builder: TestingModuleBuilder = Test.createTestingModule({
    ...metadata,
    imports: [
      typeOrm(database, {
        autoLoadEntities: false,
        entities: [...((options.views ?? []) as (new () => object)[]), ...entities],
      }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
      ...(metadata.imports ?? []),
    ],
  });
  const module = await builder.setLogger(new ConsoleLogger({ logLevels: ['fatal'] })).compile();
  const app =
    platform === 'express'
      ? module.createNestApplication(new ExpressAdapter())
      : module.createNestApplication<NestFastifyApplication>(
          new FastifyAdapter({ routerOptions: { ignoreTrailingSlash } }),
        );
  prepare(app);
  try {
    await app.listen(0, '127.0.0.1');
    return { app, url: await app.getUrl() };
  } catch (error) {
    await app.close();
    throw error;
  }
}
