import { expect } from '@jest/globals';
import { MaterializedViewError, SchemaService } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import type { ReleasedView } from './application.js';
import { fullName } from './names.js';
import { Interruption } from './interruption.js';
import { GeneratedMigration } from './migration.js';
import type { Options, Replicas } from './replicas.js';
import { isUncheckable, type Snapshot, snapshot, withoutOids } from './snapshot.js';
import type { HandWork, Rollout, Step } from './steps.js';

/** The ways to roll out a release. Each succeeds, or fails without changing anything. */
export class Rollouts {
  migrationCount = 0;
  interruptionCount = 0;

  constructor(
    private readonly database: TestDatabase,
    private readonly replicas: Replicas,
    private readonly history: {
      workByHand: (work: HandWork) => Promise<void>;
      /** Expects that nothing added by hand before the release is lost. */
      expectKept: (before: Snapshot) => Promise<void>;
      /** Expects the same of a `down`, for everything that was there after the `up`. */
      expectKeptBack: (before: Snapshot, migrated: Snapshot, now: Snapshot) => void;
      /** Whether every view that had rows can be filled again. */
      isFillable: (before: Snapshot) => boolean;
      /** Whether the new owner of a view may not read the view's sources. */
      isDenied: (code: string | undefined, found: Snapshot) => boolean;
    },
  ) {}

  /** @returns the new starting state if a migration was reverted, so that the release is still to come */
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

  /** Boots and returns the error if the library threw one of its own. */
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

  /** Boots under a policy that creates at most what is missing. */
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

  /** Terminates a session during a boot. If the boot fails, nothing has changed. */
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

  /** Boots several processes at once. If all fail, nothing has changed; without an old one, all or none succeed. */
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

  /** Boots a process that changes nothing by itself. */
  private async inspecting(
    views: ReleasedView[],
    options: Options,
  ): Promise<SchemaService | undefined> {
    const failure = await this.attempt(views, { ...options, synchronize: 'verify' });
    return failure ? undefined : this.replicas.last?.get(SchemaService);
  }

  /** Migrates: `up` does what a boot does, and `down` undoes it. Each runs completely or not at all. */
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
    // What was added on top of a view meanwhile may block the next change, but that is not this migration's concern.
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

  /** Whether a migration stopped because of changes made since it was written; then it must have changed nothing. */
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
      // The new owner of a view that a `down` fills may not read the view's sources.
      const isDenied =
        way === 'down' && this.history.isDenied((error as { code?: string }).code, before);
      const isRefused = isDenied || isWayBackRefused(error) || isUncheckable(error, before);
      if (!isRefused && (meanwhile === undefined || !isSaidToBeStopped(error))) {
        throw error;
      }
      expect(await snapshot(this.database)).toEqual(before);
      return true;
    }
  }

  /** Reverts after more changes by hand: it keeps what was added since the `up`, or stops because of it. */
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
    // A boot restores declared comments, parameters and indexes, even those that the migration left as set by hand.
    if (meanwhile === undefined || !RESTORED_BY_A_BOOT.includes(meanwhile.work)) {
      expect(withoutOids(await snapshot(this.database))).toEqual(
        withoutOids(failure ? before : migrated),
      );
    }
  }
}

const RESTORED_BY_A_BOOT: HandWork['work'][] = ['comment', 'set storage', 'change an index'];

/** Whether the migration itself stopped, or PostgreSQL refused to drop something that others depend on. */
function isSaidToBeStopped(error: unknown): boolean {
  const { code, message } = error as { code?: string; message: string };
  return code === '2BP01' || message.includes('the database is not as it was');
}

/** Whether a `down` refused because recreating a plain view would lose what was put on it or above it by hand. */
function isWayBackRefused(error: unknown): boolean {
  return (error as Error).message.includes('cannot be recreated');
}

async function expectAsDeclared(schema: SchemaService): Promise<void> {
  const differences = await schema.diff();
  expect(differences.filter(({ kind }) => kind !== 'orphan')).toEqual([]);
}

/** Expects that a view which still has its old name gets no second one under the new name. */
function expectNoSecond(views: ReleasedView[], before: Snapshot, now: Snapshot): void {
  const renamed = views.filter(({ renamedFrom }) => before.has(renamedFrom ?? ''));
  const made = renamed.map(fullName).filter((name) => now.has(name) && !before.has(name));
  expect(made).toEqual([]);
}

/** Expects that everything that existed is unchanged, except for additional indexes. */
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
