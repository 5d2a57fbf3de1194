import { type DynamicModule, Module, UseGuards } from '@nestjs/common';
import { MaterializedViewsCoreModule } from '../nest/materialized-views-core.module.js';
import { DashboardEntry } from './dashboard.entry.js';
import { DASHBOARD_ENTRY, DashboardMount } from './dashboard.mount.js';
import {
  DASHBOARD_OPTIONS,
  type MaterializedViewsDashboardOptions,
  resolveDashboardOptions,
} from './dashboard.options.js';
import { DashboardActions } from './dashboard.actions.js';
import { DashboardReader } from './dashboard.reader.js';
import { DashboardRoutes } from './dashboard.routes.js';

/**
 * Pages for the browser that show how all materialized views stand, and refresh, cancel, pause and resume them.
 *
 * @example
 * ```ts
 * MaterializedViewsDashboardModule.forRoot({ guards: [AdminGuard], imports: [AuthModule] })
 * ```
 */
@Module({})
export class MaterializedViewsDashboardModule {
  /**
   * Mounts the dashboard in an application of Express or Fastify. It is closed by default.
   *
   * @throws InvalidOptionsError when an option is unknown or not as it must be, or there is none of `guards`, `basicAuth`
   *   and `allowUnauthenticated: true`
   */
  static forRoot(options: MaterializedViewsDashboardOptions = {}): DynamicModule {
    const resolved = resolveDashboardOptions(options);
    const { guards = [], imports = [] } = options;
    // Nest finds guards by the class that they are declared on, and instances of them in its module.
    class GuardedDashboardEntry extends DashboardEntry {}
    UseGuards(...guards)(GuardedDashboardEntry);
    return {
      module: MaterializedViewsDashboardModule,
      imports: [MaterializedViewsCoreModule, ...imports],
      providers: [
        { provide: DASHBOARD_OPTIONS, useValue: resolved },
        GuardedDashboardEntry,
        { provide: DASHBOARD_ENTRY, useValue: GuardedDashboardEntry },
        DashboardReader,
        DashboardActions,
        DashboardRoutes,
        DashboardMount,
      ],
    };
  }
}
