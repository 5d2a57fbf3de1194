import type { SqlStatement } from '../postgres/sql-statement.js';
import type { PlanStep } from '../schema/plan-step.js';
import type { SchemaPlan } from '../schema/schema-plan.js';

/** What would run, as SQL with comments. Bound values follow their statement. */
export function planText({ steps, skipped, orphans }: SchemaPlan): string {
  if (steps.length + skipped.length === 0) {
    return 'Nothing to do: the database matches the code.';
  }
  return [
    ...steps.map(stepText),
    ...skipped.map(({ view, reason }) => `-- "${view}" is left as it is: ${reason}`),
    ...orphans.map((view) => `-- "${view}" is not declared any more`),
  ].join('\n\n');
}

/** The same for programs: names, reasons and statements. */
export function planDocument({ dataSource, steps, skipped, orphans }: SchemaPlan): object {
  return {
    dataSource,
    steps: steps.map(({ action, view, reason, lock, rewritesRows, statements }) => ({
      action,
      view,
      reason,
      lock,
      rewritesRows,
      statements: statements.map(({ text, values }) => ({ text, values })),
    })),
    skipped,
    orphans,
  };
}

/**
 * Steps that need confirmation: those that drop something or recompute the rows of an existing view.
 *
 * @param existing the views in the database
 */
export function grave({ steps }: SchemaPlan, existing: ReadonlySet<string>): PlanStep[] {
  const renamed = new Set(steps.flatMap(({ action, view }) => (action === 'rename' ? [view] : [])));
  const isThere = ({ view }: PlanStep): boolean =>
    view !== undefined && (existing.has(view) || renamed.has(view));
  return steps.filter((step) => step.action === 'drop' || (step.rewritesRows && isThere(step)));
}

function stepText({ action, view, reason, lock, statements }: PlanStep): string {
  const subject = view === undefined ? '' : ` "${view}"`;
  return [
    `-- ${action}${subject}: ${reason}`,
    `-- lock: ${lock}`,
    ...statements.map(statementText),
  ].join('\n');
}

function statementText({ text, values = [] }: SqlStatement): string {
  const bound = values.map((value, i) => `-- $${i + 1} = ${JSON.stringify(value)}`);
  return [`${text.replace(/;\s*$/, '')};`, ...bound].join('\n');
}
