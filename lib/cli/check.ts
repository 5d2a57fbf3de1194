import { type Duration, milliseconds } from '../definition/duration.js';
import type { ManagedDataSource } from '../engine/managed-data-source.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import type { DataDrift } from '../status/data-drift.js';
import type { ViewStatus } from '../status/view-status.js';
import type { SchemaDifference } from '../schema/schema-difference.js';
import type { CommandResult } from './cli-command.js';
import { type SchemaFlag, viewsIn } from './schema-option.js';
import { ExitCode } from './exit-code.js';

export interface CheckOptions extends SchemaFlag {
  /** Whether stale rows count. */
  freshness?: boolean;
  /** Whether the rows of each view are compared with what its query returns now. */
  data?: boolean;
  timeout?: Duration;
}

/** Keys are row data, which doesn't belong in a program's log. */
type RowDrift = Pick<DataDrift, 'view' | 'isDrifted' | 'missingCount' | 'extraCount'>;

/**
 * Checks whether the database is as declared and, if requested, whether rows are fresh and right. It writes nothing.
 */
export async function check(
  source: ManagedDataSource,
  { freshness = false, data = false, timeout = '30s', schema }: CheckOptions,
): Promise<CommandResult> {
  const views = viewsIn(source.views.all(), { schema });
  const names = new Set(views.map(viewName));
  const differences = (await source.schema.diff({ schema })).filter(
    ({ kind }) => kind !== 'orphan',
  );
  const statuses = freshness ? await source.inspector.statusAll(milliseconds(timeout)) : [];
  const stale = statuses.filter(({ view, isStale }) => isStale && names.has(view));
  const drifted = (data ? await rowDrifts(source, views, differences) : []).filter(
    ({ isDrifted }) => isDrifted,
  );
  const isDrifted = differences.length + drifted.length > 0;
  const staleCode = stale.length > 0 ? ExitCode.stale : ExitCode.ok;
  return {
    text: [
      ...differences.map(({ view, description }) => `drift  ${view}: ${description}`),
      ...drifted.map(rowText),
      ...stale.map(staleText),
    ]
      .concat(isDrifted || stale.length > 0 ? [] : ['The database matches the code.'])
      .join('\n'),
    json: {
      isDrifted,
      differences,
      ...(freshness && { stale }),
      ...(data && { drifted }),
    },
    exitCode: isDrifted ? ExitCode.drift : staleCode,
  };
}

/** Only for existing views: the others differ anyway. */
async function rowDrifts(
  { inspector }: ManagedDataSource,
  views: readonly ViewDefinition[],
  differences: readonly SchemaDifference[],
): Promise<RowDrift[]> {
  const differing = new Set(differences.map(({ view }) => view));
  const drifts: RowDrift[] = [];
  for (const view of views.filter(({ kind }) => kind.storesRows)) {
    if (!differing.has(displayName(view.name))) {
      const { view: name, isDrifted, missingCount, extraCount } = await inspector.drift(view, 1);
      drifts.push({ view: name, isDrifted, missingCount, extraCount });
    }
  }
  return drifts;
}

function rowText({ view, missingCount, extraCount }: RowDrift): string {
  return `rows   ${view}: ${missingCount} missing, ${extraCount} extra`;
}

function staleText({ view, ageMs, maxStalenessMs, isPopulated }: ViewStatus): string {
  if (!isPopulated) {
    return `stale  ${view}: it has no rows yet`;
  }
  const age = ageMs === undefined ? 'of unknown age' : `${Math.round(ageMs / 1_000)} s old`;
  const limit =
    maxStalenessMs === undefined ? '' : `, limit ${Math.round(maxStalenessMs / 1_000)} s`;
  return `stale  ${view}: its rows are ${age}${limit}`;
}
