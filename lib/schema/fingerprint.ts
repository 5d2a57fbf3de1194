import { createHash } from 'node:crypto';
import { mustBeKnowable, type ViewDefinition } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import type { DeployedView } from './deployed-view.js';

/** What the code declares of a view that the database should have. */
export function declaredHash(view: ViewDefinition): string {
  const { kind, query, withData, storage, tablespace, accessMethod, comment, indexes } = view;
  return hash([
    query,
    withData,
    storage,
    tablespace,
    accessMethod,
    comment,
    indexes,
    ...(kind.storesRows ? [] : [kind.relkind]),
  ]);
}

/** What is remembered of a declaration: its hash, and which name it came from, after a space. */
export function declarationRecord(view: ViewDefinition): string {
  return view.renamedFrom === undefined
    ? declaredHash(view)
    : `${declaredHash(view)} ${displayName(view.renamedFrom)}`;
}

/** What is remembered of `dependsOn`: the way back of a later change has to know it, when no class declares it any more. */
export function dependsOnRecord({ dependsOn }: ViewDefinition): string[] | null {
  return dependsOn.length === 0 ? null : dependsOn.map(displayName);
}

/** Whether the declaration is the one that is remembered, but for where its name came from. */
export function isRememberedDeclaration(
  view: ViewDefinition,
  known: KnownViewRow | undefined,
): boolean {
  return known?.declared_hash?.split(' ', 1)[0] === declaredHash(view);
}

/** The name that a view was renamed from: `schema.name`. */
export function rememberedRename({ declared_hash: record }: KnownViewRow): string | undefined {
  const at = record?.indexOf(' ') ?? -1;
  return at < 0 ? undefined : record?.slice(at + 1);
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
