import type { ManagedDataSource } from '../../engine/managed-data-source.js';
import { MaterializedViewError } from '../../errors/materialized-view.error.js';
import { ADVICE } from '../../postgres/advice.sql.js';
import {
  selectServerFacts,
  selectViewRisks,
  type ServerFactsRow,
  type ViewRiskRow,
} from '../../postgres/doctor.sql.js';
import { MATERIALIZED, PLAIN } from '../../postgres/view-kind.js';
import { isInSchema, quoteIdentifier } from '../../postgres/identifier.js';
import { INSTALLATION_VERSION } from '../../postgres/installation.sql.js';
import { selectWakeUpTrigger, type WakeUpTriggerRow } from '../../postgres/wake-up.sql.js';
import { readInstalledVersion } from '../../postgres/installed-version.js';
import type { SchemaDifference } from '../../schema/schema-difference.js';
import type { InspectedView } from '../../introspection/inspected-view.js';
import type { Finding } from './finding.js';
import { jobFindings } from './job.findings.js';
import { poolerFindings } from './pooler.findings.js';
import { serverFindings } from './server.findings.js';
import { logFindings, riskFinding, viewFindings } from './view.findings.js';

/** The time limit of each query. */
const TIMEOUT_MS = 30_000;

const MEND_CLASS =
  'Change the class of the view, or what its query reads, and look with: matviews diff';

interface ServerReading {
  facts: ServerFactsRow;
  risks: ViewRiskRow[];
  installedVersion: number;
  hasWakeUpTrigger: boolean;
}

/**
 * Finds everything that will fail later. Changes nothing.
 *
 * @param schema leaves out what concerns a view of another schema
 */
export async function examine(source: ManagedDataSource, schema?: string): Promise<Finding[]> {
  const { facts, risks, installedVersion, hasWakeUpTrigger } = await readServer(source);
  const inspected = await source.catalog.inspect(undefined, TIMEOUT_MS);
  const found = new Map(inspected.map((view) => [view.view, view]));
  const statuses = installedVersion === 0 ? [] : await source.inspector.statusAll(TIMEOUT_MS);
  const searchPath = await searchPathOf(source);
  const findings = [
    ...serverFindings(facts, source.options.poolSize, new Date()),
    ...(await poolerFindings(source, hasWakeUpTrigger)),
    ...versionFindings(installedVersion, source.options.stateSchema),
    ...statuses.flatMap((status) => viewFindings(status, found.get(status.view))),
    ...statuses.flatMap(jobFindings),
    ...risks.map((risk) => riskFinding(risk, facts.version, searchPath)),
    ...logFindings(statuses),
    ...(await differenceFindings(source, found, schema)),
  ];
  return findings
    .filter(({ view }) => view === undefined || isInSchema(view, schema))
    .sort((one, other) => rank(one) - rank(other));
}

async function readServer({ database, options, views }: ManagedDataSource): Promise<ServerReading> {
  return database.reading(TIMEOUT_MS, async (session) => {
    const names = views.all().map(({ name }) => name);
    const [facts] = await session.query<ServerFactsRow>(selectServerFacts());
    if (facts === undefined) {
      throw new Error('the server did not say its version');
    }
    return {
      facts,
      risks: await session.query<ViewRiskRow>(selectViewRisks(names)),
      installedVersion: await readInstalledVersion(session, options.stateSchema),
      hasWakeUpTrigger:
        (await session.query<WakeUpTriggerRow>(selectWakeUpTrigger(options.stateSchema))).length >
        0,
    };
  });
}

/** As in the application itself. */
async function searchPathOf({ database }: ManagedDataSource): Promise<string> {
  const { currentSchema } = await database.serverInfo();
  return `${currentSchema === null ? '' : `${quoteIdentifier(currentSchema)}, `}pg_temp`;
}

function versionFindings(installedVersion: number, stateSchema: string): Finding[] {
  if (installedVersion >= INSTALLATION_VERSION) {
    return [];
  }
  const message =
    installedVersion === 0
      ? `The library's own tables are not in schema "${stateSchema}", or not all of them: nothing can be refreshed.`
      : `The library's own tables in schema "${stateSchema}" have version ${installedVersion}, and this release needs ${INSTALLATION_VERSION}.`;
  return [
    {
      severity: 'error',
      code: 'tables-version',
      message,
      fix: 'matviews sync # or: matviews generate <path>',
    },
  ];
}

/** What can't be created as declared, and what is no longer needed. `check` reports the other differences. */
async function differenceFindings(
  source: ManagedDataSource,
  found: ReadonlyMap<string, InspectedView>,
  schema: string | undefined,
): Promise<Finding[]> {
  try {
    const differences = await source.schema.diff({ schema });
    const places = new Map([...found.keys()].map((view, place) => [view, place]));
    const placeOf = ({ view }: SchemaDifference): number => places.get(view) ?? -1;
    // What reads an orphan must be dropped before it.
    return differences
      .toSorted((one, other) => placeOf(other) - placeOf(one))
      .flatMap((difference) => differenceFinding(difference, found));
  } catch (error) {
    if (!(error instanceof MaterializedViewError)) {
      throw error;
    }
    const { view, message, hint } = error;
    const fix = hint ?? 'matviews diff --verbose';
    return [{ severity: 'error', code: 'diff-fails', view, message, fix }];
  }
}

function differenceFinding(
  { kind, view, description }: SchemaDifference,
  found: ReadonlyMap<string, InspectedView>,
): Finding[] {
  const message = `${description.replace(/\.$/, '')}.`;
  switch (kind) {
    case 'orphan':
      return [{ severity: 'warning', code: kind, view, message, fix: dropOf(found.get(view)) }];
    case 'job-missing':
    case 'job-changed':
      return [{ severity: 'error', code: kind, view, message, fix: 'matviews sync' }];
    case 'job-superfluous':
    case 'job-left-over':
      return [
        { severity: 'warning', code: 'job-superfluous', view, message, fix: 'matviews sync' },
      ];
    case 'capture-superfluous':
      return [{ severity: 'warning', code: kind, view, message, fix: 'matviews sync' }];
    case 'query-fails':
    case 'refused':
      return [{ severity: 'error', code: 'diff-fails', view, message, fix: MEND_CLASS }];
    default:
      return [];
  }
}

function dropOf(view: InspectedView | undefined): string {
  return view === undefined
    ? 'matviews sync --prune'
    : ADVICE.dropView(view.kind === 'view' ? PLAIN : MATERIALIZED, view);
}

const rank = ({ severity }: Finding): number => (severity === 'error' ? 0 : 1);
