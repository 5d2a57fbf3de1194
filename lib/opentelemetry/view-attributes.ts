import type { Attributes } from '@opentelemetry/api';
import type { RefreshService } from '../engine/refresh.service.js';
import { dataSourcesOf, partsOf } from '../metrics/source-reading.js';

/** @returns `undefined` for a view of another application in the same process */
export function viewAttributes(
  refreshes: RefreshService,
  { dataSource, view }: { dataSource: string; view: string },
): Attributes | undefined {
  const found = dataSourcesOf(refreshes).find(({ name }) => name === dataSource);
  if (found === undefined) {
    return undefined;
  }
  const { schema, name } = partsOf(view);
  return { 'db.namespace': `${found.database}|${schema}`, 'db.collection.name': name };
}

/** Attributes without those that are not known. */
export function known(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
