import type { TestDatabase } from '../../../support/test-database.js';

export interface ColumnFound {
  type: string;
  acl: string[] | null;
  comment: string | null;
  statistics: number;
  options: string[];
  storage: string;
  compression: string | null;
  default: string | null;
}

/** An index or an extended statistics object. */
export interface AttachedFound {
  definition: string;
  /** The columns of the relation that it uses. */
  uses: string[];
  [attribute: string]: unknown;
}

/** A relation as the catalog has it. Except for `oid`, it has no OIDs, so that a rebuilt relation compares equal. */
export interface RelationFound {
  oid: number;
  kind: string;
  owner: string;
  /** `null` means the default privileges, `[]` no privileges for anybody. */
  acl: string[] | null;
  definition: string | null;
  populated: boolean;
  options: string[];
  comment: string | null;
  typeComment: string | null;
  tablespace: string | null;
  method: string | null;
  identity: string;
  columnOrder: string[];
  columns: Record<string, ColumnFound>;
  indexes: Record<string, AttachedFound>;
  statistics: Record<string, AttachedFound>;
  triggers: Record<string, string>;
  rules: Record<string, string>;
  /** Storage parameters of the TOAST table; `null` if it has none. */
  toast: string[] | null;
  /** The extensions of `DEPENDS ON EXTENSION`. */
  extensions: string[];
  labels: string[];
  /** The comment on the `_RETURN` rule, which holds a view's query. */
  ruleComment: string | null;
  typeAcl: string[] | null;
  /** Row security policies of a table. */
  policies: string[];
}

/** The state schema; the library's own triggers also have this prefix. */
const OWN = 'materialized_views';

const ACL = (acl: string): string =>
  `CASE WHEN ${acl} IS NOT NULL THEN (SELECT coalesce(jsonb_agg(a::text ORDER BY a::text), '[]') FROM unnest(${acl}) a) END`;

const SORTED = (options: string): string =>
  `(SELECT coalesce(jsonb_agg(o ORDER BY o), '[]') FROM unnest(${options}) o WHERE NOT starts_with(o, 'pg_'))`;

const EXTENSIONS = (oid: string): string =>
  `(SELECT coalesce(jsonb_agg(extname ORDER BY 1), '[]') FROM pg_depend JOIN pg_extension e ON e.oid = refobjid
    WHERE classid = 'pg_class'::regclass AND objid = ${oid} AND deptype = 'x')`;

/** Replaces the relation's name, so that a rename does not show as a change. */
const WITHOUT_NAME = (definition: string): string =>
  `replace(${definition}, format('%I.%I', n.nspname, c.relname), 'it')`;

const COLUMNS = `SELECT jsonb_object_agg(attname, jsonb_build_object(
    'type', format_type(atttypid, atttypmod), 'acl', ${ACL('attacl')},
    'comment', col_description(attrelid, attnum), 'statistics', coalesce(attstattarget, -1),
    'options', ${SORTED('attoptions')}, 'storage', attstorage,
    'compression', nullif(to_jsonb(pg_attribute) ->> 'attcompression', ''),
    'default', (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = attrelid AND adnum = attnum)
  ))
  FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped`;

const USES = (catalog: string, oid: string): string =>
  `(SELECT coalesce(jsonb_agg(DISTINCT attname), '[]') FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
    WHERE classid = '${catalog}'::regclass AND objid = ${oid} AND refobjid = c.oid)`;

const INDEXES = `SELECT coalesce(jsonb_object_agg(i.relname, jsonb_build_object(
    'definition', pg_get_indexdef(i.oid), 'uses', ${USES('pg_class', 'i.oid')}, 'valid', indisvalid,
    'clustered', indisclustered, 'comment', obj_description(i.oid, 'pg_class'), 'options', ${SORTED('i.reloptions')},
    'extensions', ${EXTENSIONS('i.oid')},
    'statistics', (SELECT jsonb_agg(coalesce(attstattarget, -1) ORDER BY attnum) FROM pg_attribute WHERE attrelid = i.oid)
  )), '{}')
  FROM pg_index JOIN pg_class i ON i.oid = indexrelid WHERE indrelid = c.oid`;

const STATISTICS = `SELECT coalesce(jsonb_object_agg(stxname, jsonb_build_object(
    'definition', pg_get_statisticsobjdef(s.oid), 'uses', ${USES('pg_statistic_ext', 's.oid')},
    'owner', pg_get_userbyid(stxowner), 'comment', obj_description(s.oid, 'pg_statistic_ext'),
    'target', coalesce((to_jsonb(s) ->> 'stxstattarget')::int, -1)
  )), '{}')
  FROM pg_statistic_ext s WHERE stxrelid = c.oid`;

const RELATIONS = `
  SELECT nspname || '.' || relname AS name, jsonb_build_object(
    'oid', c.oid::bigint, 'kind', relkind, 'owner', pg_get_userbyid(relowner), 'acl', ${ACL('relacl')},
    'definition', CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, 'populated', relispopulated,
    'options', ${SORTED('reloptions')}, 'comment', obj_description(c.oid, 'pg_class'),
    'typeComment', obj_description(reltype, 'pg_type'), 'identity', relreplident,
    'tablespace', (SELECT spcname FROM pg_tablespace t WHERE t.oid = reltablespace),
    'method', (SELECT amname FROM pg_am WHERE pg_am.oid = relam),
    'columnOrder', (SELECT jsonb_agg(attname ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
    'columns', (${COLUMNS}), 'indexes', (${INDEXES}), 'statistics', (${STATISTICS}),
    'triggers', (SELECT coalesce(jsonb_object_agg(tgname, concat(${WITHOUT_NAME('pg_get_triggerdef(oid)')}, tgenabled, obj_description(oid, 'pg_trigger'))), '{}') FROM pg_trigger
                 WHERE tgrelid = c.oid AND NOT tgisinternal AND NOT starts_with(tgname, '${OWN}')),
    'rules', (SELECT coalesce(jsonb_object_agg(rulename, concat(${WITHOUT_NAME('pg_get_ruledef(oid)')}, obj_description(oid, 'pg_rewrite'))), '{}') FROM pg_rewrite
              WHERE ev_class = c.oid AND rulename <> '_RETURN'),
    'ruleComment', (SELECT obj_description(oid, 'pg_rewrite') FROM pg_rewrite WHERE ev_class = c.oid AND rulename = '_RETURN'),
    'typeAcl', (SELECT ${ACL('typacl')} FROM pg_type t WHERE t.oid = reltype),
    'policies', (SELECT coalesce(jsonb_agg(polname ORDER BY 1), '[]') FROM pg_policy WHERE polrelid = c.oid),
    'toast', (SELECT ${SORTED('t.reloptions')} FROM pg_class t WHERE t.oid = c.reltoastrelid),
    'extensions', ${EXTENSIONS('c.oid')},
    'labels', (SELECT coalesce(jsonb_agg(objsubid || provider || label ORDER BY 1), '[]') FROM pg_seclabel
               WHERE classoid = 'pg_class'::regclass AND objoid = c.oid)
  ) AS found
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND relpersistence = 'p'
    AND nspname NOT IN ('pg_catalog', 'information_schema', '${OWN}') AND NOT starts_with(nspname, 'pg_toast')`;

export type Snapshot = ReadonlyMap<string, RelationFound>;

/**
 * All relations of a database except the library's own tables, with everything that people put on them. Written
 * independently of how the library reads the catalog.
 */
export async function snapshot(database: TestDatabase): Promise<Snapshot> {
  const rows = await database.query<{ name: string; found: RelationFound }>(RELATIONS);
  return new Map(rows.map(({ name, found }) => [name, found]));
}

/** The names of invalid indexes, which a failed CREATE INDEX CONCURRENTLY leaves behind. */
export const invalidOf = (indexes: RelationFound['indexes']): string[] =>
  Object.keys(indexes).filter((name) => indexes[name]?.valid === false);

/** The snapshot without what a rebuild changes: OIDs, and invalid indexes, which are not recreated. */
export function withoutOids(found: Snapshot): Record<string, RelationFound> {
  return Object.fromEntries(
    [...found]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, relation]) => [
        name,
        { ...relation, oid: 0, indexes: validOf(relation.indexes) },
      ]),
  );
}

export function validOf(indexes: RelationFound['indexes']): RelationFound['indexes'] {
  const invalid = invalidOf(indexes);
  return Object.fromEntries(Object.entries(indexes).filter(([name]) => !invalid.includes(name)));
}

/** The views whose refreshes are paused. */
export async function pausedViews(database: TestDatabase): Promise<ReadonlySet<string>> {
  const installed = await database.query(
    `SELECT FROM pg_class WHERE oid = to_regclass('${OWN}.view_state')`,
  );
  const rows =
    installed.length === 0
      ? []
      : await database.query<{ name: string }>(
          `SELECT schema_name || '.' || view_name AS name FROM ${OWN}.view_state WHERE paused_at IS NOT NULL`,
        );
  return new Set(rows.map(({ name }) => name));
}

/** The catalogs that DDL changes. */
const CATALOGS = [
  'pg_class',
  'pg_attribute',
  'pg_index',
  'pg_rewrite',
  'pg_trigger',
  'pg_proc',
  'pg_namespace',
  'pg_description',
  'pg_statistic_ext',
  'pg_attrdef',
  'pg_depend',
];

/** A hash over the version and position of every catalog row. Any committed DDL changes it. */
export async function ddlTrace(database: TestDatabase): Promise<Record<string, string>> {
  const rows = await database.query<{ name: string; trace: string }>(
    CATALOGS.map(
      (name) =>
        `SELECT '${name}' AS name, count(*) || ' ' || sum(hashtextextended(xmin || ' ' || ctid, 0)) AS trace FROM ${name}`,
    ).join(' UNION ALL '),
  );
  return Object.fromEntries(rows.map(({ name, trace }) => [name, trace]));
}

/**
 * Whether a plain view that has a check option can't be created again over what it reads now. PostgreSQL lets what a
 * view reads be replaced by something that can't be written through.
 */
export function isUncheckable(error: unknown, found: Snapshot): boolean {
  const views = [...found.values()].filter(({ kind }) => kind === 'v');
  return (
    (error as { code?: string } | undefined)?.code === '0A000' &&
    views.some(({ options }) => options.some((each) => each.startsWith('check_option=')))
  );
}
