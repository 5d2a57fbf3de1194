import { RefreshService, SchemaService } from '../../lib/index.js';
import { GeneratedMigration } from '../e2e/schema/model/migration.js';
import { type RelationFound, snapshot } from '../e2e/schema/model/snapshot.js';
import { type ModuleOptions, Releases } from './releases.js';
import type { TestDatabase } from './test-database.js';
import type { TestView } from './view-class.js';

export const SUBJECT = 'Far away.The "Subject"';
export const QUOTED_SUBJECT = '"Far away"."The ""Subject"""';
const PLAIN = 'public.plain above';
export const QUOTED_PLAIN = 'public."plain above"';

/** A view that reads another one. `change` alters their definitions. */
const views = (change: { subject?: number; below?: number } = {}): TestView[] => [
  {
    name: 'below',
    expression: `SELECT id, amount, note FROM items WHERE id > ${change.below ?? 0}`,
    columns: ['id', 'amount', 'note'],
    key: ['id'],
  },
  {
    schema: 'Far away',
    name: 'The "Subject"',
    expression: `SELECT id, amount, note FROM below WHERE id > ${change.subject ?? 0}`,
    columns: ['id', 'amount', 'note'],
    key: ['id'],
  },
];

/** The ways in which a view is rebuilt. */
export type Way = (typeof WAYS)[number];
export const WAYS = [
  'a change',
  'a change of a view below',
  'a change in place',
  'a migration',
  'a migration and back',
  'a migration in place and back',
  'alterTable',
  'a swap',
] as const;

/** All but a swap, which needs a view without dependent views. */
export const WAYS_WITH_PLAIN_VIEW = WAYS.filter((way) => way !== 'a swap');

/** An application with two views, which a test rebuilds in one of the ways. */
export class MakingAnew {
  readonly releases: Releases;

  constructor(
    private readonly database: TestDatabase,
    private readonly options: ModuleOptions = {},
    private readonly dataSource: Parameters<Releases['start']>[2] = {},
  ) {
    this.releases = new Releases(database);
  }

  static async prepare(database: TestDatabase): Promise<void> {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE SCHEMA "Far away"');
    await database.query('CREATE TABLE items (id int PRIMARY KEY, amount int, note text)');
    await database.query(`INSERT INTO items SELECT n, n, 'note' FROM generate_series(1, 5) n`);
  }

  async putPlainViewAbove(): Promise<void> {
    await this.database.query(
      `CREATE VIEW ${QUOTED_PLAIN} AS SELECT id, note FROM ${QUOTED_SUBJECT}`,
    );
  }

  async boot(): Promise<void> {
    await this.start(views());
  }

  async by(way: Way): Promise<void> {
    switch (way) {
      case 'a change':
        await this.start(views({ subject: 1 }));
        return;
      case 'a change of a view below':
        await this.start(views({ below: 1 }));
        return;
      case 'a change in place':
        await this.start(views({ subject: 1, below: 1 }), { rebuildStrategy: 'drop-and-create' });
        return;
      case 'a migration':
        await this.migrate(['up']);
        return;
      case 'a migration and back':
        await this.migrate(['up', 'down']);
        return;
      case 'a migration in place and back':
        await this.migrate(['up', 'down'], { rebuildStrategy: 'drop-and-create' });
        return;
      case 'alterTable':
        await this.releases
          .get(SchemaService)
          .alterTable(
            'items',
            (runner) => runner.query('ALTER TABLE items ALTER amount TYPE bigint'),
            { unmanagedDependents: 'rebuild' },
          );
        return;
      case 'a swap':
        await this.releases.get(RefreshService).refresh(SUBJECT, { mode: 'swap' });
    }
  }

  /** The catalog's state of the view and of the plain view above it, without OIDs, definitions and types. */
  async found(): Promise<Record<string, unknown>> {
    const all = await snapshot(this.database);
    return Object.fromEntries([SUBJECT, PLAIN].map((name) => [name, withoutChange(all.get(name))]));
  }

  /** The OIDs of the view and of the plain view above it. */
  async oids(): Promise<unknown[]> {
    const all = await snapshot(this.database);
    return [SUBJECT, PLAIN].map((name) => all.get(name)?.oid);
  }

  async end(): Promise<void> {
    await this.releases.end();
  }

  private async migrate(ways: ('up' | 'down')[], options: ModuleOptions = {}): Promise<void> {
    const schema = await this.start(views({ subject: 1 }), { synchronize: false, ...options });
    const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
    if (file === undefined) {
      throw new Error('There is nothing to migrate');
    }
    const migration = new GeneratedMigration(this.database, file);
    for (const way of ways) {
      await migration.run(way);
    }
  }

  private start(declared: TestView[], options: ModuleOptions = {}): Promise<SchemaService> {
    return this.releases.start(
      declared,
      { unmanagedDependents: 'rebuild', ...this.options, ...options },
      this.dataSource,
    );
  }
}

function withoutChange(found: RelationFound | undefined): unknown {
  const plain = JSON.stringify(found, (key, value: unknown) =>
    ['oid', 'definition', 'type'].includes(key) ? undefined : value,
  );
  return plain && JSON.parse(plain);
}
