export {
  registerMetrics,
  type PrometheusOptions,
  type RegisteredMetrics,
} from './register-metrics.js';
