import { ConsoleLogger, type DynamicModule, type Type } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { Test, type TestingModule } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import type { DataSourceOptions } from 'typeorm';
import { MaterializedViewsModule, type ViewClass } from '../../lib/index.js';
import type { TestDatabase } from './test-database.js';
import { type TestView, viewClass } from './view-class.js';

type ModuleImport = DynamicModule | Type;

/** TypeORM on the test's database, without retries, so that a boot fails at the first error. */
export function typeOrm(
  database: TestDatabase,
  options: Partial<DataSourceOptions> & { name?: string; autoLoadEntities?: boolean } = {},
): DynamicModule {
  return TypeOrmModule.forRoot({
    type: 'postgres',
    url: database.url,
    autoLoadEntities: true,
    retryAttempts: 0,
    applicationName: 'tests',
    ...options,
  } as Parameters<typeof TypeOrmModule.forRoot>[0]);
}

/** Boots an application with the given modules. */
export async function boot(...imports: ModuleImport[]): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports })
    .setLogger(new ConsoleLogger({ logLevels: ['fatal'] }))
    .compile();
  return module.init();
}

/** Boots the usual application: one data source, and no schedules unless `options` enables them. */
export async function bootWith(
  database: TestDatabase,
  options: NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>,
  ...imports: ModuleImport[]
): Promise<TestingModule> {
  return boot(
    // Without autoLoadEntities, which adds every entity that any application in this process has registered.
    typeOrm(database, {
      autoLoadEntities: false,
      entities: options.views as (new () => object)[] | undefined,
    }),
    ScheduleModule.forRoot(),
    MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
    ...imports,
  );
}

/** Boots a release of an application with these views. The next release may have other views of the same names. */
export async function bootRelease(
  database: TestDatabase,
  views: (TestView | ViewClass)[],
  options: Parameters<typeof MaterializedViewsModule.forRoot>[0] = {},
): Promise<TestingModule> {
  const entities = views.map((view) =>
    typeof view === 'function' ? view : viewClass(view),
  ) as (new () => object)[];
  return boot(
    typeOrm(database, { autoLoadEntities: false, entities }),
    MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
  );
}
