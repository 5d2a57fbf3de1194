/**
 * Pages in the browser that show how views stand, and refresh, cancel, pause and resume them.
 *
 * @module nestjs-materialized-views/dashboard
 */

export { MaterializedViewsDashboardModule } from './materialized-views-dashboard.module.js';
export type { BasicAuthOptions, MaterializedViewsDashboardOptions } from './dashboard.options.js';
export type {
  MaterializedViewsDashboardExtras,
  MaterializedViewsDashboardFactoryOptions,
  MaterializedViewsDashboardOptionsFactory,
} from './dashboard.module-definition.js';
