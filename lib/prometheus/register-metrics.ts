import { Counter, Gauge, Histogram, register, type Registry } from 'prom-client';
import { checkOptions, matching, objectOf } from '../definition/option-rules.js';
import type { RefreshService } from '../engine/refresh.service.js';
import {
  ACTIVE,
  DURATION,
  DURATION_BUCKETS,
  SKIPS,
  WAIT_TIME,
} from '../metrics/process-metrics.js';
import { type RefreshWatcher, watchRefreshes } from '../metrics/refresh-watch.js';
import {
  partsOf,
  readSources,
  SOURCE_GAUGES,
  type SourceReading,
} from '../metrics/source-reading.js';
import { VIEW_GAUGES } from '../metrics/view-gauges.js';
import { metricName } from './metric-name.js';

export interface PrometheusOptions {
  /** Where the metrics are registered. @default prom-client's global registry */
  registry?: Registry;
  /** Prepended to the name of each metric, such as `shop_`. @default none */
  prefix?: string;
}

export interface RegisteredMetrics {
  /** Removes the metrics from the registry and stops counting. */
  stop(): void;
}

const VIEW_LABELS = ['data_source', 'schema', 'view'];

const prometheusOptions = objectOf<PrometheusOptions>({
  registry: matching(
    'a registry of prom-client',
    (value) => typeof (value as Partial<Registry> | null)?.registerMetric === 'function',
  ),
  prefix: matching(
    'what the name of a metric may begin with: letters, digits, _ and :, and no digit first',
    (value) => typeof value === 'string' && /^(?:[a-zA-Z_:][\w:]*)?$/.test(value),
  ),
});

interface Registration {
  registry: Registry;
  prefix: string;
}

/**
 * Registers the metrics of all materialized views with prom-client. Counters and histograms count what this process
 * did. Gauges are read from the database on collection, at most once every 5 s, and are the same in every process.
 *
 * @throws InvalidOptionsError if an option is unknown or has a wrong value
 * @throws Error of prom-client if the registry already has metrics with these names
 * @example
 * ```ts
 * registerMetrics(app.get(RefreshService), { registry });
 * ```
 */
export function registerMetrics(
  refreshes: RefreshService,
  options: PrometheusOptions = {},
): RegisteredMetrics {
  checkOptions('registerMetrics', prometheusOptions, options);
  const { registry = register, prefix = '' } = options;
  const registration = { registry, prefix };
  const { watcher, names } = processMetrics(registration);
  const all = [...names, ...gauges(refreshes, registration)];
  const unwatch = watchRefreshes(refreshes, watcher);
  return {
    stop: () => {
      unwatch();
      all.forEach((name) => registry.removeSingleMetric(name));
    },
  };
}

function processMetrics({ registry, prefix }: Registration): {
  watcher: RefreshWatcher;
  names: string[];
} {
  const config = (
    metric: { name: string; unit: string; description: string },
    labels: string[],
    isCounter = false,
  ) => ({
    name: metricName(metric, { prefix, isCounter }),
    help: metric.description,
    labelNames: [...VIEW_LABELS, ...labels],
    registers: [registry],
  });
  const buckets = DURATION_BUCKETS;
  const duration = new Histogram({
    ...config(DURATION, ['mode', 'trigger', 'outcome', 'error_type']),
    buckets,
  });
  const wait = new Histogram({ ...config(WAIT_TIME, []), buckets });
  const active = new Gauge(config(ACTIVE, []));
  const skips = new Counter(config(SKIPS, ['reason'], true));
  const watcher: RefreshWatcher = {
    started: (trace) => {
      active.inc(viewLabels(trace));
      wait.observe(viewLabels(trace), (trace.waitMs ?? 0) / 1_000);
    },
    ended: (trace, { hasBegun, outcome, mode = '', errorType = '', durationMs }) => {
      if (hasBegun) {
        active.dec(viewLabels(trace));
      }
      const { trigger } = trace;
      const labels = { ...viewLabels(trace), mode, trigger, outcome, error_type: errorType };
      duration.observe(labels, durationMs / 1_000);
    },
    skipped: (event) => skips.inc({ ...viewLabels(event), reason: event.result.reason }),
  };
  const names = [
    ...[DURATION, WAIT_TIME, ACTIVE].map((metric) => metricName(metric, { prefix })),
    metricName(SKIPS, { prefix, isCounter: true }),
  ];
  return { watcher, names };
}

interface LabelledValue {
  labels: Record<string, string>;
  value: number;
}

/** @returns their names */
function gauges(refreshes: RefreshService, registration: Registration): string[] {
  return [
    ...VIEW_GAUGES.map((each) => {
      const labelNames = each.unit === '' ? [...VIEW_LABELS, 'status'] : VIEW_LABELS;
      return readGauge(refreshes, registration, each, labelNames, ({ statuses = [] }) =>
        statuses.flatMap((status) =>
          each.samples(status).map(({ value, ...labels }) => ({
            labels: { ...viewLabels(status), ...labels },
            value,
          })),
        ),
      );
    }),
    ...SOURCE_GAUGES.map((each) =>
      readGauge(refreshes, registration, each, ['data_source'], (reading) => {
        const value = each.value(reading);
        return value === undefined
          ? []
          : [{ labels: { data_source: reading.dataSource.name }, value }];
      }),
    ),
  ];
}

/** A gauge that is read from the database when it is collected. */
function readGauge(
  refreshes: RefreshService,
  { registry, prefix }: Registration,
  metric: { name: string; unit: string; description: string },
  labelNames: string[],
  valuesOf: (reading: SourceReading) => LabelledValue[],
): string {
  const name = metricName(metric, { prefix });
  new Gauge({
    name,
    help: metric.description,
    labelNames,
    registers: [registry],
    async collect() {
      const values = (await readSources(refreshes)).flatMap(valuesOf);
      this.reset();
      values.forEach(({ labels, value }) => this.set(labels, value));
    },
  });
  return name;
}

function viewLabels({ dataSource, view }: { dataSource: string; view: string }) {
  const { schema, name } = partsOf(view);
  return { data_source: dataSource, schema, view: name };
}
