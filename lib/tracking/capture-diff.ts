import { isDeepStrictEqual } from 'node:util';
import type { WakeUp } from '../definition/module.options.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { CapturedTableRow } from '../postgres/capture.sql.js';
import { type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { CaptureRecord, KnownViewRow } from '../postgres/state.sql.js';
import type { WakeUpTriggerRow } from '../postgres/wake-up.sql.js';
import type { CaptureNeed, CaptureNeeds } from './capture-needs.js';
import { effectiveCapture } from './capture-record.js';

/** One way in which the database does not track for a view what it should. */
export type CaptureDifference =
  /** Changes of a table that the view tracks are not written into the log. */
  | { kind: 'capture-missing'; table: QualifiedName }
  /** Some are not: a trigger was dropped, or switched off. */
  | { kind: 'capture-changed'; table: QualifiedName }
  /** The database remembers other changes than the view should track. What it remembers counts. */
  | { kind: 'capture-record'; remembered: CaptureRecord | null; wanted: CaptureRecord | null }
  /** A table that the view names in `refresh.on` does not exist. */
  | { kind: 'table-missing'; target: string; table: QualifiedName };

/** What of the tracking concerns no single view of this code. */
export interface CaptureDiff {
  /** Tables whose changes are captured, and that no view needs any more. */
  superfluous: QualifiedName[];
  /** Tables whose changes are captured only because a class once declared so. */
  leftOver: QualifiedName[];
  /** The names of all views for which tables are captured. */
  capturedFor: ReadonlySet<string>;
  /** How writers should wake processes up, where they do not. */
  wakeUp?: WakeUpDifference;
}

export interface WakeUpDifference {
  wanted: WakeUp;
  /** Whether there is a trigger that has to go. */
  replaces: boolean;
}

/** What the database has of the tracking. */
export interface CaptureState {
  captured: readonly CapturedTableRow[];
  /** What is remembered of views, by name. */
  known: ReadonlyMap<string, KnownViewRow>;
  wakeUpTrigger?: WakeUpTriggerRow;
}

/** Where nothing is tracked, and nothing should be. */
export const NO_CAPTURES: CaptureDiff = { superfluous: [], leftOver: [], capturedFor: new Set() };

/** How what is tracked for one view differs from what it should be. Pure. */
export function captureDifferences(
  view: ViewDefinition,
  { tables, missing }: CaptureNeeds,
  { captured, known }: CaptureState,
  mayNarrow: boolean,
): CaptureDifference[] {
  const byName = new Map(captured.map((row) => [capturedName(row), row]));
  return [
    ...recordDifference(view, known.get(viewName(view)), mayNarrow),
    ...[...tables.values()]
      .filter(({ views }) => views.has(viewName(view)))
      .flatMap((need) => tableDifference(need, byName.get(quoteQualifiedName(need.table)))),
    ...missing
      .filter((each) => each.view === view)
      .map(({ table }) => ({ kind: 'table-missing' as const, target: view.target.name, table })),
  ];
}

/** Compares the captured tables, and what wakes processes up, with what is needed. Pure. */
export function diffCaptures(
  { tables }: Pick<CaptureNeeds, 'tables'>,
  { captured, wakeUpTrigger }: Omit<CaptureState, 'known'>,
  wakeUp: WakeUp,
): CaptureDiff {
  const names = new Set(captured.map(capturedName));
  const inUse = [...tables].filter(([name]) => names.has(name)).map(([, need]) => need);
  return {
    superfluous: captured
      .filter((row) => !tables.has(capturedName(row)))
      .map((row) => ({ schema: row.schema_name, name: row.table_name })),
    leftOver: inUse.filter(({ isLeftOver }) => isLeftOver).map(({ table }) => table),
    capturedFor: new Set(inUse.flatMap(({ views }) => [...views])),
    ...wakeUpDifference(wakeUp, wakeUpTrigger),
  };
}

function wakeUpDifference(
  wanted: WakeUp,
  trigger: WakeUpTriggerRow | undefined,
): Pick<CaptureDiff, 'wakeUp'> {
  const replaces = trigger !== undefined;
  const isAsWanted = wanted === 'notify' ? trigger?.is_complete : !replaces;
  return isAsWanted ? {} : { wakeUp: { wanted, replaces } };
}

function recordDifference(
  view: ViewDefinition,
  known: KnownViewRow | undefined,
  mayNarrow: boolean,
): CaptureDifference[] {
  const remembered = known?.capture ?? null;
  const wanted = effectiveCapture(view, known, mayNarrow);
  return isDeepStrictEqual(remembered, wanted)
    ? []
    : [{ kind: 'capture-record', remembered, wanted }];
}

function tableDifference(
  { table }: CaptureNeed,
  captured: CapturedTableRow | undefined,
): CaptureDifference[] {
  if (captured === undefined) {
    return [{ kind: 'capture-missing', table }];
  }
  return captured.is_complete ? [] : [{ kind: 'capture-changed', table }];
}

function capturedName({ schema_name, table_name }: CapturedTableRow): string {
  return quoteQualifiedName({ schema: schema_name, name: table_name });
}
