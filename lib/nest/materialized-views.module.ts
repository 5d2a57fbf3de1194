import { inspect } from 'node:util';
import { type DynamicModule, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { getViewOptions } from '../definition/definition-metadata.accessor.js';
import type { ViewClass } from '../definition/view-class.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import { InvalidModuleOptionsError } from '../errors/usage.errors.js';
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
import { resolveOptions } from '../definition/module.options.js';

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
   * Sets the library up. Importing it again with the same options adds views and nothing else.
   *
   * @throws InvalidModuleOptionsError when an option is unknown or not as it must be
   */
  static override forRoot(options: typeof OPTIONS_TYPE = {}): DynamicModule {
    const { isGlobal, views, dataSource, ...moduleOptions } = requireObject(options);
    resolveOptions(moduleOptions);
    return withViews(super.forRoot(moduleOptions), { isGlobal, views, dataSource });
  }

  /**
   * Sets the library up with options from `useFactory`, `useClass` or `useExisting`. `views`,
   * `dataSource` and `isGlobal` stand beside the factory, since they shape the module itself.
   *
   * @throws InvalidModuleOptionsError when there is no factory; wrong options are refused at boot
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    const { isGlobal, views, dataSource, ...asyncOptions } = requireObject(options);
    requireFactory(asyncOptions);
    return withViews(super.forRootAsync(asyncOptions), { isGlobal, views, dataSource });
  }

  /**
   * Registers views of a feature module; their repositories can be injected there.
   *
   * @param views decorated classes
   * @param dataSource the name of their TypeORM data source
   * @throws InvalidModuleOptionsError when a class is not decorated with `@MaterializedViewEntity`
   */
  static forFeature(views: ViewClass[], dataSource: string = DEFAULT_DATA_SOURCE): DynamicModule {
    return withViews({ module: MaterializedViewsModule }, { isGlobal: false, views, dataSource });
  }
}

function withViews(definition: DynamicModule, given: MaterializedViewsModuleExtras): DynamicModule {
  const {
    isGlobal = DEFAULT_EXTRAS.isGlobal,
    views = DEFAULT_EXTRAS.views,
    dataSource = DEFAULT_EXTRAS.dataSource,
  } = given;
  requireExtras({ isGlobal, views, dataSource });
  views.forEach(requireDecorated);
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

function requireObject<T>(options: T): T {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw refuse('options', 'an object', options);
  }
  return options;
}

/** Nest would say that it cannot resolve a dependency of a symbol. */
function requireFactory(options: typeof ASYNC_OPTIONS_TYPE): void {
  const { useFactory, useClass, useExisting } = options;
  if ([useFactory, useClass, useExisting].every((each) => typeof each !== 'function')) {
    throw refuse('useFactory', 'a function, or `useClass` or `useExisting` a class', useFactory);
  }
}

function requireExtras({ isGlobal, views, dataSource }: MaterializedViewsModuleExtras): void {
  if (!Array.isArray(views)) {
    throw refuse('views', 'an array of decorated classes', views);
  }
  if (typeof dataSource !== 'string' || dataSource === '') {
    throw refuse('dataSource', 'the name of a data source', dataSource);
  }
  if (typeof isGlobal !== 'boolean') {
    throw refuse('isGlobal', 'true or false', isGlobal);
  }
}

function refuse(option: string, expected: string, given: unknown): InvalidModuleOptionsError {
  return new InvalidModuleOptionsError(
    `MaterializedViewsModule: expected \`${option}\` to be ${expected}, got ${inspect(given)}.`,
  );
}

function requireDecorated(view: ViewClass): void {
  if (typeof view !== 'function' || getViewOptions(view) === undefined) {
    const given: unknown = typeof view === 'function' ? view.name : view;
    throw new InvalidModuleOptionsError(
      `MaterializedViewsModule: expected \`views\` to be classes decorated with @MaterializedViewEntity, got ${String(given)}.`,
      given === undefined
        ? { hint: 'Two files that import each other see one class too early.' }
        : {},
    );
  }
}
