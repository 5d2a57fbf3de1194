import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import {
  displayName,
  type QualifiedName,
  quoteQualifiedName,
  rowName,
} from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { selectSources, type SourceRoot, type SourceRow } from '../postgres/source.sql.js';
import type { CaptureRecord, KnownViewRow } from '../postgres/state.sql.js';
import { captureRecord, covers, effectiveCapture, newerVersion } from './capture-record.js';

/** A table whose writes have to be captured, because views track it. */
export interface CaptureNeed {
  table: QualifiedName;
  /** The names of these views, as `schema.name`. */
  views: Set<string>;
  /**
   * Whether only the database remembers that it is needed: the views that needed it belong to this code,
   * which no longer declares it.
   */
  isLeftOver: boolean;
}

interface Reader {
  name: QualifiedName;
  capture: CaptureRecord;
  /** The part of `capture` that some class still declares. The rest is left over. */
  asked: CaptureRecord | null;
}

interface Root extends SourceRoot {
  isLeftOver: boolean;
}

export interface NeedsInput {
  definitions: readonly ViewDefinition[];
  /** What the database remembers about views, by name, including views of other applications. */
  known: ReadonlyMap<string, KnownViewRow>;
  /** Whether a table that the code no longer declares is no longer needed; see `effectiveCapture`. */
  mayNarrow: boolean;
  /** The names of views that are about to be dropped. */
  gone: ReadonlySet<string>;
  /** Plain views that stand in for materialized ones during a rehearsal. */
  standIns: readonly QualifiedName[];
}

/** A table that a view names in `refresh.on` and that doesn't exist. */
export interface MissingTable {
  view: ViewDefinition;
  table: QualifiedName;
}

export interface CaptureNeeds {
  /** The tables whose writes must be captured, by quoted name. */
  tables: Map<string, CaptureNeed>;
  missing: MissingTable[];
}

/** What must be captured according to the present catalog. */
export async function readCaptureNeeds(
  session: Pick<Session, 'query'>,
  input: NeedsInput,
): Promise<CaptureNeeds> {
  const roots = readersOf(input).flatMap(rootsOfReader);
  const needs: CaptureNeeds = { tables: new Map(), missing: [] };
  if (roots.length === 0) {
    return needs;
  }
  const rows = await session.query<SourceRow>(selectSources(roots, input.standIns));
  const definitions = new Map(input.definitions.map((view) => [viewName(view), view]));
  for (const row of rows) {
    const root = roots[row.position];
    if (root !== undefined) {
      add(needs, root, row, definitions);
    }
  }
  return needs;
}

function add(
  { tables, missing }: CaptureNeeds,
  { view, root, isLeftOver }: Root,
  { schema_name, table_name, relation_kind }: SourceRow,
  definitions: ReadonlyMap<string, ViewDefinition>,
): void {
  const name = displayName(view);
  if (schema_name === null) {
    const definition = definitions.get(name);
    // The missing root may be the view itself: then it reads nothing.
    const isDeclared = definition?.freshness?.tables.some(
      (table) => quoteQualifiedName(table) === quoteQualifiedName(root),
    );
    if (definition !== undefined && isDeclared) {
      missing.push({ view: definition, table: root });
    }
    return;
  }
  if (relation_kind === 'r' || relation_kind === 'p') {
    const table = { schema: schema_name, name: table_name };
    const key = quoteQualifiedName(table);
    const need = tables.get(key) ?? { table, views: new Set(), isLeftOver };
    need.views.add(name);
    need.isLeftOver &&= isLeftOver;
    tables.set(key, need);
  }
}

function readersOf({ definitions, known, gone, mayNarrow }: NeedsInput): Reader[] {
  const declared = new Set(definitions.map(viewName));
  const others = [...known.values()].filter(
    (row) => !declared.has(rowName(row)) && !gone.has(rowName(row)),
  );
  return [
    ...definitions.map((view) => {
      const row = known.get(viewName(view));
      const capture = effectiveCapture(view, row, mayNarrow);
      const isNewer = newerVersion(view, row) !== undefined;
      return { name: view.name, capture, asked: isNewer ? capture : captureRecord(view) };
    }),
    ...others.map(({ schema_name, view_name, capture }) => ({
      name: { schema: schema_name, name: view_name },
      capture,
      asked: capture,
    })),
  ].filter((reader): reader is Reader => reader.capture !== null);
}

function rootsOfReader({ name, capture, asked }: Reader): Root[] {
  const sources = { reads_sources: true, tables: [] };
  const of = (table: QualifiedName): CaptureRecord => ({ reads_sources: false, tables: [table] });
  return [
    ...(capture.reads_sources ? [{ root: name, part: sources }] : []),
    ...capture.tables.map((table) => ({ root: table, part: of(table) })),
  ].map(({ root, part }) => ({ view: name, root, isLeftOver: !covers(asked, part) }));
}

/** The roots of what a view reads or names in `on`, as declared in the code. */
export function rootsOfDefinition(view: ViewDefinition): SourceRoot[] {
  const capture = captureRecord(view);
  return capture === null ? [] : rootsOfReader({ name: view.name, capture, asked: capture });
}
