import { expect } from '@jest/globals';
import { escapeIdentifier } from 'pg';
import {
  MaterializedViewError,
  RefreshService,
  SchemaService,
  UnmanagedDependentsError,
} from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import type { ReleasedView } from './application.js';
import { fullName, type Name, quoted } from './names.js';
import type { Memory } from './memory.js';
import type { Replicas } from './replicas.js';
import { type RelationFound, type Snapshot, snapshot, withoutOids } from './snapshot.js';
import type { HandWork } from './steps.js';
import { keywordOf, type Roles, sqlOf } from './works.js';

/** The parts of a history that work by hand needs. */
interface Surroundings {
  memory: Memory;
  version: number;
  nameOf: (view: number) => Name | undefined;
  nextNameOf: (view: number) => Name;
  /** The views of the running release. */
  views: () => readonly ReleasedView[];
}

/** Changes by hand to a database between two releases. */
export class WorkByHand {
  constructor(
    private readonly database: TestDatabase,
    private readonly people: Roles,
    private readonly replicas: Replicas,
    private readonly around: Surroundings,
  ) {}

  async do({ view, work }: HandWork): Promise<void> {
    switch (work) {
      case 'widen the table':
        await this.database.query('ALTER TABLE items ADD COLUMN IF NOT EXISTS extra int');
        return;
      case 'retype the table':
        return this.retypeTable();
      case 'rename a column of the table':
        return this.renameColumn();
      case 'pause':
        return this.pause(view);
      case 'refresh':
        return this.refresh(view, 'blocking');
      case 'refresh concurrently':
        return this.refresh(view, 'concurrently');
      case 'refresh by swap':
        return this.refresh(view, 'swap');
      case 'make another of its name':
        return this.makeAnother(view);
    }
    const name = this.around.nameOf(view);
    const found = name && (await this.found(name));
    if (name === undefined || found === undefined) {
      return;
    }
    if (work === 'leave an invalid index') {
      return this.leaveInvalidIndex(view, name, found);
    }
    if (work === 'rename the view') {
      return this.renameView(view, name, found);
    }
    const target = { view, name, found };
    for (const statement of sqlOf(work, target, this.people, this.around.version)) {
      await this.database.query(statement);
    }
  }

  /** The view of that name, if there is one. */
  private async found(name: Name): Promise<RelationFound | undefined> {
    const found = (await snapshot(this.database)).get(fullName(name));
    return found && 'mv'.includes(found.kind) ? found : undefined;
  }

  private isDeclared(view: number): boolean {
    return this.around.views().some((each) => each.view === view && !each.isPlain);
  }

  /** Creates a view under a name of which the library has no record, so that the library may not drop it. */
  private async makeAnother(view: number): Promise<void> {
    const name = this.around.nextNameOf(view);
    const isTaken = (await snapshot(this.database)).has(fullName(name));
    if (!isTaken && this.around.memory.isFree(fullName(name))) {
      await this.database.query(
        `CREATE SCHEMA IF NOT EXISTS ${escapeIdentifier(name.schema)};
         CREATE MATERIALIZED VIEW ${quoted(name)} AS SELECT 1 AS id`,
      );
      this.around.memory.handMade.add(fullName(name));
    }
  }

  private async leaveInvalidIndex(view: number, name: Name, found: RelationFound): Promise<void> {
    if (found.kind === 'm' && found.populated && !(`hand ${view} invalid` in found.indexes)) {
      const rows = await this.database.query(`SELECT FROM ${quoted(name)} LIMIT 2`);
      if (rows.length > 1) {
        const create = `CREATE UNIQUE INDEX CONCURRENTLY "hand ${view} invalid" ON ${quoted(name)} ((id - id))`;
        await expect(this.database.query(create)).rejects.toMatchObject({ code: '23505' });
      }
    }
  }

  /** Renames a view by hand. Under its new name, nothing shows that it was declared. */
  private async renameView(view: number, name: Name, found: RelationFound): Promise<void> {
    const moved = { schema: name.schema, name: `hand moved ${view}` };
    if (!(await snapshot(this.database)).has(fullName(moved))) {
      await this.database.query(
        `ALTER ${keywordOf(found.kind)} ${quoted(name)} RENAME TO ${escapeIdentifier(moved.name)}`,
      );
    }
  }

  private async pause(view: number): Promise<void> {
    const name = this.around.nameOf(view);
    if (name && this.isDeclared(view)) {
      await this.replicas.last?.get(RefreshService).pause(fullName(name));
    }
  }

  /** Refreshes a view and checks that nothing but its rows changed. */
  private async refresh(view: number, mode: 'blocking' | 'concurrently' | 'swap'): Promise<void> {
    const name = this.around.nameOf(view);
    const service = this.replicas.last?.get(RefreshService);
    if (name === undefined || service === undefined || !this.isDeclared(view)) {
      return;
    }
    const before = await snapshot(this.database);
    const failure = await this.failureOf(service.refresh(fullName(name), { mode }));
    const now = await snapshot(this.database);
    if (failure) {
      expect(now).toEqual(before);
    } else {
      expect(withRows(now)).toEqual(withRows(before));
    }
  }

  /** The error, if it is one of the library's own; others are thrown. */
  private async failureOf(work: Promise<unknown>): Promise<MaterializedViewError | undefined> {
    try {
      await work;
      return undefined;
    } catch (error) {
      if (error instanceof MaterializedViewError) {
        return error;
      }
      throw error;
    }
  }

  /** Changes a column's type with `alterTable`, and checks that only that type and the types derived from it change. */
  private async retypeTable(): Promise<void> {
    const before = await snapshot(this.database);
    const isWide = before.get('public.items')?.columns.amount?.type === 'bigint';
    const schema = this.replicas.last?.get(SchemaService);
    await schema
      ?.alterTable(
        'items',
        (runner) =>
          runner.query(`ALTER TABLE items ALTER amount TYPE ${isWide ? 'int' : 'bigint'}`),
        { unmanagedDependents: 'rebuild' },
      )
      .catch((error: unknown) => {
        if (!(error instanceof UnmanagedDependentsError)) {
          throw error;
        }
      });
    const plain = (found: Snapshot): unknown =>
      JSON.parse(JSON.stringify(withoutOids(found)).replaceAll(/"(bigint|integer)"/g, '"number"'));
    expect(plain(await snapshot(this.database))).toEqual(plain(before));
  }

  /** Renames a column, or renames it back. Existing views keep working. */
  private async renameColumn(): Promise<void> {
    const items = (await snapshot(this.database)).get('public.items');
    const [from, to] = items?.columnOrder.includes('note')
      ? ['note', 'remark']
      : ['remark', 'note'];
    await this.database.query(`ALTER TABLE items RENAME COLUMN ${from} TO ${to}`);
  }
}

const withRows = (found: Snapshot): unknown =>
  Object.entries(withoutOids(found)).map(([name, each]) => [name, { ...each, populated: true }]);
