/**
 * Helpers for tests: an application without a database, and tools for tests on a real one.
 *
 * @module nestjs-materialized-views/testing
 */

export { advance } from './advance.js';
export { expectFresh, untilIdle, type IdleOptions } from './fresh-views.js';
export { tick } from './tick.js';
export { useLiveViews } from './live-views.js';
export {
  MaterializedViewsTestingModule,
  type ViewRows,
  type WithoutDatabaseOptions,
} from './materialized-views-testing.module.js';
export { RecordingRefreshService, type RecordedCall } from './recording-refresh.service.js';
