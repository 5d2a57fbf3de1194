import { groupedBy } from '../definition/grouped-by.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { viewName } from '../definition/view-definition.js';
import type { CapturedTableRow } from '../postgres/capture.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { CaptureNeed, CaptureNeeds } from './capture-needs.js';

/** One way in which the triggers of tables differ from what the views need. */
export type CaptureDifference =
  /** Changes of a table that the view tracks are not logged. */
  | { kind: 'capture-missing'; view: ViewDefinition; table: QualifiedName }
  /** Some are not logged: a trigger was dropped or disabled. */
  | { kind: 'capture-changed'; view: ViewDefinition; table: QualifiedName }
  /** A table that the view names in `refresh.on` does not exist. */
  | { kind: 'table-missing'; view: ViewDefinition; table: QualifiedName }
  /** Changes of a table are captured, but no view needs them any more. */
  | { kind: 'capture-superfluous'; subject: QualifiedName }
  /** Changes of a table are captured only because a class once declared it. */
  | { kind: 'capture-left-over'; subject: QualifiedName };

/** Compares the captured tables with what is needed. Pure. */
export function diffCaptures(
  views: readonly ViewDefinition[],
  { tables, missing }: CaptureNeeds,
  captured: readonly CapturedTableRow[],
): CaptureDifference[] {
  const byName = new Map(captured.map((row) => [quoteQualifiedName(capturedTable(row)), row]));
  const pairs = [...tables.values()].flatMap((need) =>
    [...need.views].map((view) => ({ view, need })),
  );
  const needsOf = groupedBy(pairs, ({ view }) => view);
  return [
    ...views.flatMap((view) =>
      (needsOf.get(viewName(view)) ?? []).flatMap(({ need }) =>
        tableDifference(view, need, byName.get(quoteQualifiedName(need.table))),
      ),
    ),
    ...missing.map((each) => ({ kind: 'table-missing' as const, ...each })),
    ...captured
      .map(capturedTable)
      .filter((subject) => !tables.has(quoteQualifiedName(subject)))
      .map((subject) => ({ kind: 'capture-superfluous' as const, subject })),
    ...[...tables]
      .filter(([name, { isLeftOver }]) => isLeftOver && byName.has(name))
      .map(([, { table: subject }]) => ({ kind: 'capture-left-over' as const, subject })),
  ];
}

function tableDifference(
  view: ViewDefinition,
  { table }: CaptureNeed,
  captured: CapturedTableRow | undefined,
): CaptureDifference[] {
  if (captured === undefined) {
    return [{ kind: 'capture-missing', view, table }];
  }
  return captured.is_complete ? [] : [{ kind: 'capture-changed', view, table }];
}

function capturedTable({ schema_name, table_name }: CapturedTableRow): QualifiedName {
  return { schema: schema_name, name: table_name };
}
