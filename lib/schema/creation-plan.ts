import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import type { IndexDefinition } from '../postgres/ddl.sql.js';
import type { DatabaseState } from './database-state.js';

const MATERIALIZED_VIEW_KIND = 'm';

/** What is missing, in the order in which it is made. */
export interface CreationPlan {
  /** The version of the library's own tables in the database; 0 when there are none. */
  installedVersion: number;
  needsInstallation: boolean;
  schemas: string[];
  /** Not yet in order of dependency: PostgreSQL tells that when they are made. */
  views: ViewDefinition[];
  /** Missing indexes of views that exist. */
  indexes: { view: ViewDefinition; index: IndexDefinition }[];
  /** Views that exist and that the library has not known before. */
  newcomers: { view: ViewDefinition; isPopulated: boolean }[];
}

export function isEmptyPlan(plan: CreationPlan): boolean {
  const lists = [plan.schemas, plan.views, plan.indexes, plan.newcomers];
  return !plan.needsInstallation && lists.every((list) => list.length === 0);
}

/**
 * Works out what the database lacks of the declared views. An existing view is left as it is.
 *
 * @throws SchemaSyncError when the name of a view belongs to another kind of relation
 */
export function planCreation(
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
): CreationPlan {
  const existing = definitions.filter((view) => relationOf(view, state) !== undefined);
  return {
    installedVersion: state.installedVersion,
    needsInstallation: state.installedVersion < state.targetVersion,
    schemas: missingSchemas(definitions, state),
    views: definitions.filter((view) => !existing.includes(view)),
    indexes: existing.flatMap((view) => missingIndexes(view, state)),
    newcomers: existing
      .filter((view) => !state.knownViews.has(viewName(view)))
      .map((view) => ({ view, isPopulated: relationOf(view, state)?.isPopulated ?? false })),
  };
}

function relationOf(
  view: ViewDefinition,
  state: DatabaseState,
): { isPopulated: boolean; indexNames: string[] } | undefined {
  const relation = state.relations.get(viewName(view));
  if (relation !== undefined && relation.kind !== MATERIALIZED_VIEW_KIND) {
    throw new SchemaSyncError(
      `Cannot create materialized view "${viewName(view)}" of ${view.target.name}: another relation (pg_class.relkind "${relation.kind}") has its name. Nothing has been changed.`,
      {
        view: viewName(view),
        hint: 'Rename or drop that relation, or give the view another name.',
      },
    );
  }
  return relation;
}

function missingSchemas(definitions: readonly ViewDefinition[], state: DatabaseState): string[] {
  const wanted = [state.stateSchema, ...definitions.map((view) => view.name.schema)];
  return [...new Set(wanted)].filter((schema) => !state.schemas.has(schema));
}

function missingIndexes(view: ViewDefinition, state: DatabaseState): CreationPlan['indexes'] {
  const present = new Set(relationOf(view, state)?.indexNames);
  return view.indexes.filter((index) => !present.has(index.name)).map((index) => ({ view, index }));
}
