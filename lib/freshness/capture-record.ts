import type { ViewDefinition } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { CaptureRecord, KnownViewRow } from '../postgres/state.sql.js';

/** What the code declares of the changes that a view is to be told of. */
export function captureRecord({ freshness }: ViewDefinition): CaptureRecord | null {
  return freshness === undefined
    ? null
    : { reads_sources: freshness.readsSources, tables: freshness.tables };
}

/** The version that the database has of a view, when it is a newer one than the code's. */
export function newerVersion(
  { version }: Pick<ViewDefinition, 'version'>,
  known: Pick<KnownViewRow, 'definition_version'> | undefined,
): number | undefined {
  const knownVersion = Number(known?.definition_version ?? 0);
  return version !== undefined && knownVersion > version ? knownVersion : undefined;
}

/**
 * What counts of what the code declares and what is remembered. Only who may change views takes the code's word
 * alone: an old release that starts again while a deployment rolls declares less than the new one, and must not
 * switch off what that relies on.
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

/** Whether a view for which `remembered` counts is told of all that `declared` asks for. */
export function covers(remembered: CaptureRecord | null, declared: CaptureRecord | null): boolean {
  const names = new Set(remembered?.tables.map(displayName));
  return (
    declared === null ||
    (remembered !== null &&
      (remembered.reads_sources || !declared.reads_sources) &&
      declared.tables.every((table) => names.has(displayName(table))))
  );
}

/** Whether the view is told of all that this process declares: where it is not, silence does not mean that nothing changed. */
export function isToldAll(view: ViewDefinition, remembered: CaptureRecord | null): boolean {
  return covers(remembered, captureRecord(view));
}

function union(one: CaptureRecord, other: CaptureRecord): CaptureRecord {
  const tables = [...one.tables, ...other.tables].map((table): [string, QualifiedName] => [
    displayName(table),
    table,
  ]);
  return {
    reads_sources: one.reads_sources || other.reads_sources,
    tables: [...new Map(tables).values()],
  };
}
