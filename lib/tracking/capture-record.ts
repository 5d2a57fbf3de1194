import { isDeepStrictEqual } from 'node:util';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { CaptureRecord, KnownViewRow } from '../postgres/state.sql.js';

/**
 * The database remembers other changes than those that the view should track. What it remembers
 * counts.
 */
export interface RecordDifference {
  kind: 'capture-record';
  view: ViewDefinition;
  remembered: CaptureRecord | null;
  wanted: CaptureRecord | null;
}

/**
 * Pure.
 *
 * @param known what is remembered about views, by name
 */
export function recordDifferences(
  views: readonly ViewDefinition[],
  known: ReadonlyMap<string, KnownViewRow>,
  mayNarrow: boolean,
): RecordDifference[] {
  return views.flatMap((view) => {
    const row = known.get(viewName(view));
    const remembered = row?.capture ?? null;
    const wanted = effectiveCapture(view, row, mayNarrow);
    return isDeepStrictEqual(remembered, wanted)
      ? []
      : [{ kind: 'capture-record' as const, view, remembered, wanted }];
  });
}

/** Which changes the code wants a view to track; `null` for none. */
export function captureRecord({ freshness }: ViewDefinition): CaptureRecord | null {
  return freshness === undefined
    ? null
    : { reads_sources: freshness.readsSources, tables: freshness.tables };
}

/** The version of the view in the database, if it is newer than the code's. */
export function newerVersion(
  { version }: Pick<ViewDefinition, 'version'>,
  known: Pick<KnownViewRow, 'definition_version'> | undefined,
): number | undefined {
  const knownVersion = Number(known?.definition_version ?? 0);
  return version !== undefined && knownVersion > version ? knownVersion : undefined;
}

/**
 * Which changes a view tracks, given what the code declares and what the database remembers. Only a process that
 * may change views follows the code alone. Any other adds what the code declares to what is remembered: an old
 * release that restarts during a rolling deployment declares less than the new one, and must not switch off what
 * the new one relies on. If the database has a newer version of the view, what is remembered counts.
 *
 * @param mayNarrow whether the process may change views
 */
export function effectiveCapture(
  view: ViewDefinition,
  known: KnownViewRow | undefined,
  mayNarrow: boolean,
): CaptureRecord | null {
  const declared = captureRecord(view);
  const remembered = known?.capture ?? null;
  if (newerVersion(view, known) !== undefined) {
    return remembered;
  }
  if (mayNarrow) {
    return declared;
  }
  if (declared === null || covers(remembered, declared)) {
    return remembered;
  }
  return remembered === null ? declared : union(remembered, declared);
}

/** Whether what is remembered about a view includes everything that is declared. */
export function covers(remembered: CaptureRecord | null, declared: CaptureRecord | null): boolean {
  const names = new Set(remembered?.tables.map(quoteQualifiedName));
  return (
    declared === null ||
    (remembered !== null &&
      (remembered.reads_sources || !declared.reads_sources) &&
      declared.tables.every((table) => names.has(quoteQualifiedName(table))))
  );
}

/** Whether the view tracks everything that this process declares. If it doesn't, the absence of changes means nothing. */
export function tracksAllDeclared(view: ViewDefinition, remembered: CaptureRecord | null): boolean {
  return covers(remembered, captureRecord(view));
}

function union(one: CaptureRecord, other: CaptureRecord): CaptureRecord {
  const tables = [...one.tables, ...other.tables].map((table): [string, QualifiedName] => [
    quoteQualifiedName(table),
    table,
  ]);
  return {
    reads_sources: one.reads_sources || other.reads_sources,
    tables: [...new Map(tables).values()],
  };
}
