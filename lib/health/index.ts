export {
  MaterializedViewsHealthIndicator,
  type FreshnessOptions,
} from './materialized-views.health.js';
export { MaterializedViewsHealthModule } from './materialized-views-health.module.js';
export type { ViewHealth } from './view-health.js';
