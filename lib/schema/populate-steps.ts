import { viewName } from '../definition/view-definition.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { DatabaseState } from './database-state.js';
import type { NamePlan } from './name-plan.js';
import type { PlanStep } from './plan-step.js';
import type { ViewDiff } from './schema-diff.js';
import { inOldOrder } from './view-order.js';

/**
 * Fills unpopulated views, each after everything that it reads. This comes before anything is rebuilt,
 * because that may read them. They lose their rows last on the way back,
 * because others are filled from them until then.
 */
export function populateSteps(
  views: ViewDiff[],
  state: DatabaseState,
  names: NamePlan,
): PlanStep[] {
  const empty = views.filter(({ differences }) =>
    differences.some(({ kind }) => kind === 'unpopulated'),
  );
  return inOldOrder(empty, state).map(({ member: { view } }) => ({
    action: 'populate',
    view: viewName(view),
    name: view.name,
    reason: 'It has no data yet',
    statements: [refreshMaterializedView(names.nameBefore(view.name))],
    undo: [refreshMaterializedView(names.nameBefore(view.name), { withData: false })],
    lock: 'ACCESS EXCLUSIVE: it cannot be read yet anyway',
    rewritesRows: true,
  }));
}
