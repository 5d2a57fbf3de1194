/**
 * An indicator for @nestjs/terminus.
 *
 * @module nestjs-materialized-views/health
 */

export {
  MaterializedViewsHealthIndicator,
  type FreshnessOptions,
} from './materialized-views.health.js';
export { MaterializedViewsHealthModule } from './materialized-views-health.module.js';
export type { ViewHealth } from './view-health.js';
