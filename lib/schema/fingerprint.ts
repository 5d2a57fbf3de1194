import { createHash } from 'node:crypto';
import { mustBeKnowable, type ViewDefinition } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import type { IndexRow } from '../postgres/view-catalog.sql.js';
import type { DeployedView } from './deployed-view.js';

/** What the code declares about a view that the database should have. */
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

/**
 * What is remembered about a declaration: its hash and, after a space, the view's previous name.
 */
export function declarationRecord(view: ViewDefinition): string {
  return view.renamedFrom === undefined
    ? declaredHash(view)
    : `${declaredHash(view)} ${displayName(view.renamedFrom)}`;
}

/** What is remembered about `dependsOn`: undoing a later change needs it, when no class declares it any more. */
export function dependsOnRecord({ dependsOn }: ViewDefinition): string[] | null {
  return dependsOn.length === 0 ? null : dependsOn.map(displayName);
}

/** Whether the declaration equals the remembered one, ignoring the previous name. */
export function isRememberedDeclaration(
  view: ViewDefinition,
  known: KnownViewRow | undefined,
): boolean {
  return known?.declared_hash?.split(' ', 1)[0] === declaredHash(view);
}

/** The view's previous name: `schema.name`. */
export function rememberedRename({ declared_hash: record }: KnownViewRow): string | undefined {
  const at = record?.indexOf(' ') ?? -1;
  return at < 0 ? undefined : record?.slice(at + 1);
}

/**
 * What is remembered about a view: a hash of what was declared and what the catalog has and, after a space, the same with the
 * origins of the texts instead of the texts. As long as one of them is the same, nothing can differ: neither the
 * code, nor the view, nor the columns of what it reads (`SELECT *` is expanded when a view is created, so a new column
 * below is a change).
 */
export function fingerprint(view: ViewDefinition, deployed: DeployedView): string {
  return `${hashOfTexts(view, deployed)} ${hashOfOrigins(view, deployed)}`;
}

/** Whether a view has the remembered fingerprint. Its texts need not have been read if their origins are the same. */
export function hasFingerprint(
  view: ViewDefinition,
  deployed: DeployedView,
  known: KnownViewRow | undefined,
): boolean {
  const [ofTexts, ofOrigins] = known?.fingerprint?.split(' ') ?? [];
  return ofOrigins === hashOfOrigins(view, deployed) || ofTexts === hashOfTexts(view, deployed);
}

function hashOfTexts(view: ViewDefinition, deployed: DeployedView): string {
  return hashOf(view, deployed, {
    definition: deployed.row.definition,
    printed: ({ body }) => body,
  });
}

/** A text whose origin is unknown stands for itself. */
function hashOfOrigins(view: ViewDefinition, deployed: DeployedView): string {
  const { origin, definition, columns } = deployed.row;
  return hashOf(view, deployed, {
    definition: [origin ?? definition, columns.map(({ name }) => name)],
    printed: (index) => index.origin ?? index.body,
  });
}

function hashOf(
  view: ViewDefinition,
  deployed: DeployedView,
  { definition, printed }: { definition: unknown; printed: (index: IndexRow) => string },
): string {
  const { row } = deployed;
  return hash([
    declaredHash(view),
    // If it is new, it must be checked whether the definition allows it.
    ...(view.freshness && mustBeKnowable(view.freshness) ? ['skips unchanged'] : []),
    row.relation_kind,
    row.is_populated || !view.withData,
    definition,
    row.sources_hash,
    view.storage && row.storage,
    view.tablespace && row.tablespace,
    view.accessMethod && row.access_method,
    view.comment !== undefined && row.comment,
    declaredIndexes(view, deployed).map((index) => [
      index.name,
      index.is_unique,
      index.is_valid,
      printed(index),
      index.tablespace,
    ]),
  ]);
}

function declaredIndexes(view: ViewDefinition, { indexes }: DeployedView): IndexRow[] {
  const isDeclared = new Set(view.indexes.map((index) => index.name));
  return indexes.filter((index) => isDeclared.has(index.name));
}

function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
