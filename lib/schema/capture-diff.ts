import { isDeepStrictEqual } from 'node:util';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { CaptureNeed } from '../freshness/capture-needs.js';
import { effectiveCapture } from '../freshness/capture-record.js';
import type { CapturedTableRow } from '../postgres/capture.sql.js';
import type { WakeUp } from '../definition/module.options.js';
import { displayName, quoteQualifiedName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import type { WakeUpTriggerRow } from '../postgres/wake-up.sql.js';
import type { DatabaseState } from './database-state.js';
import type { Difference, SchemaDiff } from './schema-diff.js';

/** Adds to a diff which tables have to be captured and are not, and which are captured for nothing. Pure. */
export function withCaptures(
  diff: SchemaDiff,
  needs: ReadonlyMap<string, CaptureNeed>,
  { captured, known }: Pick<DatabaseState, 'captured' | 'known'>,
  mayNarrow: boolean,
): SchemaDiff {
  const byName = new Map(captured.map((row) => [capturedName(row), row]));
  return {
    ...diff,
    views: diff.views.map((each) => ({
      ...each,
      differences: [
        ...each.differences,
        ...recordDifference(each.view, known.get(viewName(each.view)), mayNarrow),
        ...[...needs.values()]
          .filter(({ views }) => views.has(viewName(each.view)))
          .flatMap((need) => difference(need, byName.get(quoteQualifiedName(need.table)))),
      ],
    })),
    superfluousCaptures: captured
      .filter((row) => !needs.has(capturedName(row)))
      .map((row) => ({ schema: row.schema_name, name: row.table_name })),
    leftOverCaptures: [...needs]
      .filter(([name, { isLeftOver }]) => isLeftOver && byName.has(name))
      .map(([, { table }]) => table),
    capturingOrphans: diff.orphans
      .map(({ name }) => displayName(name))
      .filter((orphan) =>
        [...needs].some(([name, { views }]) => views.has(orphan) && byName.has(name)),
      ),
  };
}

function recordDifference(
  view: ViewDefinition,
  known: KnownViewRow | undefined,
  mayNarrow: boolean,
): Difference[] {
  const remembered = known?.capture ?? null;
  const wanted = effectiveCapture(view, known, mayNarrow);
  return isDeepStrictEqual(remembered, wanted)
    ? []
    : [{ kind: 'capture-record', remembered, wanted }];
}

/** Adds to a diff that writers have to notify processes and do not, or the other way round. Pure. */
export function withWakeUp(
  diff: SchemaDiff,
  wanted: WakeUp,
  trigger: WakeUpTriggerRow | undefined,
): SchemaDiff {
  const replaces = trigger !== undefined;
  const isAsWanted = wanted === 'notify' ? trigger?.is_complete : !replaces;
  return isAsWanted ? diff : { ...diff, wakeUp: { wanted, replaces } };
}

function capturedName({ schema_name, table_name }: CapturedTableRow): string {
  return quoteQualifiedName({ schema: schema_name, name: table_name });
}

function difference({ table }: CaptureNeed, captured: CapturedTableRow | undefined): Difference[] {
  if (captured === undefined) {
    return [{ kind: 'capture-missing', table }];
  }
  return captured.is_complete ? [] : [{ kind: 'capture-changed', table }];
}
