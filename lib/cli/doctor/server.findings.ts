import { ADVICE } from '../../postgres/advice.sql.js';
import type { ServerFactsRow } from '../../postgres/doctor.sql.js';
import type { Finding } from './finding.js';

/** The last day of each major version: https://www.postgresql.org/support/versioning/ */
const SUPPORTED_UNTIL: Record<number, string> = {
  13: '2025-11-13',
  14: '2026-11-12',
  15: '2027-11-11',
  16: '2028-11-09',
  17: '2029-11-08',
  18: '2030-11-14',
};

const OLDEST_MAJOR = 13;

/** What these settings do to the library or to a migration if they have one of these values. */
const HARMFUL: Record<string, { isHarmful: (value: string) => boolean; why: string }> = {
  session_replication_role: {
    isHarmful: (value) => value === 'replica',
    why: 'no trigger fires, so writes are not noticed and views stay as they are',
  },
  row_security: {
    isHarmful: (value) => value === 'off',
    why: 'queries on tables with row security fail',
  },
  default_transaction_read_only: {
    isHarmful: (value) => ['on', 'true', '1', 'yes'].includes(value),
    why: 'migrations fail',
  },
  statement_timeout: {
    isHarmful: isLimit,
    why: 'a migration that builds a view is cancelled when it takes longer; refreshes have a limit of their own',
  },
  transaction_timeout: {
    isHarmful: isLimit,
    why: 'a migration that builds a view is ended when it takes longer; refreshes have a limit of their own',
  },
  temp_file_limit: {
    isHarmful: (value) => value !== '-1',
    why: 'a refresh whose sorting needs more room fails',
  },
};

/** Problems of the server itself. Pure. */
export function serverFindings(facts: ServerFactsRow, poolSize: number, now: Date): Finding[] {
  return [
    ...versionFindings(facts, now),
    ...connectionFindings(facts, poolSize),
    ...(facts.settings ?? []).flatMap(({ name, value, reset }): Finding[] => {
      const harmful = HARMFUL[name];
      return harmful?.isHarmful(value)
        ? [
            {
              severity: 'warning',
              code: 'setting',
              message: `${name} is set to ${JSON.stringify(value)} for this role or database: ${harmful.why}.`,
              fix: `${reset};`,
            },
          ]
        : [];
    }),
  ];
}

function versionFindings({ version, version_name }: ServerFactsRow, now: Date): Finding[] {
  const major = Math.trunc(version / 10_000);
  const until = SUPPORTED_UNTIL[major];
  if (major < OLDEST_MAJOR) {
    const message = `PostgreSQL ${version_name} is older than ${OLDEST_MAJOR}, the oldest version that the library supports.`;
    return [{ severity: 'error', code: 'server-version', message, fix: upgradeFrom(major) }];
  }
  if (until === undefined || now < new Date(`${until}T23:59:59Z`)) {
    return [];
  }
  const message = `PostgreSQL ${version_name} has had no fixes since ${until}.`;
  return [{ severity: 'warning', code: 'server-version', message, fix: upgradeFrom(major) }];
}

function upgradeFrom(major: number): string {
  return `Upgrade the server with pg_upgrade, from ${major} to a version that is supported.`;
}

function connectionFindings(facts: ServerFactsRow, poolSize: number): Finding[] {
  const { max_connections: all, reserved_connections: reserved, used_connections: used } = facts;
  const free = all - reserved - used;
  // Each process has `poolSize` connections and one for bookkeeping.
  const needed = poolSize + 1;
  return free >= needed
    ? []
    : [
        {
          severity: 'warning',
          code: 'connections',
          message: `${used} of ${all} connections are in use and ${Math.max(free, 0)} are free; each process that refreshes needs up to ${needed} beside the application's own.`,
          fix: `${ADVICE.maxConnections(Math.max(all * 2, used + reserved + needed))} -- and restart the server, or make the applications' pools smaller`,
        },
      ];
}

function isLimit(value: string): boolean {
  return !/^0\D*$/.test(value);
}
