import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { getViewOptions } from '../definition/definition-metadata.accessor.js';
import {
  aBoolean,
  aDataSource,
  checkOptions,
  listOf,
  notImported,
  objectOf,
  type Rule,
  type Rules,
} from '../definition/option-rules.js';
import type { ViewClass } from '../definition/view-class.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import { MaterializedViewsCoreModule } from './materialized-views-core.module.js';
import {
  type ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  DEFAULT_EXTRAS,
  type MaterializedViewsModuleExtras,
  type OPTIONS_TYPE,
  VIEW_REGISTRATION,
  type ViewRegistration,
} from './materialized-views.module-definition.js';
import {
  type MaterializedViewsModuleOptions,
  MODULE_RULES,
  resolveOptions,
} from '../definition/module.options.js';
import { ASYNC_RULES, requireFactory } from './require-factory.js';

/**
 * Creates, schedules and refreshes the application's materialized views.
 *
 * @example
 * ```ts
 * \@Module({
 *   imports: [
 *     TypeOrmModule.forRoot({ type: 'postgres', url, autoLoadEntities: true }),
 *     ScheduleModule.forRoot(),
 *     MaterializedViewsModule.forRoot({ views: [DailyRevenue] }),
 *   ],
 * })
 * export class AppModule {}
 * ```
 */
@Module({})
export class MaterializedViewsModule extends ConfigurableModuleClass {
  /**
   * Sets up the library. Importing it again with the same options only adds views.
   *
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    check(forRootRules, options);
    const { isGlobal, views, dataSource, ...moduleOptions } = options;
    resolveOptions(moduleOptions);
    return withViews(super.forRoot(moduleOptions), { isGlobal, views, dataSource });
  }

  /**
   * Sets up the library with options from `useFactory`, `useClass` or `useExisting`. `views`, `dataSource` and
   * `isGlobal` go beside the factory, because they shape the module itself.
   *
   * @throws InvalidOptionsError if there is no factory; wrong options are refused at boot
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    check(forRootAsyncRules, options);
    const { isGlobal, views, dataSource, ...asyncOptions } = options;
    requireFactory(SUBJECT, asyncOptions);
    return withViews(super.forRootAsync(asyncOptions), { isGlobal, views, dataSource });
  }

  /**
   * Registers views of a feature module; their repositories can be injected there.
   *
   * @param views decorated classes
   * @param dataSource the name of their TypeORM data source
   * @throws InvalidOptionsError if a class is not decorated with `@MaterializedViewEntity`
   */
  static forFeature(views: ViewClass[], dataSource: string = DEFAULT_DATA_SOURCE): DynamicModule {
    check(forFeatureRules, { views, dataSource });
    return withViews({ module: MaterializedViewsModule }, { isGlobal: false, views, dataSource });
  }
}

function withViews(definition: DynamicModule, given: MaterializedViewsModuleExtras): DynamicModule {
  const {
    isGlobal = DEFAULT_EXTRAS.isGlobal,
    views = DEFAULT_EXTRAS.views,
    dataSource = DEFAULT_EXTRAS.dataSource,
  } = given;
  const registration: ViewRegistration = { views, dataSource };
  const shared = [
    MaterializedViewsCoreModule,
    ...(views.length > 0 ? [TypeOrmModule.forFeature(views as never[], dataSource)] : []),
  ];
  return {
    ...definition,
    global: isGlobal,
    imports: [...(definition.imports ?? []), ...shared],
    providers: [
      ...(definition.providers ?? []),
      { provide: VIEW_REGISTRATION, useValue: registration },
    ],
    exports: shared,
  };
}

const aView: Rule = (value, at) => {
  if (typeof value !== 'function' || getViewOptions(value) === undefined) {
    throw notImported(
      at,
      'a class decorated with @MaterializedViewEntity or @PlainViewEntity',
      value,
    );
  }
};

const extrasRules: Rules<MaterializedViewsModuleExtras> = {
  isGlobal: aBoolean,
  views: listOf(aView),
  dataSource: aDataSource,
};

const forRootRules = objectOf<MaterializedViewsModuleOptions & MaterializedViewsModuleExtras>({
  ...MODULE_RULES,
  ...extrasRules,
});

const forRootAsyncRules = objectOf<typeof ASYNC_OPTIONS_TYPE>({
  ...ASYNC_RULES,
  ...extrasRules,
});

const forFeatureRules = objectOf<Pick<MaterializedViewsModuleExtras, 'views' | 'dataSource'>>(
  { views: extrasRules.views, dataSource: extrasRules.dataSource },
  ['views'],
);

const SUBJECT = 'MaterializedViewsModule';

function check(rule: Rule, options: unknown): void {
  checkOptions(SUBJECT, rule, options);
}
