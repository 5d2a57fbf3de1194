export { MaterializedViewsDashboardModule } from './materialized-views-dashboard.module.js';
export type { BasicAuthOptions, MaterializedViewsDashboardOptions } from './dashboard.options.js';
export type {
  MaterializedViewsDashboardExtras,
  MaterializedViewsDashboardFactoryOptions,
  MaterializedViewsDashboardOptionsFactory,
} from './dashboard.module-definition.js';
