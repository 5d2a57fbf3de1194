import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { displayName, displayNames, type QualifiedName } from '../postgres/identifier.js';
import { selectStandIns, type StandInRow } from '../postgres/rehearsal.sql.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { renameView } from '../postgres/view-ddl.sql.js';
import { lockAgainstReaders } from '../postgres/view-lock.sql.js';
import type { DeployedView } from './deployed-view.js';
import type { NamePlan } from './name-plan.js';
import { type Move, moveViews } from './rename.js';
import type { ClosureMember } from './rebuild-closure.js';
import { SchemaStepError } from './schema-error.js';
import { temporaryName } from './temporary-name.js';

/** A view that is dropped, and how it is recreated beside what exists afterwards. */
export interface OldView {
  deployed: DeployedView;
  /** Its name before the plan, and again after undoing the plan. */
  name: QualifiedName;
  buildName: QualifiedName;
  /** Its definition with the others' build names in it. */
  buildQuery: string;
  /** Its columns when it is recreated, if they may differ. */
  found?: { columns: string[]; plainColumns: string[] };
  /** Set if it is recreated as the code declares it. */
  declaredIndexes?: IndexDefinition[];
}

export interface StepAsideOptions {
  /** Views that are dropped because no class declares them any more. */
  going: DeployedView[];
  /** Views that are renamed and not rebuilt. */
  moves: Move[];
  names: NamePlan;
  /** Views that are changed in place. */
  staying: QualifiedName[];
  /** How long to wait for all locks together. */
  waitMs: number;
}

/** The name under which something is built while another has its own. */
export function beside(name: QualifiedName): QualifiedName {
  return { schema: name.schema, name: temporaryName('view', displayName(name)) };
}

/**
 * Gives the old views their build names, and renamed ones their new names; reads the definitions in that state; then
 * moves the old views out of the way.
 */
export async function stepAside(
  session: Session,
  deployed: DeployedView[],
  { going, moves, staying, names, waitMs }: StepAsideOptions,
  first: ClosureMember | undefined,
): Promise<Map<DeployedView, OldView>> {
  const aside = deployed.map((view) => {
    const name = names.nameBefore(view.name);
    return { view, name, at: beside(name) };
  });
  const { leave, arrive } = moveViews(moves);
  const steps = [
    lockAgainstReaders(
      [
        ...aside.map(({ name }) => name),
        ...moves.map(({ from }) => from),
        ...staying.map(names.nameBefore),
      ],
      waitMs,
    ),
    ...aside.map(({ view, name, at }) => renameView(view.kind, name, at.name)),
    ...leave,
    ...arrive,
  ];
  if (aside.length + moves.length + staying.length === 0) {
    return new Map();
  }
  try {
    await session.query(script(steps));
  } catch (cause) {
    const tried = displayNames([...deployed.map(({ name }) => name), ...staying]);
    const task =
      first === undefined ? `drop or rename ${tried}` : `try out the new definition of ${tried}`;
    throw new SchemaStepError(cause, { task, view: first?.definition });
  }
  const rows = await session.query<StandInRow>(selectStandIns(aside.map(({ at }) => at)));
  for (const { view, name, at } of aside) {
    // What is only dropped gets its name back, so that its readers can be found.
    const next = going.includes(view) ? name.name : temporaryName('aside', displayName(name));
    await session.query(renameView(view.kind, at, next));
  }
  return new Map(
    aside.map(({ view, name, at }, position) => [
      view,
      { deployed: view, name, buildName: at, buildQuery: rows[position]?.definition ?? '' },
    ]),
  );
}
