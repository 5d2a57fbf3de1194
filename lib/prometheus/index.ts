/**
 * Metrics for prom-client.
 *
 * @module nestjs-materialized-views/prometheus
 */

export {
  registerMetrics,
  type PrometheusOptions,
  type RegisteredMetrics,
} from './register-metrics.js';
