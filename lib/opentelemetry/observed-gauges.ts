import type { BatchObservableResult, Meter } from '@opentelemetry/api';
import type { RefreshService } from '../engine/refresh.service.js';
import { readSources, SOURCE_GAUGES, type SourceReading } from '../metrics/source-reading.js';
import { VIEW_GAUGES } from '../metrics/view-gauges.js';
import { known, viewAttributes } from './view-attributes.js';

/** @returns a function that ends it */
export function observeGauges(refreshes: RefreshService, meter: Meter): () => void {
  const ofViews = VIEW_GAUGES.map((each) => {
    const { name, unit, description } = each;
    return { ...each, gauge: meter.createObservableGauge(name, { unit, description }) };
  });
  const ofSources = SOURCE_GAUGES.map((each) => {
    const { name, unit, description } = each;
    return { ...each, gauge: meter.createObservableGauge(name, { unit, description }) };
  });
  const observe = (reading: SourceReading, result: BatchObservableResult): void => {
    for (const each of ofSources) {
      const value = each.value(reading);
      if (value !== undefined) {
        result.observe(each.gauge, value, { 'db.namespace': reading.dataSource.database });
      }
    }
    for (const status of reading.statuses ?? []) {
      const view = viewAttributes(refreshes, status);
      for (const each of ofViews) {
        for (const { value, status: state } of each.samples(status)) {
          result.observe(each.gauge, value, known({ ...view, 'materialized_view.state': state }));
        }
      }
    }
  };
  const callback = async (result: BatchObservableResult): Promise<void> => {
    (await readSources(refreshes)).forEach((reading) => observe(reading, result));
  };
  const gauges = [...ofViews, ...ofSources].map(({ gauge }) => gauge);
  meter.addBatchObservableCallback(callback, gauges);
  return () => meter.removeBatchObservableCallback(callback, gauges);
}
