import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import type { DataSourceContext } from '../definition/data-source.context.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { codeAndMessageOf } from '../errors/error-message.js';
import type { MaterializedViewError } from '../errors/materialized-view.error.js';
import { SchemaDriftError, SchemaSyncError } from '../errors/schema.errors.js';
import { displayName } from '../postgres/identifier.js';
import { deleteKnownView } from '../postgres/state.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import { sentenceCase } from '../postgres/view-kind.js';
import { alterTable, type AlterTableOptions } from './alter-table.js';
import { removeSuperfluousCaptures } from '../tracking/capture-repair.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import { describeOfAspect } from './aspects/aspects.js';
import type { DatabaseState } from './database-state.js';
import { dependentsLeft, refuseToDrop } from './dependents.js';
import type { DeployedView } from './deployed-view.js';
import { describeHolders, describeOrphan, isManagedAs, otherHolders } from './holders.js';
import { type MigrationFile, type MigrationOptions, writeMigration } from './migration-writer.js';
import { inOldOrder } from './view-order.js';
import { SchemaBoot } from './schema.boot.js';
import { describeFailure, type Difference, type SchemaDiff } from './schema-diff.js';
import type { PlanPolicy } from './schema-options.js';
import type { SchemaPlan } from './schema-plan.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import type { ClosureMember } from './rebuild-closure.js';
import { readSteadily } from './steady-read.js';
import type { StandInError } from './stand-ins.js';
import { describeDifference, hasFailingQuery } from './sync-policy.js';
import type { SyncReport } from './sync-report.js';

/** Of what is no single view's. */
type ReportedKind = Exclude<
  SchemaDiff['others'][number]['kind'],
  'installation' | 'capture-left-over'
>;

/** One way in which the database is not what the code declares. */
export interface SchemaDifference {
  /** `schema.name`; that of a table where its capture is superfluous, or how it wakes processes up is not as set. */
  view: string;
  kind: Difference['kind'] | ReportedKind | 'orphan' | 'refused';
  /** The same in words. */
  description: string;
}

/** The schema of one data source: compares the database with the code, and changes it. */
export class Schema {
  private readonly synchronizer: SchemaSynchronizer;
  private readonly starter: SchemaBoot;

  constructor(
    private readonly context: DataSourceContext,
    captures: CaptureKeeper,
  ) {
    this.synchronizer = new SchemaSynchronizer(context);
    this.starter = new SchemaBoot(context, this.synchronizer, captures);
  }

  /** What a booting process does, by the option `synchronize`. */
  async boot(): Promise<void> {
    await this.starter.boot();
  }

  /**
   * To be asked before anything else where nobody boots: reading a table of another role may run that role's code.
   *
   * @throws ForeignStateSchemaError when another role owns some of the state schema
   */
  async refuseForeignState(): Promise<void> {
    await this.starter.refuseForeignState();
  }

  async diff(policy: PlanPolicy): Promise<SchemaDifference[]> {
    const { diff, failing, refusals } = await this.synchronizer.inspect(this.policy(policy));
    return [
      ...failing.filter(({ member }) => !isTold(member, diff)).map(failureDifference),
      ...diff.views.flatMap(({ view, differences }) =>
        differences.map((difference) => ({
          view: viewName(view),
          kind: difference.kind,
          description: describeDifference(difference),
        })),
      ),
      ...diff.orphans.map((orphan) => ({
        view: displayName(orphan.name),
        kind: 'orphan' as const,
        description: describeOrphan(orphan),
      })),
      ...diff.others.flatMap(otherDifference),
      ...refusals.filter(({ view }) => !lacksTable(view, diff)).map(refusedDifference),
    ];
  }

  async plan(policy: PlanPolicy): Promise<SchemaPlan> {
    return this.synchronizer.plan(this.policy(policy));
  }

  async apply(plan: SchemaPlan): Promise<SyncReport> {
    const { report } = await this.synchronizer.carryOut(plan.policy, plan);
    return report;
  }

  async verify(): Promise<void> {
    const differences = (await this.diff({})).filter(({ kind }) => kind !== 'orphan');
    if (differences.length > 0) {
      const list = differences.map(({ view, description }) => `"${view}": ${description}`);
      throw new SchemaDriftError(
        `The database is not what the code declares: ${list.join('; ')}.`,
        {
          view: differences[0]?.view,
          hint: 'Apply the change with a migration or SchemaService.apply.',
        },
      );
    }
  }

  async generateMigration(
    options: MigrationOptions & PlanPolicy,
  ): Promise<MigrationFile | undefined> {
    const { name, timestamp, language, module, ...policy } = options;
    const { plan, checks } = await this.synchronizer.inspectForMigration(this.policy(policy));
    return plan.steps.length === 0
      ? undefined
      : writeMigration(plan, checks, {
          name,
          timestamp,
          language,
          module,
          stateSchema: this.context.options.stateSchema,
        });
  }

  async alterTable<T>(
    table: EntityTarget<ObjectLiteral>,
    work: (queryRunner: QueryRunner) => Promise<T>,
    options: Pick<AlterTableOptions, 'unmanagedDependents'>,
  ): Promise<T> {
    const { stateSchema, syncPolicy } = this.context.options;
    const { unmanagedDependents = syncPolicy.unmanagedDependents } = options;
    const queryRunner = this.context.typeOrm.createQueryRunner();
    try {
      return await alterTable(queryRunner, table, () => work(queryRunner), {
        unmanagedDependents,
        stateSchema,
      });
    } finally {
      await queryRunner.release();
    }
  }

  async drop(view: ViewDefinition): Promise<void> {
    await this.dropViews([view], (others) => {
      throw new SchemaSyncError(
        `Cannot drop "${viewName(view)}": it is held by ${describeHolders(others)} too. Nothing has been changed.`,
        { view: viewName(view), hint: 'Drop it by hand when no other application needs it.' },
      );
    });
  }

  async dropAll(): Promise<void> {
    await this.dropViews(this.context.views.all(), (others, view) =>
      this.context.log.warn(
        `SchemaService.dropAll leaves ${view.kind.noun} "${viewName(view)}": it is held by ${describeHolders(others)} too`,
      ),
    );
  }

  registered(): string[] {
    return this.context.views.all().map(viewName);
  }

  async definition(view: ViewDefinition): Promise<string | undefined> {
    const { views } = await this.synchronizer.read();
    return views.get(viewName(view))?.row.definition;
  }

  async dependencies(view: ViewDefinition): Promise<string[]> {
    const { dependents } = await this.synchronizer.read();
    return [...dependents]
      .filter(([, above]) => above.includes(viewName(view)))
      .map(([source]) => source);
  }

  async dependents(view: ViewDefinition): Promise<string[]> {
    const { dependents } = await this.synchronizer.read();
    return dependents.get(viewName(view)) ?? [];
  }

  async order(): Promise<string[]> {
    const state = await this.synchronizer.read();
    const declared = new Set(this.registered());
    const all = [...state.views.values()].map((deployed) => ({ deployed }));
    return inOldOrder(all, state)
      .map(({ deployed }) => displayName(deployed.name))
      .filter((name) => declared.has(name));
  }

  private policy(options: PlanPolicy): SyncPolicy {
    const { syncPolicy } = this.context.options;
    return {
      synchronize: true,
      onDrift: 'apply',
      onMissingTable: options.onMissingTable ?? syncPolicy.onMissingTable,
      unmanagedDependents: options.unmanagedDependents ?? syncPolicy.unmanagedDependents,
      rebuildStrategy: options.rebuildStrategy ?? syncPolicy.rebuildStrategy,
      prune: options.prune ?? syncPolicy.prune,
    };
  }

  /** @param onHeld called for each that other applications hold, and that stays */
  private async dropViews(
    views: readonly ViewDefinition[],
    onHeld: (others: string[], view: ViewDefinition) => void,
  ): Promise<void> {
    const { stateSchema, lockTimeoutMs } = this.context.options;
    const names = views.map(({ name }) => name);
    const dropped = await this.synchronizer.locked(async (session) => {
      const state = await readSteadily(session, stateSchema, names);
      const held = this.heldByOthers(views, state, onHeld);
      const own = views.filter((view) => !held.has(view));
      const deployed = own.map((view) => ({ deployed: managed(view, state) }));
      const going = inOldOrder(deployed, state)
        .map(({ deployed: each }) => each)
        .reverse();
      const dependents = dependentsLeft(going, state, new Set(own.map(viewName)));
      refuseToDrop(
        own.map(({ name }) => name),
        dependents,
        SchemaSyncError,
      );
      for (const { kind, name } of going) {
        await session.query(dropView(kind, name));
        await session.query(deleteKnownView(stateSchema, name));
      }
      await removeSuperfluousCaptures(session, stateSchema, lockTimeoutMs);
      return going;
    });
    for (const { kind, name } of dropped) {
      this.context.log.warn(`${sentenceCase(kind.noun)} "${displayName(name)}" was dropped`);
    }
  }

  private heldByOthers(
    views: readonly ViewDefinition[],
    state: DatabaseState,
    onHeld: (others: string[], view: ViewDefinition) => void,
  ): Set<ViewDefinition> {
    return new Set(
      views.filter((view) => {
        const isThere = managed(view, state) !== undefined;
        const known = isThere ? state.known.get(viewName(view)) : undefined;
        const others = otherHolders(known, this.context.application);
        if (others.length > 0) {
          onHeld(others, view);
        }
        return others.length > 0;
      }),
    );
  }
}

/** The view that is there, unless somebody has put one of another kind in its place by hand. */
function managed(view: ViewDefinition, { views, known }: DatabaseState): DeployedView | undefined {
  const deployed = views.get(viewName(view));
  return deployed && isManagedAs(view, deployed, known.get(viewName(view))) ? deployed : undefined;
}

function otherDifference(difference: SchemaDiff['others'][number]): SchemaDifference[] {
  const description = describeOfAspect(difference);
  return description === undefined || difference.subject === undefined
    ? []
    : [
        {
          view: displayName(difference.subject),
          kind: difference.kind as ReportedKind,
          description,
        },
      ];
}

function isTold(member: ClosureMember, { views }: SchemaDiff): boolean {
  return views.some((diff) => diff.view === member.definition && hasFailingQuery(diff));
}

/** Of which the diff says so already. */
function lacksTable(view: string | undefined, { views }: SchemaDiff): boolean {
  return views.some(
    (diff) =>
      viewName(diff.view) === view && diff.differences.some(({ kind }) => kind === 'table-missing'),
  );
}

/** A query that fails once views below it are as declared, or that no view has yet. */
function failureDifference({ member, cause }: StandInError): SchemaDifference {
  return {
    view: displayName(member.name),
    kind: 'query-fails',
    description: member.definition
      ? describeFailure(member.definition, cause)
      : `it cannot be made again on the new definitions below it: ${codeAndMessageOf(cause)}`,
  };
}

function refusedDifference({ view, message }: MaterializedViewError): SchemaDifference {
  return {
    view: view ?? '',
    kind: 'refused',
    description: message.replace(' Nothing has been changed.', ''),
  };
}
