import { createHash } from 'node:crypto';
import { mustBeKnowable, type ViewDefinition } from '../definition/view-definition.js';
import type { DeployedView } from './deployed-view.js';

/** What the code declares of a view that the database should have. */
export function declaredHash(view: ViewDefinition): string {
  const { query, withData, storage, tablespace, accessMethod, comment, indexes } = view;
  return hash([query, withData, storage, tablespace, accessMethod, comment, indexes]);
}

/**
 * What was declared together with what the catalog has. As long as it is the one remembered, nothing
 * can differ: neither the code, nor the view, nor the columns of what it reads (`SELECT *` is frozen
 * when a view is made, so a new column below is a change).
 */
export function fingerprint(view: ViewDefinition, deployed: DeployedView): string {
  const { row, indexes } = deployed;
  const isDeclared = new Set(view.indexes.map((index) => index.name));
  return hash([
    declaredHash(view),
    // Where it is new, it has to be looked whether the definition allows it.
    ...(view.freshness && mustBeKnowable(view.freshness) ? ['skips unchanged'] : []),
    row.relation_kind,
    row.is_populated || !view.withData,
    row.definition,
    row.sources_hash,
    view.storage && row.storage,
    view.tablespace && row.tablespace,
    view.accessMethod && row.access_method,
    view.comment !== undefined && row.comment,
    indexes
      .filter((index) => isDeclared.has(index.name))
      .map(({ name, is_unique, is_valid, body, tablespace }) => [
        name,
        is_unique,
        is_valid,
        body,
        tablespace,
      ]),
  ]);
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
