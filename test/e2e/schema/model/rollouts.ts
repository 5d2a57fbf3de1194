import { expect } from '@jest/globals';
import { MaterializedViewError, SchemaService } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import type { ReleasedView } from './application.js';
import { fullName } from './names.js';
import { Interruption } from './interruption.js';
import { GeneratedMigration } from './migration.js';
import type { Options, Replicas } from './replicas.js';
import { type Snapshot, snapshot, withoutOids } from './snapshot.js';
import type { HandWork, Rollout, Step } from './steps.js';

/** The ways in which a release comes to a database. Each does what it should, or fails and has changed nothing. */
export class Rollouts {
  migrationCount = 0;
  interruptionCount = 0;

  constructor(
    private readonly database: TestDatabase,
    private readonly replicas: Replicas,
    private readonly history: {
      workByHand: (work: HandWork) => Promise<void>;
      /** Expects that nothing is lost that anybody had put there before the release. */
      expectKept: (before: Snapshot) => Promise<void>;
      /** Expects the same of a way back: of what was there after the migration. */
      expectKeptBack: (before: Snapshot, migrated: Snapshot, now: Snapshot) => void;
      /** Whether all could be filled again that had rows. */
      isFillable: (before: Snapshot) => boolean;
    },
  ) {}

  /** @returns what the release starts from, where all of it was taken back and is yet to come */
  async run(
    step: Step,
    views: ReleasedView[],
    previous: ReleasedView[],
  ): Promise<Snapshot | undefined> {
    const { rollout } = step;
    const options: Options = {
      prune: step.prune,
      rebuildStrategy: step.dropsFirst ? 'drop-and-create' : 'side-by-side',
      ...(step.rebuildsOthers && { unmanagedDependents: 'rebuild' }),
    };
    switch (rollout.by) {
      case 'boot':
        return undefined;
      case 'policy':
        await this.bootByPolicy(views, rollout.options);
        return undefined;
      case 'interrupted boot':
        await this.bootInterrupted(views, options, rollout.flight);
        return undefined;
      case 'boots at once':
        await this.bootAtOnce(rollout, views, previous);
        return undefined;
      case 'migration':
        return this.migrate(rollout, views, options);
      case 'plan':
        await this.applyPlan(views, options);
        return undefined;
    }
  }

  /** Boots, and gives the error where that is one of the library's own. */
  async attempt(
    views: ReleasedView[],
    options: Options = {},
  ): Promise<MaterializedViewError | undefined> {
    return this.refusalOf(() => this.replicas.restart(views, options));
  }

  private async refusalOf(
    work: () => Promise<unknown>,
  ): Promise<MaterializedViewError | undefined> {
    try {
      await work();
      return undefined;
    } catch (error) {
      if (error instanceof MaterializedViewError) {
        return error;
      }
      throw error;
    }
  }

  /** Only what is missing is made, if at all. */
  private async bootByPolicy(
    views: ReleasedView[],
    options: (Rollout & { by: 'policy' })['options'],
  ): Promise<void> {
    const before = await snapshot(this.database);
    const failure = await this.attempt(views, options);
    const now = await snapshot(this.database);
    const makes = options.synchronize === 'create' || options.synchronize === true;
    if (failure || !makes) {
      expect(now).toEqual(before);
    } else {
      expectOnlyMore(before, now);
      expectNoSecond(views, before, now);
    }
  }

  /** Whenever the server ends the session of a boot, all is as it was, or as declared. */
  private async bootInterrupted(
    views: ReleasedView[],
    options: Options,
    flight: number,
  ): Promise<void> {
    const before = await snapshot(this.database);
    const interruption = await Interruption.before(this.database, flight);
    try {
      const failure = await this.attempt(views, { ...options, url: interruption.url });
      this.interruptionCount += Number(interruption.hasCome);
      if (failure) {
        expect(await snapshot(this.database)).toEqual(before);
      }
    } finally {
      await this.replicas.stop();
      await interruption.stop();
    }
  }

  /** One of them makes the release, and all boot; or none can. */
  private async bootAtOnce(
    { count, withOld }: Rollout & { by: 'boots at once' },
    views: ReleasedView[],
    previous: ReleasedView[],
  ): Promise<void> {
    await this.replicas.stop();
    const old = withOld && previous.length > 0 ? [previous] : [];
    const before = await snapshot(this.database);
    const failures = await Promise.all(
      [...Array<ReleasedView[]>(count).fill(views), ...old].map((release) =>
        this.refusalOf(() => this.replicas.start(release)),
      ),
    );
    if (failures.every((failure) => failure !== undefined)) {
      expect(await snapshot(this.database)).toEqual(before);
    } else if (old.length === 0) {
      expect(failures.filter((failure) => failure !== undefined)).toEqual([]);
    }
  }

  private async applyPlan(views: ReleasedView[], options: Options): Promise<void> {
    const before = await snapshot(this.database);
    const schema = await this.inspecting(views, options);
    if (schema === undefined) {
      expect(await snapshot(this.database)).toEqual(before);
      return;
    }
    const failure = await this.refusalOf(async () => schema.apply(await schema.plan()));
    if (failure) {
      expect(await snapshot(this.database)).toEqual(before);
    } else {
      await expectAsDeclared(schema);
    }
  }

  /** A process that changes nothing by itself. */
  private async inspecting(
    views: ReleasedView[],
    options: Options,
  ): Promise<SchemaService | undefined> {
    const failure = await this.attempt(views, { ...options, synchronize: 'verify' });
    return failure ? undefined : this.replicas.last?.get(SchemaService);
  }

  /** Up is what a boot does; down undoes it. Either happens whole, or not at all. */
  private async migrate(
    { meanwhile, killedAt, goesBack, later }: Rollout & { by: 'migration' },
    views: ReleasedView[],
    options: Options,
  ): Promise<Snapshot | undefined> {
    let before = await snapshot(this.database);
    const schema = await this.inspecting(views, options);
    const generated: { migration?: GeneratedMigration } = {};
    const failure = await this.refusalOf(async () => {
      const file = await schema?.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      generated.migration = file && new GeneratedMigration(this.database, file);
    });
    expect(await snapshot(this.database)).toEqual(before);
    const { migration } = generated;
    if (schema === undefined || failure || migration === undefined) {
      return undefined;
    }
    if (meanwhile) {
      await this.history.workByHand(meanwhile);
      before = await snapshot(this.database);
    }
    if (killedAt !== undefined) {
      this.interruptionCount += Number(await migration.isKilled(killedAt));
      expect(await snapshot(this.database)).toEqual(before);
    }
    this.migrationCount++;
    if (await this.isStopped(migration, 'up', meanwhile)) {
      return undefined;
    }
    // What somebody has put above a view may stop the next change, which is none of this migration's.
    await (meanwhile === undefined
      ? expectAsDeclared(schema)
      : this.refusalOf(() => schema.diff()));
    await this.history.expectKept(before);
    if (goesBack && this.history.isFillable(before)) {
      if (later !== undefined) {
        return this.goBackLater(migration, before, later);
      }
      await this.goBack(migration, views, { before, options, meanwhile });
    }
    return undefined;
  }

  /** A migration may stop at what was done since it was written; it has changed nothing then. */
  private async isStopped(
    migration: GeneratedMigration,
    way: 'up' | 'down',
    meanwhile: HandWork | undefined,
  ): Promise<boolean> {
    const before = await snapshot(this.database);
    try {
      await migration.run(way);
      return false;
    } catch (error) {
      if (!isWayBackRefused(error) && (meanwhile === undefined || !isSaidToBeStopped(error))) {
        throw error;
      }
      expect(await snapshot(this.database)).toEqual(before);
      return true;
    }
  }

  /** What was put on views since they were migrated is kept, or stops it. */
  private async goBackLater(
    migration: GeneratedMigration,
    before: Snapshot,
    later: HandWork,
  ): Promise<Snapshot | undefined> {
    await this.history.workByHand(later);
    const migrated = await snapshot(this.database);
    if (await this.isStopped(migration, 'down', later)) {
      return undefined;
    }
    const now = await snapshot(this.database);
    this.history.expectKeptBack(before, migrated, now);
    return now;
  }

  private async goBack(
    migration: GeneratedMigration,
    views: ReleasedView[],
    {
      before,
      options,
      meanwhile,
    }: { before: Snapshot; options: Options; meanwhile: HandWork | undefined },
  ): Promise<void> {
    const migrated = await snapshot(this.database);
    if (await this.isStopped(migration, 'down', meanwhile)) {
      return;
    }
    expect(withoutOids(await snapshot(this.database))).toEqual(withoutOids(before));
    const failure = await this.attempt(views, options);
    if (failure && meanwhile === undefined) {
      throw failure;
    }
    // What is declared comes back by a boot, also where the migration has left what somebody has made of it.
    if (meanwhile === undefined || !['comment', 'set storage'].includes(meanwhile.work)) {
      expect(withoutOids(await snapshot(this.database))).toEqual(
        withoutOids(failure ? before : migrated),
      );
    }
  }
}

/** By the migration itself, or by PostgreSQL, which drops nothing that something else depends on. */
function isSaidToBeStopped(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string };
  return code === '2BP01' || message.includes('the database is not as it was');
}

/** What somebody has put on a plain view, or above it, would be lost where that is made again. */
function isWayBackRefused(error: unknown): boolean {
  return (error as Error).message.includes('cannot be recreated');
}

async function expectAsDeclared(schema: SchemaService): Promise<void> {
  const differences = await schema.diff();
  expect(differences.filter(({ kind }) => kind !== 'orphan')).toEqual([]);
}

/** What is there under its old name stays that, and none is made beside it. */
function expectNoSecond(views: ReleasedView[], before: Snapshot, now: Snapshot): void {
  const renamed = views.filter(({ renamedFrom }) => before.has(renamedFrom ?? ''));
  const made = renamed.map(fullName).filter((name) => now.has(name) && !before.has(name));
  expect(made).toEqual([]);
}

/** What was there is there as it was, with more indexes at the most. */
function expectOnlyMore(before: Snapshot, now: Snapshot): void {
  for (const [name, relation] of before) {
    const found = now.get(name);
    expect({ name, ...found, indexes: undefined }).toEqual({
      name,
      ...relation,
      indexes: undefined,
    });
    expect(found?.indexes).toMatchObject(relation.indexes);
  }
}
