import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { examine } from '../../../lib/cli/doctor/doctor.js';
import type { Finding } from '../../../lib/cli/doctor/finding.js';
import { RefreshService } from '../../../lib/index.js';
import { managed } from '../../support/managed.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const OWNER = `owner "${randomBytes(4).toString('hex')}"`;
const OTHER = `other_${randomBytes(4).toString('hex')}`;

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Something that a view reads: how to create it, and which of its columns the view reads. */
interface Source {
  create: (name: string) => string;
  columns?: string;
  /** What to grant to the role that reads it. @default nothing */
  grant?: (name: string, role: string) => string;
}

const rows = 'SELECT 1 AS id, 1 AS hidden';
const grantOn =
  (what: string) =>
  (name: string, role: string): string =>
    `GRANT ${what} ON ${name} TO ${role}`;
const createTable = (name: string): string => `CREATE TABLE ${name} AS ${rows}`;
const SOURCES: Record<string, Source> = {
  'a table': { create: createTable },
  'a table that may be read': {
    create: createTable,
    grant: grantOn('SELECT'),
  },
  'a table of which it may read another column': {
    create: createTable,
    grant: grantOn('SELECT (hidden)'),
  },
  'a table of which it may read one of two columns': {
    create: createTable,
    columns: 'max(id) AS id, max(hidden) AS most',
    grant: grantOn('SELECT (id)'),
  },
  'a table of which it may read the column': {
    create: createTable,
    grant: grantOn('SELECT (id)'),
  },
  'a table whose rows are counted, with a column that may be read': {
    create: createTable,
    columns: 'count(*)::int AS id',
    grant: grantOn('SELECT (hidden)'),
  },
  'a system column': {
    create: createTable,
    columns: 'max(s.xmin::text) AS id',
    grant: grantOn('SELECT (id)'),
  },
  'a partitioned table': {
    create: (name) =>
      `CREATE TABLE ${name} (id int, hidden int) PARTITION BY LIST (id);
       CREATE TABLE ${name.replace(/"$/, ' part"')} PARTITION OF ${name} DEFAULT;
       INSERT INTO ${name} VALUES (1, 1)`,
  },
  'a materialized view': { create: (name) => `CREATE MATERIALIZED VIEW ${name} AS ${rows}` },
  'a sequence': { create: (name) => `CREATE SEQUENCE ${name}`, columns: 'max(last_value) AS id' },
};

/** How the view gets to its source. `reader` owns the plain view; its privileges count without `security_invoker`. */
const PATHS: Record<string, { reader?: string; options?: string; since?: number }> = {
  itself: {},
  'a plain view of another role': { reader: OTHER },
  'a plain view of its own role': { reader: OWNER },
  'a plain view with the rights of who reads it': {
    reader: OTHER,
    options: 'WITH (security_invoker = true)',
    since: 150_000,
  },
};

interface Case {
  view: TestView;
  /** The quoted name of the source. */
  source: string;
  setUp: string[];
  /** The statements to run after the view was created. */
  after: string[];
}

function casesOf(
  version: number,
  sources: Record<string, Source>,
  ofSource: (source: string, role: string, spec: Source) => string[],
): Case[] {
  return Object.values(sources).flatMap((spec, n) =>
    Object.values(PATHS)
      .filter(({ since = 0 }) => version >= since)
      .map(({ reader, options = '' }, m) => {
        const name = `view ${n} "${m}"`;
        const source = `"Read here".${quoted(`source ${n} "${m}"`)}`;
        const between = `public.${quoted(`between ${n} "${m}"`)}`;
        const columns = spec.columns ?? 'id';
        const role = reader === OTHER && options === '' ? OTHER : OWNER;
        const view = {
          name,
          expression:
            reader === undefined
              ? `SELECT ${columns} FROM ${source} AS s`
              : `SELECT * FROM ${between}`,
          columns: columns.includes('most') ? ['id', 'most'] : ['id'],
        };
        const setUp = [
          spec.create(source),
          ...(reader === undefined
            ? []
            : [`CREATE VIEW ${between} ${options} AS SELECT ${columns} FROM ${source} AS s`]),
        ];
        const after = [
          ...(reader === undefined
            ? []
            : [
                `ALTER VIEW ${between} OWNER TO ${quoted(reader)}`,
                `GRANT SELECT ON ${between} TO ${quoted(OWNER)}`,
              ]),
          `ALTER MATERIALIZED VIEW ${quoted(name)} OWNER TO ${quoted(OWNER)}`,
          ...ofSource(source, quoted(role), spec),
        ];
        return { view, source, setUp, after };
      }),
  );
}

const ofView = ({ name }: { name?: string }): string => `public.${name}`;

describe('what doctor says of rights, run as it stands (features.md, row 6)', () => {
  let database: TestDatabase;
  let releases: Releases;
  let version: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    version = row?.version ?? 0;
    await database.query(`
      CREATE ROLE ${quoted(OWNER)};
      CREATE ROLE ${OTHER};
      GRANT CREATE, USAGE ON SCHEMA public TO ${quoted(OWNER)}, ${OTHER}`);
  });

  afterAll(async () => {
    await releases.end();
    await database.query(`
      DROP OWNED BY ${quoted(OWNER)}, ${OTHER} CASCADE;
      DROP ROLE ${quoted(OWNER)}, ${OTHER}`);
    await database.drop();
  });

  const start = async (cases: Case[]): Promise<void> => {
    await database.query(`DROP SCHEMA IF EXISTS "Read here", materialized_views CASCADE`);
    await database.query('CREATE SCHEMA "Read here"');
    for (const statement of cases.flatMap(({ setUp }) => setUp)) {
      await database.query(statement);
    }
    await releases.start(cases.map(({ view }) => view));
    for (const statement of cases.flatMap(({ after }) => after)) {
      await database.query(statement);
    }
  };

  const found = async (code: Finding['code']): Promise<Finding[]> =>
    (await examine(managed(releases.module))).filter((each) => each.code === code);

  const namesOf = (findings: Finding[]): string[] => findings.map(({ view }) => view ?? '').sort();

  /** The views whose refresh fails for a missing privilege. */
  const refused = async (cases: Case[]): Promise<string[]> => {
    const report = await releases.get(RefreshService).refreshAll({ throwOnFailure: false });
    const failed = report.views.flatMap((each) =>
      each.outcome === 'failed' ? [[each.view, each.error.code]] : [],
    );
    expect(failed.filter(([, code]) => code !== 'MV_INSUFFICIENT_PRIVILEGE')).toEqual([]);
    expect(report.views).toHaveLength(cases.length);
    return failed.map(([view]) => view ?? '').sort();
  };

  it('no-select: is found where a refresh fails, and its grant lets it run', async () => {
    const cases = casesOf(version, SOURCES, (source, role, { grant }) =>
      grant === undefined ? [] : [grant(source, role)],
    );
    await start(cases);
    const before = await found('no-select');
    const failing = await refused(cases);
    expect(failing.length).toBeGreaterThan(cases.length / 2);
    expect(failing.length).toBeLessThan(cases.length);
    expect(namesOf(before)).toEqual(failing);
    for (const { fix } of before) {
      await database.query(fix);
    }
    expect(await found('no-select')).toEqual([]);
    expect(await refused(cases)).toEqual([]);
  });

  it('no-execute: is found where a refresh fails, and its grant lets it run', async () => {
    const cases = casesOf(
      version,
      {
        'a function': {
          create: (name) =>
            `CREATE TABLE ${name} AS ${rows};
             CREATE FUNCTION ${name}(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
             REVOKE EXECUTE ON FUNCTION ${name}(int) FROM PUBLIC`,
        },
      },
      (source, role) => [`GRANT SELECT ON ${source} TO ${role}`],
    ).map((each) => ({
      ...each,
      setUp: each.setUp.map((text) =>
        text.startsWith('CREATE VIEW')
          ? text.replace('SELECT id', `SELECT ${each.source}(id) AS id`)
          : text,
      ),
      view: {
        ...each.view,
        expression: each.view.expression.replace('SELECT id', `SELECT ${each.source}(id) AS id`),
      },
    }));
    await start(cases);
    const before = await found('no-execute');
    expect(namesOf(before)).toEqual(cases.map(({ view }) => ofView(view)).sort());
    expect(await refused(cases)).toEqual(namesOf(before));
    for (const { fix } of before) {
      await database.query(fix);
    }
    expect(await found('no-execute')).toEqual([]);
    expect(await refused(cases)).toEqual([]);
  });

  it('row-security: is found where rows are hidden, and its statement shows them', async () => {
    const create = (name: string): string => `CREATE TABLE ${name} AS ${rows}`;
    const enable = (source: string): string => `ALTER TABLE ${source} ENABLE ROW LEVEL SECURITY`;
    const grant = (source: string, role: string): string => `GRANT SELECT ON ${source} TO ${role}`;
    const own = (source: string, role: string): string => `ALTER TABLE ${source} OWNER TO ${role}`;
    const kinds: Record<string, (source: string, role: string) => string[]> = {
      'a table of another role': (source, role) => [enable(source), grant(source, role)],
      'a table of its own': (source, role) => [enable(source), own(source, role)],
      'a table of its own, forced': (source, role) => [
        enable(source),
        own(source, role),
        `ALTER TABLE ${source} FORCE ROW LEVEL SECURITY`,
      ],
      'a table that forces nothing': (source, role) => [
        grant(source, role),
        `ALTER TABLE ${source} FORCE ROW LEVEL SECURITY`,
      ],
    };
    const setUps = new Map(Object.keys(kinds).map((kind) => [kind, { create }]));
    const cases = casesOf(version, Object.fromEntries(setUps), (source, role, spec) => {
      const kind = [...setUps].find(([, each]) => each === spec)?.[0] ?? '';
      return kinds[kind]?.(source, role) ?? [];
    });
    await start(cases);
    const withoutRows = async (): Promise<string[]> => {
      expect(await refused(cases)).toEqual([]);
      const empty: string[] = [];
      for (const { view } of cases) {
        const [row] = await database.query(`SELECT FROM public.${quoted(view.name ?? '')}`);
        if (row === undefined) {
          empty.push(ofView(view));
        }
      }
      return empty.sort();
    };
    const hidden = await withoutRows();
    expect(hidden.length).toBeGreaterThan(0);
    expect(hidden.length).toBeLessThan(cases.length);
    const before = await found('row-security');
    expect(namesOf(before)).toEqual(hidden);
    for (const { fix } of before) {
      await database.query(fix);
    }
    expect(await found('row-security')).toEqual([]);
    expect(await withoutRows()).toEqual([]);
  });
});
