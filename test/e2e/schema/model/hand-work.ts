import { escapeIdentifier } from 'pg';
import { SchemaSyncError, UnmanagedDependentsError } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import { fullName, type Name, quoted } from './names.js';
import { invalidOf, type RelationFound, type Snapshot, validOf } from './snapshot.js';
import type { Roles } from './works.js';

/** The roles of people who work on the database. Roles are server-wide, so each database has its own names. */
export class People implements Roles {
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
   * Whether changes by hand explain why a boot failed: the new owner of a view may not read its sources, a chain of grants
   * cannot be repeated in another schema, or an invalid unique index prevents an emptied view from being filled.
   */
  mayHaveCaused(error: unknown, before: Snapshot): boolean {
    const found = [...before.values()];
    const { code } = ((error as Error).cause ?? {}) as { code?: string };
    if (error instanceof UnmanagedDependentsError) {
      return error.message.includes('granted by role');
    }
    return (
      error instanceof SchemaSyncError &&
      (this.isDenied(code, before) ||
        (code === '23505' &&
          found.some(({ populated, indexes }) => !populated && invalidOf(indexes).length > 0)))
    );
  }

  /** Whether the new owner of a view may not read the view's sources. */
  isDenied(code: string | undefined, found: Snapshot): boolean {
    return code === '42501' && [...found.values()].some(({ owner }) => `"${owner}"` === this.owner);
  }

  async giveWay(found: Snapshot): Promise<void> {
    const { owner, reader } = this;
    await this.database.query(
      `CREATE SCHEMA IF NOT EXISTS "Far away";
       GRANT USAGE ON SCHEMA public, "Far away" TO ${reader};
       GRANT SELECT ON ALL TABLES IN SCHEMA public, "Far away" TO ${owner};
       ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO CURRENT_USER`,
    );
    for (const [name, { indexes }] of found) {
      for (const index of invalidOf(indexes)) {
        const schema = name.slice(0, name.indexOf('.'));
        await this.database.query(`DROP INDEX ${quoted({ schema, name: index })}`);
      }
    }
  }

  /** Removes what was put on the views by hand and cannot be carried over to another kind of view. */
  async takeAway(found: Snapshot, names: readonly Name[]): Promise<void> {
    for (const name of names) {
      const relation = found.get(fullName(name)) ?? NOTHING;
      const { triggers, rules, columns, indexes, statistics } = relation;
      const ofSchema = (own: string): string => quoted({ schema: name.schema, name: own });
      for (const statement of [
        ...Object.keys(triggers).map(
          (trigger) => `DROP TRIGGER ${escapeIdentifier(trigger)} ON ${quoted(name)}`,
        ),
        ...Object.keys(rules).map(
          (rule) => `DROP RULE ${escapeIdentifier(rule)} ON ${quoted(name)}`,
        ),
        ...(relation.ruleComment === null
          ? []
          : [`COMMENT ON RULE "_RETURN" ON ${quoted(name)} IS NULL`]),
        ...(relation.oid === 0
          ? []
          : [
              `UPDATE pg_type SET typacl = NULL WHERE typrelid = ${relation.oid}`,
              `DELETE FROM pg_seclabel WHERE objoid = ${relation.oid}`,
              `DELETE FROM pg_depend WHERE objid = ${relation.oid} AND deptype = 'x'`,
            ]),
        ...Object.keys(columns)
          .filter((column) => columns[column]?.default !== null)
          .map(
            (column) => `ALTER VIEW ${quoted(name)} ALTER ${escapeIdentifier(column)} DROP DEFAULT`,
          ),
        ...handMade(indexes).map((index) => `DROP INDEX IF EXISTS ${ofSchema(index)}`),
        // Statistics stay in the schema in which they were created.
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

type ThingsOn = Pick<
  RelationFound,
  'oid' | 'triggers' | 'rules' | 'columns' | 'indexes' | 'statistics' | 'ruleComment'
>;

const NOTHING: ThingsOn = {
  oid: 0,
  triggers: {},
  rules: {},
  columns: {},
  indexes: {},
  statistics: {},
  ruleComment: null,
};

const handMade = (things: Record<string, unknown>): string[] =>
  Object.keys(things).filter((name) => name.startsWith('hand'));

/** Whether an error names something that prevents a view from changing its kind or from being rebuilt. */
export function isInTheWay(found: RelationFound, becomesPlain: boolean, message: string): boolean {
  const { kind, triggers, rules, columns, indexes, statistics, extensions } = found;
  const names =
    kind === 'v'
      ? [
          ...Object.keys(triggers).map((name) => `trigger ${name} on`),
          ...Object.keys(rules).map((name) => `rule ${name} on`),
          ...(becomesPlain ? [] : Object.keys(columns))
            .filter((name) => columns[name]?.default !== null)
            .map((name) => `default of column "${name}"`),
        ]
      : [
          ...(becomesPlain ? handMade(validOf(indexes)) : []).map((name) => `index "${name}"`),
          ...(becomesPlain ? handMade(statistics) : []).map((name) => `statistics "${name}"`),
          ...(becomesPlain ? extensions : []).map((name) => `dependency on extension "${name}"`),
        ];
  return [
    ...names,
    ...(found.labels.length > 0 ? ['security label of provider guard'] : []),
    ...(found.ruleComment === null ? [] : ['comment on its rule']),
    ...(found.typeAcl === null ? [] : ['privileges of the type of its rows']),
  ].some((name) => message.includes(name));
}

/** Tables and policies that depend on views. They block every change of these views. */
export function dependentsOn(found: Snapshot): { tables: string[]; policies: string[] } {
  return {
    tables: [...found.keys()].filter((name) => name.startsWith('public.hand rows ')),
    policies: found.get('public.items')?.policies ?? [],
  };
}
