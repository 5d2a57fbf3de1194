import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { MaterializedViewsDashboardOptions } from './dashboard.options.js';

/** What the factory of `forRootAsync` returns. */
export type MaterializedViewsDashboardFactoryOptions = Omit<
  MaterializedViewsDashboardOptions,
  'guards' | 'imports'
>;

/** Options next to the factory of `forRootAsync`: they shape the module itself. */
export type MaterializedViewsDashboardExtras = Pick<MaterializedViewsDashboardOptions, 'guards'>;

/** Implemented by a class given to `forRootAsync` as `useClass` or `useExisting`. */
export interface MaterializedViewsDashboardOptionsFactory {
  createMaterializedViewsDashboardOptions():
    MaterializedViewsDashboardFactoryOptions | Promise<MaterializedViewsDashboardFactoryOptions>;
}

/** The token of the unchecked result of one `forRootAsync` factory. */
export const FACTORY_OPTIONS = Symbol('nestjs-materialized-views:dashboard-factory-options');

export const { ConfigurableModuleClass, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<MaterializedViewsDashboardFactoryOptions>({
    optionsInjectionToken: FACTORY_OPTIONS,
  })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createMaterializedViewsDashboardOptions')
    .setExtras<MaterializedViewsDashboardExtras>({ guards: [] }, (definition) => definition)
    .build();
