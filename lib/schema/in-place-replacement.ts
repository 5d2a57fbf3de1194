import { viewName } from '../definition/view-definition.js';
import { readViewEdges, type ViewEdge } from '../graph/view-edges.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import type { Compared } from './comparison.js';
import { withDependents } from './database-state.js';
import { tryOut } from './declared-rehearsal.js';
import { hasSameQuery } from './definition-comparison.js';
import type { PreparationContext } from './preparation-context.js';
import type { ClosureMember } from './rebuild-closure.js';
import { isGrown } from './redefinition.js';
import type { SchemaDiff, ViewDiff } from './schema-diff.js';

type Comparison = Pick<Compared, 'diff' | 'state' | 'names' | 'renames' | 'hidden'>;

/** What the plan should do. */
interface Changes {
  /** What the policy allows. */
  allowed: SchemaDiff;
  missingSchemas: string[];
  /** Names of views that are dropped. */
  pruned: ReadonlySet<string>;
}

/** The result of the trial replacement of plain views. */
interface Trial {
  members: ClosureMember[];
  /** Names of views that PostgreSQL did not replace. */
  refused: Set<string>;
  /** Names of views that have more columns than before. */
  grown: Set<string>;
  /**
   * Names of declared views above whose definitions would change, for example because of `SELECT
   * *`.
   */
  changedAbove: string[];
  edges: ViewEdge[];
}

/**
 * The plain views that `CREATE OR REPLACE VIEW` can change, so that what reads them stays. The conditions: PostgreSQL
 * accepts it, no view that is built in the same change reads them, and they read neither such a view nor one that is
 * dropped. All others are rebuilt. A trial that is rolled back tells whether PostgreSQL accepts it.
 */
export async function findReplaceable(
  session: Session,
  context: PreparationContext,
  compared: Comparison,
  changes: Changes,
): Promise<ReadonlySet<string>> {
  const candidates = changes.allowed.views.filter(isCandidate).map(({ view }) => viewName(view));
  let replaced: ReadonlySet<string> = new Set(candidates);
  while (replaced.size > 0) {
    const trial = await tryReplacing(session, context, compared, { ...changes, replaced });
    const unfit = unfitOf(trial, compared, { ...changes, replaced });
    const left = new Set([...replaced].filter((name) => !unfit.has(name)));
    if (left.size === replaced.size) {
      break;
    }
    replaced = left;
  }
  return replaced;
}

function isCandidate({ view, deployed, differences, newerVersion }: ViewDiff): boolean {
  return (
    !view.kind.storesRows &&
    // The views above it should have the rows of the new query at once.
    !view.isLive &&
    deployed?.kind === view.kind &&
    newerVersion === undefined &&
    differences.some(({ kind }) => kind === 'definition')
  );
}

async function tryReplacing(
  session: Session,
  context: PreparationContext,
  compared: Comparison,
  { allowed, missingSchemas, replaced }: Changes & { replaced: ReadonlySet<string> },
): Promise<Trial> {
  const { diff, state } = compared;
  const seen: Pick<Trial, 'edges' | 'changedAbove'> = { edges: [], changedAbove: [] };
  const { members, rehearsed } = await tryOut(session, context, compared, {
    changes: allowed,
    replaced,
    missingSchemas,
    look: async (tried) => {
      seen.edges = await readViewEdges(session, displayName);
      seen.changedAbove = await changedAbove(session, diff, { state, members: tried });
    },
  });
  return {
    members,
    refused: new Set(rehearsed.failed.map(({ member }) => keyOf(member))),
    grown: new Set(rehearsed.members.filter(isGrown).map(keyOf)),
    ...seen,
  };
}

/** A declared view whose query would now return other columns, or resolve differently, can't stay. */
async function changedAbove(
  session: Session,
  { views }: SchemaDiff,
  { state, members }: Pick<Comparison, 'state'> & { members: ClosureMember[] },
): Promise<string[]> {
  const replaced = members.filter(({ isReplaced }) => isReplaced).map(keyOf);
  const names = new Set(members.map(keyOf));
  const above = withDependents(replaced, state);
  const changed: string[] = [];
  for (const { view, deployed } of views) {
    const isStaying = deployed?.kind === view.kind && !names.has(viewName(view));
    if (isStaying && above.has(viewName(view)) && !(await hasSameQuery(session, view, deployed))) {
      changed.push(viewName(view));
    }
  }
  return changed;
}

function unfitOf(
  { members, refused, grown, changedAbove: changed, edges }: Trial,
  { state, renames }: Comparison,
  { pruned, replaced }: Changes & { replaced: ReadonlySet<string> },
): Set<string> {
  const built = new Set(members.filter(({ isReplaced }) => !isReplaced).map(keyOf));
  const dependents = new Map(state.dependents);
  for (const { source, dependent } of edges) {
    dependents.set(source, [...(dependents.get(source) ?? []), dependent]);
  }
  const inTheWay = new Set([...built, ...changed]);
  const isUnfit = (name: string): boolean =>
    refused.has(name) ||
    edges.some(({ source, dependent }) => dependent === name && built.has(source)) ||
    [...pruned].some((source) => (state.dependents.get(source) ?? []).includes(name)) ||
    [...withDependents([name], { ...state, dependents })].some((above) => inTheWay.has(above)) ||
    // Undoing it drops it, and needs the names that views have then.
    (grown.has(name) && readsRenamed(name, { state, renames }));
  // A view that read one that is built now is rebuilt with it, and was not tried.
  return new Set([...replaced].filter((name) => built.has(name) || isUnfit(name)));
}

/** Whether a view, one above it, or something that these read gets another name. */
function readsRenamed(
  name: string,
  { state, renames }: Pick<Comparison, 'state' | 'renames'>,
): boolean {
  const above = withDependents([name], state);
  return renames
    .map(({ view }) => viewName(view))
    .some(
      (renamed) =>
        above.has(renamed) ||
        (state.dependents.get(renamed) ?? []).some((dependent) => above.has(dependent)),
    );
}

function keyOf({ name }: ClosureMember): string {
  return displayName(name);
}
