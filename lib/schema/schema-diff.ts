import { groupedBy } from '../definition/grouped-by.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { codeAndMessageOf } from '../errors/error-message.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { newerVersion } from '../tracking/capture-record.js';
import { displayName, rowName } from '../postgres/identifier.js';
import { type ViewKind, viewKindOf } from '../postgres/view-kind.js';
import type { AnyAspectDifference } from './aspects/aspects.js';
import type { ViewMemory } from './aspects/view-aspect.js';
import { compareView, type ViewAspectDifference } from './aspects/view-aspects.js';
import type { DatabaseState } from './database-state.js';
import type { DefinitionComparison } from './definition-comparison.js';
import type { Rename } from './rename.js';
import { type DeployedView } from './deployed-view.js';
import { isRememberedDeclaration } from './fingerprint.js';
import { asOrphan, isAsKnown, type Orphan } from './holders.js';

/** One way in which a view in the database differs from the code. */
export type Difference =
  | { kind: 'missing' }
  /** A view of another kind has the name: a plain view instead of a materialized one, or the reverse. */
  | { kind: 'view-kind'; deployed: ViewKind }
  /** `isDrift`: the code has not changed; someone changed the view in the database by hand. */
  | { kind: 'definition'; isDrift: boolean; failure?: string }
  /**
   * PostgreSQL refuses the declared query, although everything else may match: for example, something that it
   * reads was renamed.
   */
  | { kind: 'query-fails'; failure: string }
  | { kind: 'renamed'; from: string }
  | { kind: 'access-method' }
  | { kind: 'unpopulated' }
  | ViewAspectDifference
  | Extract<AnyAspectDifference, { view: ViewDefinition }>;

/** How one declared view compares. */
export interface ViewDiff {
  view: ViewDefinition;
  /** `undefined` if it is missing. */
  deployed?: DeployedView;
  /** Empty if the database is as declared. */
  differences: Difference[];
  /** Set if the database has a higher `version`: then nothing about this view is changed. */
  newerVersion?: number;
}

/** How the database compares with everything that is declared. */
export interface SchemaDiff {
  views: ViewDiff[];
  /** Views that the library created and the application no longer declares, without those that others hold. */
  orphans: Orphan[];
  missingSchemas: string[];
  /** Differences found by aspects that belong to no single view. */
  others: Exclude<AnyAspectDifference, { view: ViewDefinition }>[];
}

interface DiffInput {
  comparisons: Comparisons;
  renames: Rename[];
  /** Those that are not done. */
  pending: Rename[];
  /**
   * Views that the application declares in other data sources of perhaps the same database: they are no orphans.
   */
  declaredElsewhere?: ReadonlySet<string>;
  /** The application's name; `''` if it has none. */
  application: string;
  /** The only schema whose orphans count. */
  schema?: string;
  /** The names of views whose classes have no schema at all at present. */
  namesWithoutSchema?: ReadonlySet<string>;
}

/**
 * Compares declarations with the database state after the renames. Pure: what only PostgreSQL can decide is in `comparisons`. A view that
 * isn't in them has the stored fingerprint.
 *
 * @throws SchemaSyncError if a table, or anything else that isn't a view, has the name of a view
 */
export function diffSchema(
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
  {
    comparisons,
    renames,
    pending,
    declaredElsewhere,
    application,
    schema,
    namesWithoutSchema,
  }: DiffInput,
): SchemaDiff {
  const views = definitions.map((view) => {
    const undone = pending.find((each) => each.view === view);
    if (undone !== undefined) {
      return pendingDiff(undone, state);
    }
    const diff = diffView(view, state, comparisons.get(viewName(view)));
    const rename = renames.find((each) => each.view === view);
    return rename === undefined ? diff : withRename(diff, rename);
  });
  const taken = new Set(views.map(({ deployed }) => deployed && displayName(deployed.name)));
  return {
    views,
    orphans: [...state.known.values()]
      .filter((known) => known.is_own && !declaredElsewhere?.has(rowName(known)))
      .filter((known) => schema === undefined || known.schema_name === schema)
      .flatMap((known) => {
        const view = state.views.get(rowName(known));
        const isThere = view !== undefined && isAsKnown(view, known) && !taken.has(rowName(known));
        const orphan = isThere ? asOrphan(view, known, application) : undefined;
        return orphan === undefined ? [] : withoutSchema(orphan, namesWithoutSchema);
      }),
    missingSchemas: missingSchemas(definitions, state),
    others: [],
  };
}

/** Where a class has no schema at all, that may be a mistake of its `schemas`. */
function withoutSchema(orphan: Orphan, names: ReadonlySet<string> = new Set()): Orphan {
  return names.has(orphan.name.name) ? { ...orphan, hasEmptyClass: true } : orphan;
}

type Comparisons = ReadonlyMap<string, DefinitionComparison>;

function withRename(diff: ViewDiff, { from }: Rename): ViewDiff {
  return {
    ...diff,
    differences: [{ kind: 'renamed', from: displayName(from) }, ...diff.differences],
  };
}

/** A view that keeps its old name is left as it is. Its other differences are found once it has been renamed. */
function pendingDiff({ view, from }: Rename, state: DatabaseState): ViewDiff {
  refuseOtherRelation(view, state);
  const newer = newerVersion(view, state.known.get(displayName(from)));
  return {
    view,
    deployed: state.views.get(displayName(from)),
    differences: [{ kind: 'renamed', from: displayName(from) }],
    ...(newer !== undefined && { newerVersion: newer }),
  };
}

/** Whether the view exists under its old name and keeps it. */
export function keepsOldName({ view, deployed }: Pick<ViewDiff, 'view' | 'deployed'>): boolean {
  return deployed !== undefined && displayName(deployed.name) !== viewName(view);
}

/** Adds the differences that aspects found. Pure. */
export function withAspects(diff: SchemaDiff, found: readonly AnyAspectDifference[]): SchemaDiff {
  const ofViews = groupedBy(found.filter(isOfView), ({ view }) => view);
  return {
    ...diff,
    views: diff.views.map((each) => ({
      ...each,
      differences: [...each.differences, ...(ofViews.get(each.view) ?? [])],
    })),
    others: found.filter((difference) => !isOfView(difference)),
  };
}

type OfView = Extract<AnyAspectDifference, { view: ViewDefinition }>;

function isOfView(difference: AnyAspectDifference): difference is OfView {
  return 'view' in difference;
}

function diffView(
  view: ViewDefinition,
  state: DatabaseState,
  comparison: DefinitionComparison | undefined,
): ViewDiff {
  refuseOtherRelation(view, state);
  const deployed = state.views.get(viewName(view));
  if (deployed === undefined) {
    return { view, differences: [{ kind: 'missing' }] };
  }
  const known = state.known.get(displayName(deployed.name));
  const newer = newerVersion(view, known);
  return {
    view,
    deployed,
    differences:
      deployed.kind !== view.kind
        ? [{ kind: 'view-kind', deployed: deployed.kind }]
        : differencesOf(view, deployed, {
            comparison,
            ownIndexes: known?.own_indexes ?? [],
            isSameDeclaration: isRememberedDeclaration(view, known),
          }),
    ...(newer !== undefined && { newerVersion: newer }),
  };
}

function differencesOf(
  view: ViewDefinition,
  deployed: DeployedView,
  memory: ViewMemory & { isSameDeclaration: boolean },
): Difference[] {
  const { row } = deployed;
  const { isSameQuery = true, failure } = memory.comparison ?? {};
  return [
    ...when(!isSameQuery, {
      kind: 'definition',
      isDrift: memory.isSameDeclaration,
      ...(failure !== undefined && { failure: describeFailure(view, failure) }),
    }),
    ...when(view.accessMethod !== undefined && view.accessMethod !== row.access_method, {
      kind: 'access-method',
    }),
    ...compareView(view, deployed, memory),
    ...when(view.withData && !row.is_populated, { kind: 'unpopulated' }),
  ];
}

/**
 * The message for a view whose query fails, with class, code and PostgreSQL's text if that can't hold row data.
 */
export function describeFailure({ target }: ViewDefinition, error: unknown): string {
  return `the query of ${target.name} fails: ${codeAndMessageOf(error)}`;
}

function when(condition: boolean, difference: Difference): Difference[] {
  return condition ? [difference] : [];
}

function missingSchemas(definitions: readonly ViewDefinition[], state: DatabaseState): string[] {
  const wanted = [state.stateSchema, ...definitions.map((view) => view.name.schema)];
  return [...new Set(wanted)].filter((schema) => !state.schemas.has(schema));
}

function refuseOtherRelation(view: ViewDefinition, state: DatabaseState): void {
  const relation = state.relations.get(viewName(view));
  if (relation !== undefined && relation.extension !== null) {
    throw new SchemaSyncError(
      `Cannot manage ${view.kind.noun} "${viewName(view)}" of ${view.target.name}: the relation of this name belongs to extension "${relation.extension}", which alone may change or drop it. Nothing has been changed.`,
      {
        view: viewName(view),
        hint: `Remove it from the extension (ALTER EXTENSION ... DROP ${view.kind.keyword} ...), or give the view another name.`,
      },
    );
  }
  const { relation_kind: kind, index_of: table } = relation ?? {};
  // A view's index may be dropped and free its name: see `refuseTakenNames`.
  const mayGo = kind === 'i' && table !== null && table !== undefined && state.views.has(table);
  if (kind !== undefined && viewKindOf(kind) === undefined && !mayGo) {
    throw new SchemaSyncError(
      `Cannot create ${view.kind.noun} "${viewName(view)}" of ${view.target.name}: another ${kind === 'type' ? 'type' : `relation (pg_class.relkind "${kind}")`} has its name. Nothing has been changed.`,
      {
        view: viewName(view),
        hint: 'Rename or drop that, or give the view another name.',
      },
    );
  }
}
