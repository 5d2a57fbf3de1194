import type { Attributes } from '@opentelemetry/api';
import type { RefreshService } from '../engine/refresh.service.js';
import { dataSourcesOf, partsOf } from '../metrics/source-reading.js';

/** A view's name in spans and metrics. */
export function viewAttributes(
  refreshes: RefreshService,
  { dataSource, view }: { dataSource: string; view: string },
): Attributes {
  const database = dataSourcesOf(refreshes).find(({ name }) => name === dataSource)?.database ?? '';
  const { schema, name } = partsOf(view);
  return { 'db.namespace': `${database}|${schema}`, 'db.collection.name': name };
}

/** Attributes without the unknown ones. */
export function known(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
