import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { ViewClass } from '../definition/view-class.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import type { MaterializedViewsModuleOptions } from '../definition/module.options.js';

/** Options next to those of `forRoot`, and next to the factory of `forRootAsync`. */
export interface MaterializedViewsModuleExtras {
  /** Whether `RefreshService` and the repositories of `views` can be injected everywhere. @default true */
  isGlobal?: boolean;
  /** Decorated classes to register with TypeORM, as `TypeOrmModule.forFeature` does. @default [] */
  views?: ViewClass[];
  /** The name of the TypeORM data source of these views. @default 'default' */
  dataSource?: string;
}

/** Implemented by a class given to `forRootAsync` as `useClass` or `useExisting`. */
export interface MaterializedViewsOptionsFactory {
  createMaterializedViewsOptions():
    MaterializedViewsModuleOptions | Promise<MaterializedViewsModuleOptions>;
}

export const DEFAULT_EXTRAS: Required<MaterializedViewsModuleExtras> = {
  isGlobal: true,
  views: [],
  dataSource: DEFAULT_DATA_SOURCE,
};

/** The token of the options of one `forRoot` or `forRootAsync`. */
export const MODULE_OPTIONS = Symbol.for('nestjs-materialized-views:module-options');

/** The token of the views of one `forRoot`, `forRootAsync` or `forFeature`. */
export const VIEW_REGISTRATION = Symbol.for('nestjs-materialized-views:view-registration');

/** The value of `VIEW_REGISTRATION`. */
export interface ViewRegistration {
  views: ViewClass[];
  dataSource: string;
}

export const { ConfigurableModuleClass, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<MaterializedViewsModuleOptions>({
    optionsInjectionToken: MODULE_OPTIONS,
  })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createMaterializedViewsOptions')
    .setExtras<MaterializedViewsModuleExtras>(DEFAULT_EXTRAS, (definition) => definition)
    .build();
