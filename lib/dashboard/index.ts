export { MaterializedViewsDashboardModule } from './materialized-views-dashboard.module.js';
export type { BasicAuthOptions, MaterializedViewsDashboardOptions } from './dashboard.options.js';
