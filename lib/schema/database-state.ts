import type { ViewDefinition } from '../definition/view-definition.js';
import {
  type RelationRow,
  type SchemaRow,
  selectRelations,
  selectSchemas,
} from '../postgres/catalog.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import {
  INSTALLATION_VERSION,
  type InstallationExistsRow,
  type InstallationVersionRow,
  selectInstallationExists,
  selectInstallationVersion,
} from '../postgres/installation.sql.js';
import type { Session } from '../postgres/session.js';
import { type KnownViewRow, selectKnownViews } from '../postgres/state.sql.js';

/** What the database has of the declared views and of the library's own tables. */
export interface DatabaseState {
  stateSchema: string;
  installedVersion: number;
  targetVersion: number;
  schemas: Set<string>;
  relations: Map<string, { kind: string; isPopulated: boolean; indexNames: string[] }>;
  /** The names of the views that have a state row. */
  knownViews: Set<string>;
}

/** A constant number of queries, however many views there are. */
export async function readDatabaseState(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<DatabaseState> {
  const names = definitions.map((view) => view.name);
  const schemaNames = [stateSchema, ...names.map((name) => name.schema)];
  const schemas = await session.query<SchemaRow>(selectSchemas(schemaNames));
  const relations = await session.query<RelationRow>(selectRelations(names));
  const installedVersion = await readInstalledVersion(session, stateSchema);
  return {
    stateSchema,
    installedVersion,
    targetVersion: INSTALLATION_VERSION,
    schemas: new Set(schemas.map((row) => row.schema_name)),
    relations: new Map(relations.map((row) => [keyOf(row), relation(row)])),
    knownViews:
      installedVersion > 0 ? await readKnownViews(session, stateSchema, names) : new Set(),
  };
}

async function readInstalledVersion(session: Session, stateSchema: string): Promise<number> {
  const [exists] = await session.query<InstallationExistsRow>(
    selectInstallationExists(stateSchema),
  );
  if (!exists?.is_installed) {
    return 0;
  }
  const [row] = await session.query<InstallationVersionRow>(selectInstallationVersion(stateSchema));
  return row?.version ?? 0;
}

async function readKnownViews(
  session: Session,
  stateSchema: string,
  names: QualifiedName[],
): Promise<Set<string>> {
  const rows = await session.query<KnownViewRow>(selectKnownViews(stateSchema, names));
  return new Set(rows.map(keyOf));
}

function relation(row: RelationRow): { kind: string; isPopulated: boolean; indexNames: string[] } {
  return {
    kind: row.relation_kind,
    isPopulated: row.is_populated,
    indexNames: row.index_names,
  };
}

function keyOf(row: KnownViewRow): string {
  return displayName({ schema: row.schema_name, name: row.view_name });
}
