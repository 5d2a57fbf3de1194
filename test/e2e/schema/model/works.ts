import { escapeIdentifier } from 'pg';
import { type Name, plainAbove, quoted } from './names.js';
import type { RelationFound } from './snapshot.js';

/** The roles of people who work on the database, as quoted SQL identifiers. */
export interface Roles {
  reader: string;
  otherReader: string;
  owner: string;
}

/** An existing view. Its number keeps names unique. */
export interface Target {
  view: number;
  name: Name;
  found: RelationFound;
}

/** A change to a view by hand. */
interface Work {
  /** The kind of view that it applies to: `m` for materialized, `v` for plain. @default both */
  of?: 'm' | 'v';
  /** The first major version of PostgreSQL that supports it. */
  since?: number;
  /** Whether it changes the view itself, not just what is put on it. A migration written before that stops. */
  isChange?: boolean;
  sql: (target: Target, roles: Roles) => string[];
}

export const keywordOf = (kind: string): string => (kind === 'v' ? 'VIEW' : 'MATERIALIZED VIEW');

const alter = ({ name, found }: Target): string => `ALTER ${keywordOf(found.kind)} ${quoted(name)}`;

const beside = ({ name }: Target, own: string): string =>
  quoted({ schema: name.schema, name: own });

const hasGroup = ({ found }: Target): boolean => found.columns.grp?.type === 'text';

/** The first declared index, if there is one. */
const ownIndex = (target: Target): string[] =>
  Object.keys(target.found.indexes)
    .filter((index) => !index.startsWith('hand'))
    .slice(0, 1);

/** Does nothing if PostgreSQL cannot do it: a view is not updatable, or a table has columns of its rows. */
const attempt = (statement: string): string =>
  `DO $do$ BEGIN ${statement}; EXCEPTION WHEN feature_not_supported THEN END $do$`;

const PRIVILEGES = {
  grant: {
    sql: ({ name }, { reader }) => [
      `GRANT SELECT, TRIGGER ON ${quoted(name)} TO ${reader}, PUBLIC`,
    ],
  },
  'grant along a chain': {
    sql: ({ name }, { reader, otherReader }) => [
      `GRANT SELECT ON ${quoted(name)} TO ${reader} WITH GRANT OPTION`,
      `GRANT USAGE ON SCHEMA ${escapeIdentifier(name.schema)} TO ${reader}`,
      `SET ROLE ${reader}`,
      `GRANT SELECT ON ${quoted(name)} TO ${otherReader}`,
      'RESET ROLE',
    ],
  },
  'grant a column': {
    sql: (target, { reader, otherReader }) => [
      `GRANT SELECT (id) ON ${quoted(target.name)} TO ${otherReader}`,
      ...(hasGroup(target) ? [`GRANT SELECT (grp) ON ${quoted(target.name)} TO ${reader}`] : []),
    ],
  },
  'grant a column along a chain': {
    sql: ({ name }, { reader, otherReader }) => [
      `GRANT SELECT (id), UPDATE (id) ON ${quoted(name)} TO ${reader} WITH GRANT OPTION`,
      `GRANT USAGE ON SCHEMA ${escapeIdentifier(name.schema)} TO ${reader}`,
      `SET ROLE ${reader}`,
      `GRANT SELECT (id) ON ${quoted(name)} TO ${otherReader} WITH GRANT OPTION`,
      'RESET ROLE',
    ],
  },
  'revoke all': {
    sql: ({ name, found }, { reader, otherReader }) => [
      `REVOKE ALL ON ${quoted(name)} FROM ${escapeIdentifier(found.owner)}, ${reader}, ${otherReader}, PUBLIC CASCADE`,
    ],
  },
  'grant by default': {
    sql: (_, { reader }) => [`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${reader}`],
  },
  'grant by default in a schema': {
    sql: ({ name }, { otherReader }) => [
      `ALTER DEFAULT PRIVILEGES IN SCHEMA ${escapeIdentifier(name.schema)} GRANT SELECT ON TABLES TO ${otherReader} WITH GRANT OPTION`,
    ],
  },
  'grant less to the owner by default': {
    sql: () => ['ALTER DEFAULT PRIVILEGES REVOKE INSERT, SELECT ON TABLES FROM CURRENT_USER'],
  },
  'grant no more by default': {
    sql: (_, { reader }) => [
      `ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM ${reader}`,
      'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO CURRENT_USER',
    ],
  },
  'give to another owner': {
    sql: (target, { owner }) => [`${alter(target)} OWNER TO ${owner}`],
  },
} satisfies Record<string, Work>;

const ROWS = {
  'set storage': {
    sql: (target) => [
      `${alter(target)} SET (${target.found.kind === 'v' ? 'security_barrier = true' : 'fillfactor = 33'})`,
    ],
  },
  'set storage of the long values': {
    of: 'm',
    sql: (target) =>
      target.found.toast === null
        ? []
        : [`${alter(target)} SET (toast.autovacuum_enabled = false)`],
  },
  'set storage of a column': {
    of: 'm',
    sql: (target) =>
      hasGroup(target) ? [`${alter(target)} ALTER COLUMN grp SET STORAGE EXTERNAL`] : [],
  },
  'set compression of a column': {
    of: 'm',
    since: 14,
    sql: (target) =>
      hasGroup(target) ? [`${alter(target)} ALTER COLUMN grp SET COMPRESSION pglz`] : [],
  },
  'add an index': {
    of: 'm',
    sql: (target) => [
      `CREATE INDEX IF NOT EXISTS "hand ${target.view} id" ON ${quoted(target.name)} (id DESC, (id + 1)) WHERE id > 1`,
      `COMMENT ON INDEX ${beside(target, `hand ${target.view} id`)} IS 'by hand'`,
      `ALTER INDEX ${beside(target, `hand ${target.view} id`)} ALTER COLUMN 2 SET STATISTICS 50`,
      ...(hasGroup(target)
        ? [
            `CREATE INDEX IF NOT EXISTS "hand ${target.view} grp" ON ${quoted(target.name)} (lower(grp))`,
          ]
        : []),
    ],
  },
  'add indexes of other kinds': {
    of: 'm',
    sql: (target) => [
      `CREATE UNIQUE INDEX IF NOT EXISTS "hand ${target.view} key" ON ${quoted(target.name)} (id) INCLUDE (id) WITH (fillfactor = 60)`,
      `CREATE INDEX IF NOT EXISTS "hand ${target.view} hash" ON ${quoted(target.name)} USING hash (id)`,
      `CREATE INDEX IF NOT EXISTS "hand ${target.view} brin" ON ${quoted(target.name)} USING brin (id) WITH (pages_per_range = 3)`,
    ],
  },
  'rename an index': {
    of: 'm',
    sql: (target) =>
      `hand ${target.view} renamed` in target.found.indexes
        ? []
        : ownIndex(target).map(
            (index) =>
              `ALTER INDEX ${beside(target, index)} RENAME TO "hand ${target.view} renamed"`,
          ),
  },
  'change an index': {
    of: 'm',
    sql: (target) =>
      ownIndex(target).map((index) => `ALTER INDEX ${beside(target, index)} SET (fillfactor = 44)`),
  },
  'set replica identity': {
    of: 'm',
    sql: (target) => [`${alter(target)} REPLICA IDENTITY FULL`],
  },
  'add statistics': {
    of: 'm',
    sql: (target) =>
      hasGroup(target)
        ? [
            `CREATE STATISTICS IF NOT EXISTS ${beside(target, `hand ${target.view}`)} (ndistinct) ON id, grp FROM ${quoted(target.name)}`,
          ]
        : [],
  },
  'add statistics of expressions': {
    of: 'm',
    since: 14,
    sql: (target) => [
      `CREATE STATISTICS IF NOT EXISTS ${beside(target, `hand ${target.view} twice`)} ON (id * 2) FROM ${quoted(target.name)}`,
      `ALTER STATISTICS ${beside(target, `hand ${target.view} twice`)} SET STATISTICS 55`,
      `COMMENT ON STATISTICS ${beside(target, `hand ${target.view} twice`)} IS 'by hand'`,
    ],
  },
  'set statistics of a column': {
    of: 'm',
    sql: (target) => [
      `${alter(target)} ALTER COLUMN id SET STATISTICS 77, ALTER COLUMN id SET (n_distinct = 5)`,
    ],
  },
  cluster: {
    of: 'm',
    sql: (target) => [
      `CREATE INDEX IF NOT EXISTS "hand ${target.view} cluster" ON ${quoted(target.name)} (id)`,
      `${alter(target)} CLUSTER ON "hand ${target.view} cluster"`,
    ],
  },
  'depend on an extension': {
    of: 'm',
    sql: (target) => [
      `${alter(target)} DEPENDS ON EXTENSION plpgsql`,
      ...ownIndex(target).map(
        (index) => `ALTER INDEX ${beside(target, index)} DEPENDS ON EXTENSION plpgsql`,
      ),
    ],
  },
  'move to another access method': {
    of: 'm',
    since: 15,
    sql: (target) => [attempt(`${alter(target)} SET ACCESS METHOD heap2`)],
  },
} satisfies Record<string, Work>;

const OTHERS = {
  comment: {
    sql: ({ view, name, found }) => [
      `COMMENT ON TYPE ${quoted(name)} IS 'row of ${view}'`,
      `COMMENT ON ${keywordOf(found.kind)} ${quoted(name)} IS 'view ${view}, by hand'`,
      `COMMENT ON COLUMN ${quoted(name)}.id IS 'id of ${view}'`,
    ],
  },
  'add a trigger': {
    of: 'v',
    sql: ({ name, found }) =>
      'hand' in found.triggers
        ? []
        : [
            `CREATE TRIGGER hand INSTEAD OF INSERT ON ${quoted(name)} FOR EACH ROW EXECUTE FUNCTION public.noticed()`,
            `COMMENT ON TRIGGER hand ON ${quoted(name)} IS 'by hand'`,
          ],
  },
  'add rules': {
    of: 'v',
    sql: ({ name }) => [
      `CREATE OR REPLACE RULE hand AS ON INSERT TO ${quoted(name)} DO INSTEAD NOTHING`,
      `CREATE OR REPLACE RULE "hand's" AS ON DELETE TO ${quoted(name)} WHERE old.id > 3 DO ALSO DELETE FROM public.items WHERE id = old.id`,
      `COMMENT ON RULE hand ON ${quoted(name)} IS 'by hand'`,
    ],
  },
  'set a default': {
    of: 'v',
    sql: ({ name }) => [`ALTER VIEW ${quoted(name)} ALTER COLUMN id SET DEFAULT 77`],
  },
  'set a check option': {
    of: 'v',
    sql: (target) => [attempt(`${alter(target)} SET (check_option = local)`)],
  },
  'set the invoker': {
    of: 'v',
    since: 15,
    sql: (target) => [`${alter(target)} SET (security_invoker = true)`],
  },
  label: {
    sql: ({ name }) => [
      `DELETE FROM pg_seclabel WHERE objoid = '${quoted(name).replaceAll(`'`, `''`)}'::regclass`,
      `INSERT INTO pg_seclabel VALUES ('${quoted(name).replaceAll(`'`, `''`)}'::regclass, 'pg_class'::regclass, 0, 'guard', 'secret')`,
    ],
  },
  'comment on its rule': {
    sql: ({ name }) => [`COMMENT ON RULE "_RETURN" ON ${quoted(name)} IS 'the query'`],
  },
  'take the privileges of its type': {
    sql: ({ name }) => [`REVOKE USAGE ON TYPE ${quoted(name)} FROM PUBLIC`],
  },
  'put a plain view above': {
    sql: ({ view, name }, { reader }) => [
      `CREATE OR REPLACE VIEW ${quoted(plainAbove(view))} AS SELECT id FROM ${quoted(name)}`,
      `GRANT SELECT ON ${quoted(plainAbove(view))} TO ${reader}`,
      `COMMENT ON VIEW ${quoted(plainAbove(view))} IS 'above ${view}'`,
    ],
  },
  'put a policy above': {
    sql: ({ view, name }) => [
      `DROP POLICY IF EXISTS "hand ${view}" ON public.items`,
      `CREATE POLICY "hand ${view}" ON public.items USING (id IN (SELECT id FROM ${quoted(name)}))`,
    ],
  },
  'put a table of its rows': {
    sql: ({ view, name }) => [
      `CREATE TABLE IF NOT EXISTS public."hand rows ${view}" (whole ${quoted(name)}, lists ${quoted(name)}[])`,
    ],
  },
} satisfies Record<string, Work>;

const CHANGES = {
  drop: {
    isChange: true,
    sql: ({ name, found }) => [`DROP ${keywordOf(found.kind)} ${quoted(name)} CASCADE`],
  },
  replace: {
    isChange: true,
    sql: ({ name, found }) => [
      `DROP ${keywordOf(found.kind)} ${quoted(name)} CASCADE`,
      `CREATE ${keywordOf(found.kind)} ${quoted(name)} AS SELECT 1 AS id`,
    ],
  },
  empty: {
    of: 'm',
    isChange: true,
    sql: ({ name }) => [`REFRESH MATERIALIZED VIEW ${quoted(name)} WITH NO DATA`],
  },
  'drop an index': {
    of: 'm',
    isChange: true,
    sql: (target) => ownIndex(target).map((index) => `DROP INDEX ${beside(target, index)}`),
  },
  'rename a column': {
    isChange: true,
    sql: (target) =>
      'note' in target.found.columns && !('remark' in target.found.columns)
        ? [`${alter(target)} RENAME COLUMN note TO remark`]
        : [],
  },
  'put a materialized view above': {
    isChange: true,
    sql: ({ view, name, found }) => [
      `CREATE MATERIALIZED VIEW IF NOT EXISTS public."hand above ${view}" AS SELECT id FROM ${quoted(name)}${found.kind === 'm' && found.populated ? '' : ' WITH NO DATA'}`,
    ],
  },
} satisfies Record<string, Work>;

/** All changes by hand to a single view. */
const WORKS: Readonly<Record<WorkName, Work>> = {
  ...CHANGES,
  ...PRIVILEGES,
  ...ROWS,
  ...OTHERS,
};

export type WorkName =
  keyof typeof CHANGES | keyof typeof PRIVILEGES | keyof typeof ROWS | keyof typeof OTHERS;

export const WORK_NAMES = Object.keys(WORKS) as WorkName[];

/** Changes that are allowed after a migration was written: it keeps them, or stops. */
export const DECORATIONS = WORK_NAMES.filter((name) => !WORKS[name].isChange);

/** The statements of a change to an existing view; none if it does not apply to that view or server. */
export function sqlOf(name: WorkName, target: Target, roles: Roles, version: number): string[] {
  const { of, since = 0, sql } = WORKS[name];
  return (of !== undefined && of !== target.found.kind) || version < since
    ? []
    : sql(target, roles);
}
