import { viewName } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import { type DatabaseState, withDependents } from './database-state.js';
import type { NamePlan } from './name-plan.js';
import type { PlanStep } from './plan-step.js';
import type { ViewDiff } from './schema-diff.js';
import { inOldOrder } from './view-order.js';

/** The steps that fill unpopulated views. */
export interface Populating {
  /** Before anything is rebuilt. */
  first: PlanStep[];
  /** When all names are final, and plain views are replaced. */
  last: PlanStep[];
}

/**
 * Fills unpopulated views, each after everything that it reads. This comes before anything is rebuilt, because that
 * may read them. It comes after plain views below them are replaced and views that their functions read are renamed.
 * They lose their rows last on the way back, because others are filled from them until then.
 *
 * @param changing names of plain views that are replaced in place, and of views that are renamed
 */
export function populateSteps(
  views: ViewDiff[],
  changing: { replaced: ReadonlySet<string>; renamed: ReadonlySet<string> },
  { state, names }: { state: DatabaseState; names: NamePlan },
): Populating {
  const empty = views.filter(({ differences }) =>
    differences.some(({ kind }) => kind === 'unpopulated'),
  );
  const findsRenamed = ({ view }: ViewDiff): boolean =>
    view.dependsOn.some((source) => changing.renamed.has(displayName(source)));
  const callers = views.filter(findsRenamed).map(({ view }) => viewName(view));
  const late = withDependents([...changing.replaced, ...callers], state);
  const isLate = (name: QualifiedName): boolean => late.has(displayName(name));
  const ordered = inOldOrder(empty, state).map(({ member: { view } }) => view.name);
  return {
    first: ordered.map((name) => ({
      ...stepOf(name),
      statements: isLate(name) ? [] : [refreshMaterializedView(names.nameBefore(name))],
      undo: [refreshMaterializedView(names.nameBefore(name), { withData: false })],
      rewritesRows: !isLate(name),
    })),
    last: ordered.filter(isLate).map((name) => ({
      ...stepOf(name),
      statements: [refreshMaterializedView(name)],
      undo: [],
      rewritesRows: true,
    })),
  };
}

function stepOf(
  name: QualifiedName,
): Pick<PlanStep, 'action' | 'view' | 'name' | 'reason' | 'lock'> {
  return {
    action: 'populate',
    view: displayName(name),
    name,
    reason: 'It has no data yet',
    lock: 'ACCESS EXCLUSIVE: it cannot be read yet anyway',
  };
}
