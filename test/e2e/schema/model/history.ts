import { expect } from '@jest/globals';
import { escapeIdentifier } from 'pg';
import {
  MaterializedViewError,
  SchemaService,
  SchemaSyncError,
  UnmanagedDependentsError,
} from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';
import { Application, type ReleasedView, type Surroundings } from './application.js';
import { fullName, type Name, plainAbove, quoted } from './names.js';
import { describeRelease } from './description.js';
import { Dump } from './dump.js';
import { dependentsOn, isInTheWay, type People } from './hand-work.js';
import { Invariants, type Predecessors } from './invariants.js';
import { Memory } from './memory.js';
import { type Options, Replicas } from './replicas.js';
import { Rollouts } from './rollouts.js';
import {
  ddlTrace,
  isUncheckable,
  pausedViews,
  type Snapshot,
  snapshot,
  withoutOids,
} from './snapshot.js';
import { NAMES, type Step, VIEW_COUNT } from './steps.js';
import { WorkByHand } from './work-by-hand.js';
import { keywordOf } from './works.js';

/** Whether the view is materialized now and was not a plain view before. */
const storesRows = (view: ReleasedView, before: Snapshot, old: Predecessors): boolean =>
  !view.isPlain && before.get(fullName(old.get(view.view) ?? view))?.kind !== 'v';

/** Without what a dump omits: comments on and privileges of row types, and the owner's default privileges. */
const asDumped = (found: Snapshot): unknown =>
  Object.entries(withoutOids(found)).map(([name, each]) => {
    const isByDefault = each.acl?.length === 1 && /^(\S+)=arwdDxtm?\/\1$/.test(each.acl[0] ?? '');
    return [
      name,
      { ...each, acl: isByDefault ? null : each.acl, typeAcl: null, typeComment: null },
    ];
  });

const isOurName = (name: string): boolean => NAMES.some((each) => fullName(each) === name);

/** The history of one application and its database, release by release. */
export class History {
  readonly counts = { steps: 0, refusals: 0, restores: 0 };
  readonly log: string[] = [];
  private readonly invariants: Invariants;
  private readonly rollouts: Rollouts;
  private readonly code = new Application();
  private views: ReleasedView[] = [];
  private readonly past: ReleasedView[][] = [];
  private readonly memory = new Memory();
  private readonly byHand: WorkByHand;

  constructor(
    private readonly database: TestDatabase,
    private readonly people: People,
    private readonly replicas: Replicas,
    private readonly server: { dump: Dump | undefined; version: number },
  ) {
    this.invariants = new Invariants(database);
    this.byHand = new WorkByHand(database, people, replicas, {
      memory: this.memory,
      version: server.version,
      nameOf: (view) => this.code.deployed.of(view),
      nextNameOf: (view) => this.code.nextNameOf(view),
      views: () => this.views,
    });
    this.rollouts = new Rollouts(database, replicas, {
      workByHand: (work) => this.byHand.do(work),
      expectKept: async (before) => {
        const old = this.predecessors(before, before);
        this.invariants.kept(this.views, before, await snapshot(database), old);
      },
      expectKeptBack: (before, migrated, now) => {
        const old = this.predecessors(before, before);
        const there = this.views.filter(({ view }) => old.has(view));
        const back = there.map((view) => ({ ...view, ...old.get(view.view) }));
        const names = new Map(there.map(({ view, schema, name }) => [view, { schema, name }]));
        this.invariants.kept(back, migrated, now, names);
      },
      isFillable: (before) => this.isFillable(before),
      isDenied: (code, found) => this.people.isDenied(code, found),
    });
  }

  get migrationCount(): number {
    return this.rollouts.migrationCount;
  }

  get interruptionCount(): number {
    return this.rollouts.interruptionCount;
  }

  get comparisonCount(): number {
    return this.invariants.comparisonCount;
  }

  async take(step: Step): Promise<void> {
    this.counts.steps++;
    for (const work of step.handWork) {
      await this.byHand.do(work);
    }
    const previous = this.views;
    this.code.change(step);
    this.views = this.code.release(await this.surroundings());
    this.log.push(describeRelease(this.views, step));
    const start = await snapshot(this.database);
    const alike = this.areNamedAlike(previous) ? previous : [];
    const again = await this.rollouts.run(step, this.views, alike);
    await this.settle(step, again ?? start);
    const old = step.thenOld > 0 ? this.past.at(-step.thenOld) : undefined;
    this.past.push(this.views);
    if (old && this.areNamedAlike(old)) {
      const done = await this.bootOld(old);
      await this.settle({ ...step, prune: false }, this.settled, done);
    }
    // pg_dump does not know what a function reads, so a restore may fill the views in the wrong order.
    const readsInFunctions = this.past.flat().some(({ dependsOn }) => dependsOn !== undefined);
    const { dump } = this.server;
    // The labels' provider is not loaded in this server, so a restore would fail.
    const isLabelled = [...this.settled.values()].some(({ labels }) => labels.length > 0);
    if (step.thenRestored && dump && !readsInFunctions && !isLabelled) {
      await this.restore(dump);
    }
  }

  /** Whether every view can be filled: not if its function reads a view that was dropped by hand. */
  private isFillable(before: Snapshot): boolean {
    const last = new Map(this.past.flat().map((view) => [fullName(view), view.dependsOn ?? []]));
    return [...before.keys()].every((name) =>
      (last.get(name) ?? []).every((source) => before.has(String(source))),
    );
  }

  private async surroundings(): Promise<Surroundings> {
    const found = await snapshot(this.database);
    const views = [...Array(VIEW_COUNT).keys()];
    return {
      tableColumns: found.get('public.items')?.columnOrder ?? [],
      plainViews: new Set(views.filter((view) => found.has(fullName(plainAbove(view))))),
      version: this.server.version,
    };
  }

  /** Boots normally and checks that all is as declared. If changes by hand prevent it, removes them and retries. */
  private async settle(step: Step, start: Snapshot, older: ReleasedView[] = []): Promise<void> {
    const options: Options = {
      prune: step.prune,
      rebuildStrategy: step.dropsFirst ? 'drop-and-create' : 'side-by-side',
      ...(step.rebuildsOthers && { unmanagedDependents: 'rebuild' }),
    };
    let before = await snapshot(this.database);
    const paused = await pausedViews(this.database);
    try {
      await this.replicas.restart(this.views, options);
    } catch (error) {
      await this.expectRefusal(error, before);
      await this.clearTheWay();
      this.views = this.code.release(await this.surroundings());
      before = await snapshot(this.database);
      await this.replicas.restart(this.views, { ...options, unmanagedDependents: 'rebuild' });
    }
    await this.check(before, { prunes: step.prune, paused, start });
    const isThere = (name: Name): boolean => this.settled.has(fullName(name));
    this.code.deployed.settle(this.views, isThere, older);
    await this.bootAgain();
  }

  /** The state after the last boot. */
  private settled: Snapshot = new Map();

  private async check(
    before: Snapshot,
    { prunes, paused, start }: { prunes: boolean; paused: ReadonlySet<string>; start: Snapshot },
  ): Promise<void> {
    const now = await snapshot(this.database);
    const old = this.predecessors(before, start);
    this.memory.declared(this.views);
    const differences = await this.replicas.last?.get(SchemaService).diff();
    expect(differences?.filter(({ kind }) => kind !== 'orphan')).toEqual([]);
    await this.invariants.declared(this.views, before, now, old);
    this.invariants.kept(this.views, before, now, old);
    this.invariants.othersKept(this.others(before, prunes), before, now, {
      isRenamed: this.views.some(({ renamedFrom }) => renamedFrom !== undefined),
    });
    this.invariants.noteReturned(this.views, this.past.at(-1) ?? [], now);
    await this.invariants.rows(this.views, [start, before, now], old);
    const isPaused = await pausedViews(this.database);
    const taken = new Set([...old.values()].map(fullName));
    for (const view of this.views.filter((each) => storesRows(each, before, old))) {
      const name = fullName(old.get(view.view) ?? view);
      // A new view does not inherit the state of a renamed view that had its name: that moved with the rename.
      const isNew = !old.has(view.view) && taken.has(name);
      expect({ name, isPaused: isPaused.has(fullName(view)) }).toEqual({
        name,
        isPaused: !isNew && paused.has(name),
      });
    }
    if (prunes) {
      expect([...now.keys()].filter(this.isOwn).sort()).toEqual(
        this.views.map((view) => fullName(view)).sort(),
      );
      this.memory.pruned(this.views, before, now);
    }
    this.settled = now;
  }

  /** The previous name of each view: the old one, unless this release has already renamed it since the start. */
  private predecessors(before: Snapshot, start: Snapshot): Predecessors {
    const old = new Map<number, Name>();
    for (const view of this.views) {
      const name = this.code.deployed.of(view.view);
      const found = name && before.get(fullName(name));
      // If a view with the new name was created by hand, the boot takes that one over, and the old view stays.
      const isTakenOver = this.memory.handMade.has(fullName(view)) && start.has(fullName(view));
      if (name && found && found.oid === start.get(fullName(name))?.oid && !isTakenOver) {
        old.set(view.view, name);
      }
    }
    const taken = new Set([...old.values()].map(fullName));
    for (const { view, schema, name } of this.views) {
      const isThere = before.has(fullName({ schema, name }));
      if (!old.has(view) && isThere && !taken.has(fullName({ schema, name }))) {
        old.set(view, { schema, name });
      }
    }
    return old;
  }

  private others(before: Snapshot, prunes: boolean): string[] {
    const declared = this.views.flatMap((view) => [fullName(view), view.renamedFrom]);
    return [...before.keys()].filter(
      (name) => !declared.includes(name) && !(prunes && this.isOwn(name)),
    );
  }

  private readonly isOwn = (name: string): boolean =>
    isOurName(name) && !this.memory.handMade.has(name);

  /** Boots the same release again and checks that nothing changes. */
  private async bootAgain(): Promise<void> {
    await this.replicas.stop();
    await this.invariants.nothingLeftOver();
    const trace = await ddlTrace(this.database);
    await this.replicas.restart(this.views);
    expect(this.replicas.reports.at(-1)?.counts).toEqual({
      created: 0,
      changed: 0,
      indexed: 0,
      unchanged: this.views.length,
      orphaned: [...this.settled.keys()].filter(this.isOwn).length - this.views.length,
      dropped: 0,
      skipped: 0,
      failed: 0,
    });
    expect(await ddlTrace(this.database)).toEqual(trace);
  }

  /** Checks that a boot had a reason to refuse, such as an undeclared dependent, and that it changed nothing. */
  private async expectRefusal(error: unknown, before: Snapshot): Promise<void> {
    const declared = this.views.flatMap((view) => [fullName(view), view.renamedFrom]);
    const undeclared = [...before]
      .filter(([name, { kind }]) => 'vm'.includes(kind) && !declared.includes(name))
      .map(([name]) => name);
    const { tables, policies } = dependentsOn(before);
    const others = undeclared.length + tables.length + policies.length;
    const isStopped =
      error instanceof UnmanagedDependentsError &&
      (others > 0 || this.isInTheWay(error.message, before));
    // A view of an older release reads a column that is dropped.
    const isUnfit =
      error instanceof SchemaSyncError &&
      undeclared.some((name) =>
        error.message.includes(`make view "${name}" on the new definitions below it: 42703`),
      );
    // A view renamed by hand keeps the names of its indexes, which are now taken.
    const isTaken = error instanceof MaterializedViewError && error.message.includes('hand moved');
    // A view brings its indexes along into another schema.
    const isOccupied =
      error instanceof SchemaSyncError &&
      undeclared.some((name) => error.message.includes(`an index of "${name}" has it`));
    const isUnwritable = error instanceof SchemaSyncError && isUncheckable(error.cause, before);
    const reasons = [isStopped, isUnfit, isTaken, isOccupied, isUnwritable];
    if (!reasons.includes(true) && !this.people.mayHaveCaused(error, before)) {
      throw error;
    }
    this.counts.refusals++;
    expect(await snapshot(this.database)).toEqual(before);
  }

  /** Whether something put by hand on a declared view prevents its rebuild. */
  private isInTheWay(message: string, before: Snapshot): boolean {
    return this.views.some((view) =>
      [fullName(view), view.renamedFrom ?? ''].some((name) => {
        const found = before.get(name);
        return found !== undefined && isInTheWay(found, view.isPlain, message);
      }),
    );
  }

  /** Drops all undeclared views and reverts the other changes by hand. */
  private async clearTheWay(): Promise<void> {
    const found = await snapshot(this.database);
    await this.people.giveWay(found);
    await this.people.takeAway(found, NAMES);
    const { tables, policies } = dependentsOn(found);
    for (const table of tables) {
      await this.database.query(`DROP TABLE public.${escapeIdentifier(table.slice(7))}`);
    }
    for (const policy of policies) {
      await this.database.query(`DROP POLICY ${escapeIdentifier(policy)} ON public.items`);
    }
    const declared = this.views.flatMap((view) => [fullName(view), view.renamedFrom]);
    const hand = [...Array(VIEW_COUNT).keys()].flatMap((view) => [
      { schema: 'public', name: `hand above ${view}` },
      { schema: 'public', name: `hand moved ${view}` },
      { schema: 'Far away', name: `hand moved ${view}` },
    ]);
    for (const name of [...NAMES, ...hand].filter((each) => !declared.includes(fullName(each)))) {
      const { kind } = (await snapshot(this.database)).get(fullName(name)) ?? {};
      if (kind !== undefined) {
        await this.database.query(`DROP ${keywordOf(kind)} ${quoted(name)} CASCADE`);
      }
    }
  }

  private areNamedAlike(old: ReleasedView[]): boolean {
    const names = new Map(this.views.map((view) => [view.view, fullName(view)]));
    const isTaken = new Set(names.values());
    return (
      old.length > 0 &&
      // A release that exchanges names would exchange them again once another release has dropped the record of it.
      [...old, ...this.views].every(({ renamedFrom = '' }) => !isTaken.has(renamedFrom)) &&
      old.every((view) => (names.get(view.view) ?? fullName(view)) === fullName(view))
    );
  }

  /**
   * Boots an older release. It applies what it declares, except to views that have a newer version.
   *
   * @returns its views, unless it refused to change anything
   */
  private async bootOld(old: ReleasedView[]): Promise<ReleasedView[]> {
    const before = await snapshot(this.database);
    const failure = await this.rollouts.attempt(old);
    const now = await snapshot(this.database);
    if (failure) {
      expect(now).toEqual(before);
    } else {
      this.memory.declared(old);
    }
    for (const view of this.views.filter((each) => this.memory.hasNewer(each, old))) {
      const name = fullName(view);
      expect(now.get(name)?.definition).toEqual(before.get(name)?.definition);
    }
    return failure ? [] : old;
  }

  /** Restores a dump and checks that a boot finds everything as declared. */
  private async restore(dump: Dump): Promise<void> {
    this.counts.restores++;
    await this.replicas.stop();
    const format = this.counts.restores % 2 === 0 ? 'plain' : 'custom';
    const copy = await dump.restored(this.database, { format });
    const replicas = new Replicas(copy);
    try {
      const before = await snapshot(copy);
      await replicas.restart(this.views);
      expect(await snapshot(copy)).toEqual(before);
      expect(asDumped(before)).toEqual(asDumped(await snapshot(this.database)));
    } finally {
      await replicas.end();
      await copy.drop();
    }
    await this.replicas.restart(this.views);
  }
}
