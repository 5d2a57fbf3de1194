import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { displayName, type QualifiedName, rowName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { selectSources, type SourceRoot, type SourceRow } from '../postgres/source.sql.js';
import type { CaptureRecord, KnownViewRow } from '../postgres/state.sql.js';
import { captureRecord, covers, effectiveCapture, newerVersion } from './capture-record.js';

/** A table whose changes views have to know of. */
export interface CaptureNeed {
  table: QualifiedName;
  /** Who: `schema.name`. */
  views: Set<string>;
  /** Whether that is remembered of views of this code's, which declares it no more, and is all there is to it. */
  isLeftOver?: boolean;
}

interface Reader {
  name: QualifiedName;
  capture: CaptureRecord;
  /** What of it is not left over. */
  asked: CaptureRecord | null;
}

interface Root extends SourceRoot {
  isLeftOver: boolean;
}

export interface NeedsInput {
  definitions: readonly ViewDefinition[];
  /** What is remembered of views, by name: also of those that another application declares. */
  known: ReadonlyMap<string, KnownViewRow>;
  /** Whether what the code declares no more counts no more. */
  mayNarrow: boolean;
  /** Names of views that go. */
  gone: ReadonlySet<string>;
  /** Plain views that stand for materialized ones at the moment. */
  standIns: readonly QualifiedName[];
  /** Whether a table that is declared and not there is passed over. */
  skipsMissing: boolean;
}

/**
 * The tables to be captured, by name, as the catalog is now.
 *
 * @throws SchemaSyncError when a declared table is not there
 */
export async function readCaptureNeeds(
  session: Pick<Session, 'query'>,
  input: NeedsInput,
): Promise<Map<string, CaptureNeed>> {
  const roots = readersOf(input).flatMap(rootsOfReader);
  const needs = new Map<string, CaptureNeed>();
  if (roots.length === 0) {
    return needs;
  }
  const rows = await session.query<SourceRow>(selectSources(roots, input.standIns));
  for (const row of rows) {
    const root = roots[row.position];
    if (root !== undefined) {
      add(needs, root, row, input);
    }
  }
  return needs;
}

function add(
  needs: Map<string, CaptureNeed>,
  { view, root, isLeftOver }: Root,
  { schema_name, table_name, relation_kind }: SourceRow,
  { definitions, skipsMissing }: NeedsInput,
): void {
  const name = displayName(view);
  if (schema_name === null) {
    const definition = definitions.find((each) => viewName(each) === name);
    // A view that is not there reads nothing.
    const isDeclared = definition?.freshness?.tables.some(
      (table) => displayName(table) === displayName(root),
    );
    if (definition !== undefined && isDeclared && !skipsMissing) {
      throw missingTable(name, definition, root);
    }
    return;
  }
  if (relation_kind === 'r' || relation_kind === 'p') {
    const table = { schema: schema_name, name: table_name };
    const need = needs.get(displayName(table)) ?? { table, views: new Set(), isLeftOver };
    need.views.add(name);
    need.isLeftOver &&= isLeftOver;
    needs.set(displayName(table), need);
  }
}

function missingTable(
  view: string,
  { target }: ViewDefinition,
  table: QualifiedName,
): SchemaSyncError {
  return new SchemaSyncError(
    `Cannot notice changes for materialized view "${view}" of ${target.name}: \`refresh.on\` names "${displayName(table)}", which is not there. Nothing has been changed.`,
    { view, hint: 'Create the table first, or write its schema in front of its name.' },
  );
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

/** What one view is to be watched for, as the code declares it. */
export function rootsOfDefinition(view: ViewDefinition): SourceRoot[] {
  const capture = captureRecord(view);
  return capture === null ? [] : rootsOfReader({ name: view.name, capture, asked: capture });
}
