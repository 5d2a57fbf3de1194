import { escapeIdentifier } from 'pg';
import { SchemaSyncError, UnmanagedDependentsError } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import { fullName, type Name, plainAbove, quoted } from './application.js';
import { invalidOf, type RelationFound, type Snapshot, validOf } from './snapshot.js';
import type { HandWork } from './steps.js';

/** The people who work on the database: roles are the whole server's, so each database has its own. */
export class People {
  readonly reader: string;
  readonly otherReader: string;
  readonly owner: string;

  constructor(private readonly database: TestDatabase) {
    [this.reader, this.otherReader, this.owner] = ['reader', 'other', 'owner'].map((role) =>
      escapeIdentifier(`${database.name}_${role}`),
    ) as [string, string, string];
  }

  async arrive(): Promise<void> {
    await this.database.query(
      `CREATE ROLE ${this.reader}; CREATE ROLE ${this.otherReader}; CREATE ROLE ${this.owner} INHERIT;
       DO $$ BEGIN EXECUTE format('GRANT %I TO ${this.owner}', current_user); END $$`,
    );
  }

  /**
   * Whether a boot may fail for what people did: a view of another owner reads what this one may not, a grant of a chain
   * cannot be made in another schema, and an emptied view cannot be filled over an index that failed before.
   */
  mayHaveCaused(error: unknown, before: Snapshot): boolean {
    const found = [...before.values()];
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    if (error instanceof UnmanagedDependentsError) {
      return error.message.includes('granted by role');
    }
    return (
      error instanceof SchemaSyncError &&
      ((code === '42501' && found.some(({ owner }) => `"${owner}"` === this.owner)) ||
        (code === '23505' &&
          found.some(({ populated, indexes }) => !populated && invalidOf(indexes).length > 0)))
    );
  }

  async giveWay(found: Snapshot): Promise<void> {
    const { owner, reader } = this;
    await this.database.query(
      `CREATE SCHEMA IF NOT EXISTS "Far away";
       GRANT USAGE ON SCHEMA public, "Far away" TO ${reader};
       GRANT SELECT ON ALL TABLES IN SCHEMA public, "Far away" TO ${owner}`,
    );
    for (const [name, { indexes }] of found) {
      for (const index of invalidOf(indexes)) {
        const schema = name.slice(0, name.indexOf('.'));
        await this.database.query(`DROP INDEX ${quoted({ schema, name: index })}`);
      }
    }
  }

  /** Takes away what somebody has put on the views of these names and cannot be carried over to another kind of view. */
  async takeAway(found: Snapshot, names: readonly Name[]): Promise<void> {
    for (const name of names) {
      const { triggers, columns, indexes, statistics } = found.get(fullName(name)) ?? NOTHING;
      const ofSchema = (own: string): string => quoted({ schema: name.schema, name: own });
      for (const statement of [
        ...Object.keys(triggers).map(
          (trigger) => `DROP TRIGGER ${escapeIdentifier(trigger)} ON ${quoted(name)}`,
        ),
        ...Object.keys(columns)
          .filter((column) => columns[column]?.default !== null)
          .map(
            (column) => `ALTER VIEW ${quoted(name)} ALTER ${escapeIdentifier(column)} DROP DEFAULT`,
          ),
        ...handMade(indexes).map((index) => `DROP INDEX IF EXISTS ${ofSchema(index)}`),
        // These stay in the schema in which they were made.
        ...handMade(statistics).flatMap((each) =>
          ['public', 'Far away'].map(
            (schema) => `DROP STATISTICS IF EXISTS ${quoted({ schema, name: each })}`,
          ),
        ),
      ]) {
        await this.database.query(statement);
      }
    }
  }

  async leave(): Promise<void> {
    await this.database.query(
      `DROP OWNED BY ${this.reader}, ${this.otherReader}, ${this.owner} CASCADE`,
    );
    await this.database.query(`DROP ROLE ${this.reader}, ${this.otherReader}, ${this.owner}`);
  }
}

type ThingsOn = Pick<RelationFound, 'triggers' | 'columns' | 'indexes' | 'statistics'>;

const NOTHING: ThingsOn = { triggers: {}, columns: {}, indexes: {}, statistics: {} };

const handMade = (things: Record<string, unknown>): string[] =>
  Object.keys(things).filter((name) => name.startsWith('hand'));

/** What stops a view from becoming one of another kind, or a plain one from being made anew, as an error calls it. */
export function isInTheWay(
  { kind, triggers, columns, indexes, statistics }: RelationFound,
  becomesPlain: boolean,
  message: string,
): boolean {
  const names =
    kind === 'v'
      ? [
          ...Object.keys(triggers).map((name) => `trigger ${name} on`),
          ...(becomesPlain ? [] : Object.keys(columns))
            .filter((name) => columns[name]?.default !== null)
            .map((name) => `default of column "${name}"`),
        ]
      : [
          ...(becomesPlain ? handMade(validOf(indexes)) : []).map((name) => `index "${name}"`),
          ...(becomesPlain ? handMade(statistics) : []).map((name) => `statistics "${name}"`),
        ];
  return names.some((name) => message.includes(name));
}

interface Target {
  view: number;
  name: Name;
  found: Snapshot extends ReadonlyMap<string, infer Found> ? Found : never;
}

/** What only a view with rows can have, and what only one without. */
const OF_ROWS: ReadonlySet<string> = new Set([
  'empty',
  'drop an index',
  'add an index',
  'set replica identity',
  'add statistics',
  'set statistics of a column',
  'cluster',
]);
const OF_PLAIN_VIEWS: ReadonlySet<string> = new Set(['add a trigger', 'set a default']);

export const keywordOf = (kind: string): string => (kind === 'v' ? 'VIEW' : 'MATERIALIZED VIEW');

/** Statements on a view that is there. A number in a name keeps it unique in the schema. */
export function handWorkSql(
  work: HandWork['work'],
  { view, name, found }: Target,
  { reader, otherReader, owner }: People,
): string[] {
  const quotedName = quoted(name);
  const hasGroup = 'grp' in found.columns;
  const keyword = keywordOf(found.kind);
  if ((found.kind === 'v' ? OF_ROWS : OF_PLAIN_VIEWS).has(work)) {
    return [];
  }
  switch (work) {
    case 'drop':
      return [`DROP ${keyword} ${quotedName} CASCADE`];
    case 'replace':
      return [
        `DROP ${keyword} ${quotedName} CASCADE`,
        `CREATE ${keyword} ${quotedName} AS SELECT 1 AS id`,
      ];
    case 'empty':
      return [`REFRESH MATERIALIZED VIEW ${quotedName} WITH NO DATA`];
    case 'drop an index':
      return Object.keys(found.indexes)
        .filter((index) => !index.startsWith('hand'))
        .slice(0, 1)
        .map((index) => `DROP INDEX ${quoted({ schema: name.schema, name: index })}`);
    case 'set storage':
      return [
        `ALTER ${keyword} ${quotedName} SET (${found.kind === 'v' ? 'security_barrier = true' : 'fillfactor = 33'})`,
      ];
    case 'grant':
      return [`GRANT SELECT, TRIGGER ON ${quotedName} TO ${reader}, PUBLIC`];
    case 'grant along a chain':
      return [
        `GRANT SELECT ON ${quotedName} TO ${reader} WITH GRANT OPTION`,
        `GRANT USAGE ON SCHEMA ${escapeIdentifier(name.schema)} TO ${reader}`,
        `SET ROLE ${reader}`,
        `GRANT SELECT ON ${quotedName} TO ${otherReader}`,
        'RESET ROLE',
      ];
    case 'grant a column':
      return [
        `GRANT SELECT (id) ON ${quotedName} TO ${otherReader}`,
        ...(hasGroup ? [`GRANT SELECT (grp) ON ${quotedName} TO ${reader}`] : []),
      ];
    case 'revoke all':
      return [
        `REVOKE ALL ON ${quotedName} FROM ${found.owner}, ${reader}, ${otherReader}, PUBLIC CASCADE`,
      ];
    case 'grant by default':
      return [`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${reader}`];
    case 'grant no more by default':
      return [`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM ${reader}`];
    case 'give to another owner':
      return [`ALTER ${keyword} ${quotedName} OWNER TO ${owner}`];
    case 'add an index':
      return [
        `CREATE INDEX IF NOT EXISTS "hand ${view} id" ON ${quotedName} (id DESC, (id + 1)) WHERE id > 1`,
        `COMMENT ON INDEX ${quoted({ schema: name.schema, name: `hand ${view} id` })} IS 'by hand'`,
        ...(hasGroup
          ? [`CREATE INDEX IF NOT EXISTS "hand ${view} grp" ON ${quotedName} (lower(grp))`]
          : []),
      ];
    case 'set replica identity':
      return [`ALTER MATERIALIZED VIEW ${quotedName} REPLICA IDENTITY FULL`];
    case 'comment':
      return [
        `COMMENT ON TYPE ${quotedName} IS 'row of ${view}'`,
        `COMMENT ON ${keyword} ${quotedName} IS 'view ${view}, by hand'`,
        `COMMENT ON COLUMN ${quotedName}.id IS 'id of ${view}'`,
      ];
    case 'add statistics':
      return hasGroup
        ? [
            `CREATE STATISTICS IF NOT EXISTS ${quoted({ schema: name.schema, name: `hand ${view}` })} (ndistinct) ON id, grp FROM ${quotedName}`,
          ]
        : [];
    case 'set statistics of a column':
      return [
        `ALTER MATERIALIZED VIEW ${quotedName} ALTER COLUMN id SET STATISTICS 77, ALTER COLUMN id SET (n_distinct = 5)`,
      ];
    case 'cluster':
      return [
        `CREATE INDEX IF NOT EXISTS "hand ${view} cluster" ON ${quotedName} (id)`,
        `ALTER MATERIALIZED VIEW ${quotedName} CLUSTER ON "hand ${view} cluster"`,
      ];
    case 'add a trigger':
      return 'hand' in found.triggers
        ? []
        : [
            `CREATE TRIGGER hand INSTEAD OF INSERT ON ${quotedName} FOR EACH ROW EXECUTE FUNCTION public.noticed()`,
          ];
    case 'set a default':
      return [`ALTER VIEW ${quotedName} ALTER COLUMN id SET DEFAULT 77`];
    case 'put a plain view above':
      return [
        `CREATE OR REPLACE VIEW ${quoted(plainAbove(view))} AS SELECT id FROM ${quotedName}`,
        `GRANT SELECT ON ${quoted(plainAbove(view))} TO ${reader}`,
        `COMMENT ON VIEW ${quoted(plainAbove(view))} IS 'above ${view}'`,
      ];
    case 'put a materialized view above':
      return [
        `CREATE MATERIALIZED VIEW IF NOT EXISTS public."hand above ${view}" AS SELECT id FROM ${quotedName}${found.kind === 'm' && found.populated ? '' : ' WITH NO DATA'}`,
      ];
    default:
      return [];
  }
}
