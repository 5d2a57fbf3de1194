import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { captureRecord, covers, newerVersion } from '../tracking/capture-record.js';
import { implyFreshness } from '../tracking/implied-freshness.js';
import { displayNames, rowName } from '../postgres/identifier.js';
import { INSTALLATION_VERSION } from '../postgres/installation.sql.js';
import type { Session } from '../postgres/session.js';
import { type KnownViewRow, selectKnownViews } from '../postgres/state.sql.js';
import { readInstalledVersion } from '../postgres/installed-version.js';

/**
 * Reads what a process that leaves the schema alone must know: which views are tracked because of a view above them
 * (`implyFreshness`).
 *
 * @returns the views that declare tracking that the database doesn't remember: only what it
 * remembers counts
 */
export async function readUnrecorded(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<ViewDefinition[]> {
  if (views.every(({ freshness }) => freshness === undefined)) {
    return [];
  }
  await implyFreshness(session, stateSchema, views, []);
  const isInstalled = (await readInstalledVersion(session, stateSchema)) >= INSTALLATION_VERSION;
  const rows = isInstalled ? await session.query<KnownViewRow>(selectKnownViews(stateSchema)) : [];
  const known = new Map(rows.map((row) => [rowName(row), row]));
  return views.filter((view) => {
    const row = known.get(viewName(view));
    return (
      newerVersion(view, row) === undefined && !covers(row?.capture ?? null, captureRecord(view))
    );
  });
}

/** For the log: what it means that the database doesn't track these views, and what to do. */
export function describeUnrecorded(views: readonly ViewDefinition[]): string {
  const names = displayNames(views.map(({ name }) => name));
  return `The changes that these materialized views depend on are not set up in the database: ${names}. Until they are, writes do not refresh these views, their ticks are not skipped, and with \`maxStaleness\` they are refreshed by their age. Because \`synchronize\` is false, a migration has to set them up: generate one with SchemaService.generateMigration, and run it.`;
}
