import { type DynamicModule, Module } from '@nestjs/common';
import { getDataSourceToken, getRepositoryToken } from '@nestjs/typeorm';
import type { TestingModuleBuilder } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import {
  aDataSource,
  aFunction,
  checkOptions,
  listOf,
  matching,
  objectOf,
  type Rule,
} from '../definition/option-rules.js';
import type { ViewClass } from '../definition/view-class.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import { RefreshService } from '../engine/refresh.service.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { DataSourceConnector } from '../nest/data-source.connector.js';
import { FilledRepository } from './filled.repository.js';
import { RecordingRefreshService } from './recording-refresh.service.js';

/** A view, and the rows that its repository returns. */
export type ViewRows = readonly [view: ViewClass, rows: readonly object[]];

export interface WithoutDatabaseOptions {
  /** The rows that the repositories of views return. @default none: reading a view throws */
  rows?: readonly ViewRows[];
  /** The names of the application's TypeORM data sources. @default ['default'] */
  dataSources?: readonly string[];
}

const viewRows: Rule = (value, at) => {
  matching('a pair of a class and the rows of its view', (pair) => Array.isArray(pair))(value, at);
  const [view, rows] = value as unknown[];
  aFunction(view, at.element(0));
  listOf(() => undefined)(rows, at.element(1));
};
const rules = { rows: listOf(viewRows), dataSources: listOf(aDataSource) };
const moduleOptions = objectOf<Pick<WithoutDatabaseOptions, 'rows'>>({ rows: rules.rows });
const withoutDatabaseOptions = objectOf<WithoutDatabaseOptions>(rules);

/** For tests of code that uses views, without a database. */
@Module({})
export class MaterializedViewsTestingModule {
  /**
   * Replaces `MaterializedViewsModule` in a test of one module. It provides a `RefreshService` that records its calls
   * (`RecordingRefreshService`) and the repositories of the given views, globally.
   *
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @example
   * ```ts
   * const module = await Test.createTestingModule({
   *   imports: [MaterializedViewsTestingModule.forRoot({ rows: [[DailyRevenue, [{ day: '2026-01-01', revenue: '5'
   *   }]]] })], controllers: [RevenueController], }).compile();
   * ```
   */
  static forRoot(options: Pick<WithoutDatabaseOptions, 'rows'> = {}): DynamicModule {
    checkOptions('MaterializedViewsTestingModule.forRoot', moduleOptions, options);
    const { rows = [] } = options;
    const dataSource = offline();
    const providers = [
      RecordingRefreshService,
      { provide: RefreshService, useExisting: RecordingRefreshService },
      ...rows.map(([view, given]) => ({
        provide: getRepositoryToken(view as never),
        useValue: new FilledRepository(view, given, dataSource),
      })),
    ];
    return {
      module: MaterializedViewsTestingModule,
      global: true,
      providers,
      exports: providers,
    };
  }

  /**
   * Lets a whole application compile without a database. Its data sources never connect, no view is created or
   * refreshed on schedule, and `RefreshService` records its calls (`RecordingRefreshService`). Repositories return
   * the given rows; any other access to the database throws.
   *
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @example
   * ```ts
   * const builder = Test.createTestingModule({ imports: [AppModule] });
   * const module = await MaterializedViewsTestingModule.withoutDatabase(builder, {
   *   rows: [[DailyRevenue, [{ day: '2026-01-01', revenue: '5' }]]],
   * }).compile();
   * ```
   */
  static withoutDatabase(
    builder: TestingModuleBuilder,
    options: WithoutDatabaseOptions = {},
  ): TestingModuleBuilder {
    const subject = 'MaterializedViewsTestingModule.withoutDatabase';
    checkOptions(subject, withoutDatabaseOptions, options);
    const { rows = [], dataSources = [DEFAULT_DATA_SOURCE] } = options;
    for (const name of dataSources) {
      const dataSource = offline();
      builder.overrideProvider(getDataSourceToken(name)).useValue(dataSource);
      for (const [view, given] of rows) {
        builder
          .overrideProvider(getRepositoryToken(view as never, name))
          .useValue(new FilledRepository(view, given, dataSource));
      }
    }
    return builder
      .overrideProvider(DataSourceConnector)
      .useFactory({
        factory: (sources: ManagedDataSources) => ({ connect: () => sources.complete() }),
        inject: [ManagedDataSources],
      })
      .overrideProvider(RefreshService)
      .useValue(new RecordingRefreshService());
  }
}

/** A TypeORM data source that never connects, and throws an error that says so when it is used. */
function offline(): DataSource {
  const dataSource = new DataSource({ type: 'postgres' });
  const refuse = (target: unknown): never => {
    const name = typeof target === 'function' ? target.name : 'the database';
    throw new InvalidOptionsError(
      `This test runs without a database, and ${name} was read or written.`,
      {
        hint: 'Give the rows of a view to MaterializedViewsTestingModule, or override the provider that needs the database.',
      },
    );
  };
  dataSource.getMetadata = refuse;
  dataSource.createQueryRunner = () => refuse(undefined);
  return dataSource;
}
