/** The measurements of this process's refreshes, by their names in OpenTelemetry. */
export const DURATION = {
  name: 'materialized_view.refresh.duration',
  unit: 's',
  description: 'Duration of refresh attempts, from getting the lock',
} as const;

export const WAIT_TIME = {
  name: 'materialized_view.refresh.wait_time',
  unit: 's',
  description: 'How long refresh attempts waited for a connection and the lock',
} as const;

export const ACTIVE = {
  name: 'materialized_view.refresh.active',
  unit: '{refresh}',
  description: 'Refreshes running in this process',
} as const;

export const SKIPS = {
  name: 'materialized_view.refresh.skips',
  unit: '{refresh}',
  description: 'Skipped refreshes',
} as const;

/** In seconds. */
export const DURATION_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600];
