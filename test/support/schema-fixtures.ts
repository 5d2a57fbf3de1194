import { refreshPolicy } from '../../lib/definition/refresh-policy.js';
import type { ViewDefinition } from '../../lib/definition/view-definition.js';
import type { GrantJson } from '../../lib/postgres/privilege.sql.js';
import type { IndexRow, ViewRow } from '../../lib/postgres/view-catalog.sql.js';
import { MATERIALIZED } from '../../lib/postgres/view-kind.js';
import type { DatabaseState } from '../../lib/schema/database-state.js';
import type { DeployedView } from '../../lib/schema/deployed-view.js';
import { declaredHash, fingerprint } from '../../lib/schema/fingerprint.js';

class Sales {}

/** A declared view of the schema `public`. */
export function declared(name: string, given: Partial<ViewDefinition> = {}): ViewDefinition {
  return {
    target: Sales,
    kind: MATERIALIZED,
    name: { schema: 'public', name },
    query: `SELECT * FROM ${name}_source`,
    columns: [{ name: 'id', property: 'id' }],
    indexes: [],
    withData: true,
    dependsOn: [],
    refresh: refreshPolicy(),
    ...given,
  };
}

/** A view as read from the catalog. */
export function deployed(
  name: string,
  given: Partial<ViewRow> = {},
  rest: Partial<DeployedView> = {},
): DeployedView {
  return {
    name: { schema: 'public', name },
    kind: MATERIALIZED,
    indexes: [],
    statistics: [],
    otherDependents: [],
    row: {
      oid: name,
      schema_name: 'public',
      view_name: name,
      relation_kind: 'm',
      is_populated: true,
      definition: `SELECT * FROM public.${name}_source;`,
      owner: 'owner',
      tablespace: null,
      access_method: 'heap',
      storage: [],
      toast_storage: [],
      comment: null,
      grants: null,
      columns: [],
      has_triggers_or_rules: false,
      unmakeable: [],
      foreign_literals: null,
      type_comment: null,
      replica_identity: 'd',
      extensions: [],
      sources_hash: null,
      origin: null,
      ...given,
    },
    ...rest,
  };
}

export function grant(grantee: string | null, given: Partial<GrantJson> = {}): GrantJson {
  return {
    grantee,
    grantor: null,
    privilege: 'SELECT',
    is_grantable: false,
    is_in_reach: true,
    ...given,
  };
}

export function index(name: string, given: Partial<IndexRow> = {}): IndexRow {
  return {
    method: 'btree',
    extensions: [],
    storage: null,
    view_oid: '1',
    name,
    is_unique: false,
    is_valid: true,
    is_usable_key: false,
    body: 'btree (id)',
    origin: null,
    tablespace: null,
    comment: null,
    is_clustered: false,
    statistics: null,
    ...given,
  };
}

/** A database with these views. */
export function databaseState(
  views: DeployedView[],
  given: Partial<DatabaseState> = {},
): DatabaseState {
  return {
    stateSchema: 'own',
    installedVersion: 1,
    targetVersion: 1,
    schemas: new Set(['own', 'public']),
    views: new Map(views.map((view) => [`${view.name.schema}.${view.name.name}`, view])),
    relations: new Map(),
    dependents: new Map(),
    known: new Map(),
    ...given,
  };
}

/** The library's stored state of views that matched their declarations. */
export function remembered(
  ...pairs: [ViewDefinition, DeployedView][]
): Pick<DatabaseState, 'known'> {
  return {
    known: new Map(
      pairs.map(([view, found]) => [
        `${view.name.schema}.${view.name.name}`,
        {
          schema_name: view.name.schema,
          view_name: view.name.name,
          is_own: true,
          own_indexes: found.indexes.map(({ name }) => name),
          declared_hash: declaredHash(view),
          fingerprint: fingerprint(view, found),
          definition_version: view.version === undefined ? null : String(view.version),
          capture: null,
          relation_kind: view.kind.relkind,
          depends_on: null,
          applications: ['tests'],
        },
      ]),
    ),
  };
}
