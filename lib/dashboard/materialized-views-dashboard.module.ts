import { type DynamicModule, Module, type Provider, UseGuards } from '@nestjs/common';
import { MaterializedViewsCoreModule } from '../nest/materialized-views-core.module.js';
import { DashboardActions } from './dashboard.actions.js';
import { DashboardEntry } from './dashboard.entry.js';
import {
  type ASYNC_OPTIONS_TYPE,
  ConfigurableModuleClass,
  FACTORY_OPTIONS,
  type MaterializedViewsDashboardFactoryOptions,
} from './dashboard.module-definition.js';
import { DASHBOARD_ENTRY, DashboardMount } from './dashboard.mount.js';
import {
  checkAsyncDashboardOptions,
  DASHBOARD_OPTIONS,
  type MaterializedViewsDashboardOptions,
  resolveDashboardOptions,
  resolveFactoryOptions,
} from './dashboard.options.js';
import { DashboardReader } from './dashboard.reader.js';
import { DashboardRoutes } from './dashboard.routes.js';

/**
 * Pages for the browser that show all materialized views, and refresh, cancel, pause and resume them.
 *
 * @example
 * ```ts
 * MaterializedViewsDashboardModule.forRoot({ guards: [AdminGuard], imports: [AuthModule] })
 * ```
 */
@Module({})
export class MaterializedViewsDashboardModule extends ConfigurableModuleClass {
  /**
   * Mounts the dashboard in an application of Express or Fastify. It is closed by default.
   *
   * @throws InvalidOptionsError if an option is unknown or has a wrong value, or there is none of `guards`, `basicAuth`
   * and `allowUnauthenticated: true`
   */
  static override forRoot(options: MaterializedViewsDashboardOptions = {}): DynamicModule {
    const resolved = resolveDashboardOptions(options);
    return mounted(
      { module: MaterializedViewsDashboardModule, imports: options.imports },
      { provide: DASHBOARD_OPTIONS, useValue: resolved },
      options.guards,
    );
  }

  /**
   * Mounts the dashboard with options from `useFactory`, `useClass` or `useExisting`. `guards` go beside the factory,
   * because they shape the module itself. `imports` has the modules that export what the factory and the guards inject.
   *
   * @throws InvalidOptionsError if there is no factory, or a guard isn't one; wrong options are refused at boot, and so is a
   * dashboard without `guards`, `basicAuth` and `allowUnauthenticated: true`
   */
  static override forRootAsync(options: typeof ASYNC_OPTIONS_TYPE): DynamicModule {
    checkAsyncDashboardOptions(options);
    const { guards, ...asyncOptions } = options;
    return mounted(
      super.forRootAsync(asyncOptions),
      {
        provide: DASHBOARD_OPTIONS,
        useFactory: (given: MaterializedViewsDashboardFactoryOptions) =>
          resolveFactoryOptions(given, guards),
        inject: [FACTORY_OPTIONS],
      },
      guards,
    );
  }
}

function mounted(
  definition: DynamicModule,
  options: Provider,
  guards: MaterializedViewsDashboardOptions['guards'] = [],
): DynamicModule {
  // Nest finds guards by the class that they are declared on, and their instances in its module.
  class GuardedDashboardEntry extends DashboardEntry {}
  UseGuards(...guards)(GuardedDashboardEntry);
  return {
    ...definition,
    imports: [MaterializedViewsCoreModule, ...(definition.imports ?? [])],
    providers: [
      ...(definition.providers ?? []),
      options,
      GuardedDashboardEntry,
      { provide: DASHBOARD_ENTRY, useValue: GuardedDashboardEntry },
      DashboardReader,
      DashboardActions,
      DashboardRoutes,
      DashboardMount,
    ],
  };
}
