import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import type { DataSourceContext } from '../definition/data-source.context.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaDriftError, SchemaSyncError } from '../errors/schema.errors.js';
import { UnknownViewError } from '../errors/usage.errors.js';
import { displayName, isInSchema } from '../postgres/identifier.js';
import { bootAdded } from './added-views.js';
import { BatchedCreation } from './batched-creation.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import { alterTable, type AlterTableOptions } from './alter-table.js';
import { withDeclaredDependencies, withDependents } from './database-state.js';
import { contextOfSome } from './scoped-context.js';
import { describeHolders } from './holders.js';
import { type MigrationFile, type MigrationOptions, writeMigration } from './migration-writer.js';
import { unscheduleRemoved } from './removed-views.js';
import { SchemaBoot } from './schema.boot.js';
import { type SchemaDifference, schemaDifferences } from './schema-difference.js';
import type { PlanPolicy } from './schema-options.js';
import type { SchemaPlan } from './schema-plan.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import type { SyncReport } from './sync-report.js';
import { ViewDropper } from './view-dropper.js';
import { inOldOrder } from './view-order.js';

/** The schema of one data source: compares the database with the code, and changes it. */
export class Schema {
  private readonly synchronizer: SchemaSynchronizer;
  private readonly starter: SchemaBoot;
  private readonly dropper: ViewDropper;

  constructor(
    private readonly context: DataSourceContext,
    private readonly captures: CaptureKeeper,
  ) {
    this.synchronizer = new SchemaSynchronizer(context);
    this.starter = new SchemaBoot(context, this.synchronizer, captures);
    this.dropper = new ViewDropper(context, this.synchronizer);
  }

  /** What a booting process does, by the option `synchronize`. */
  async boot(): Promise<void> {
    await this.starter.boot();
  }

  /**
   * Call it first in a process that doesn't boot: reading another role's table may run that role's code.
   *
   * @throws ForeignStateSchemaError if another role owns any of the state schema
   */
  async refuseForeignState(): Promise<void> {
    await this.starter.refuseForeignState();
  }

  /** Does what a boot does, only for views added since: see `bootAdded`. */
  async bootAdded(views: readonly ViewDefinition[]): Promise<void> {
    await bootAdded(this.context, this.captures, views);
  }

  /** What is to be done in the database as soon as these views are declared no more. */
  async leave(views: readonly ViewDefinition[]): Promise<void> {
    await unscheduleRemoved(this.context, views);
  }

  async diff(policy: PlanPolicy): Promise<SchemaDifference[]> {
    const { schema } = policy;
    const synchronizer = await this.only(schema);
    const differences = schemaDifferences(await synchronizer.inspect(this.policy(policy)));
    return differences.filter(({ view }) => isInSchema(view, schema));
  }

  async plan(policy: PlanPolicy): Promise<SchemaPlan> {
    return (await this.only(policy.schema)).plan(this.policy(policy));
  }

  async apply(plan: SchemaPlan): Promise<SyncReport> {
    const synchronizer = await this.only(plan.policy.schema);
    const { report } = await synchronizer.carryOut(plan.policy, plan);
    return report;
  }

  /**
   * Plans and applies, after `approve` has seen the plan. If the server has no room for all locks, new views come first,
   * in batches.
   */
  async sync(
    options: PlanPolicy,
    approve: (plan: SchemaPlan) => Promise<void>,
  ): Promise<SyncReport> {
    const context = await this.contextOf(options.schema);
    const synchronizer = new SchemaSynchronizer(context);
    const policy = this.policy(options);
    return BatchedCreation.before({ context, policy, synchronizer }, async (made) => {
      const plan = await synchronizer.plan(policy);
      await approve(plan);
      const { report } = await synchronizer.carryOut(policy, plan, made);
      return report;
    });
  }

  async verify(): Promise<void> {
    const differences = (await this.diff({})).filter(({ kind }) => kind !== 'orphan');
    if (differences.length > 0) {
      const list = differences.map(({ view, description }) => `"${view}": ${description}`);
      throw new SchemaDriftError(`The database differs from the code: ${list.join('; ')}.`, {
        view: differences[0]?.view,
        hint: 'Apply the change with a migration or SchemaService.apply.',
      });
    }
  }

  async generateMigration(
    options: MigrationOptions & PlanPolicy,
  ): Promise<MigrationFile | undefined> {
    const { name, timestamp, language, module, ...policy } = options;
    const synchronizer = await this.only(policy.schema);
    const { plan, checks } = await synchronizer.inspectForMigration(this.policy(policy));
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
      return await this.context.locks.during(() =>
        alterTable(queryRunner, table, () => work(queryRunner), {
          unmanagedDependents,
          stateSchema,
        }),
      );
    } finally {
      await queryRunner.release();
    }
  }

  async drop(view: ViewDefinition): Promise<void> {
    await this.dropper.drop([view], (others) => {
      throw new SchemaSyncError(
        `Cannot drop "${viewName(view)}": it is held by ${describeHolders(others)} too. Nothing has been changed.`,
        { view: viewName(view), hint: 'Drop it by hand when no other application needs it.' },
      );
    });
  }

  async dropAll(): Promise<void> {
    await this.dropper.drop(this.context.views.all(), (others, view) =>
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
      ...(options.schema !== undefined && { schema: options.schema }),
    };
  }

  private async only(schema: string | undefined): Promise<SchemaSynchronizer> {
    return new SchemaSynchronizer(await this.contextOf(schema));
  }

  /**
   * For the views of one schema, and those that read them: these are rebuilt together.
   *
   * @throws UnknownViewError if nothing is or was declared in it
   */
  private async contextOf(schema: string | undefined): Promise<DataSourceContext> {
    if (schema === undefined) {
      return this.context;
    }
    const all = this.context.views.all();
    const state = withDeclaredDependencies(await this.synchronizer.read(), all);
    const own = all.filter(({ name }) => name.schema === schema);
    const wasDeclared = [...state.known.values()].some((row) => row.schema_name === schema);
    if (own.length === 0 && !wasDeclared) {
      throw new UnknownViewError(`No view is declared in schema "${schema}".`);
    }
    const names = own.flatMap(({ name, renamedFrom }) =>
      renamedFrom === undefined ? [name] : [name, renamedFrom],
    );
    const scope = withDependents(names.map(displayName), state);
    const some = all.filter((view) => own.includes(view) || scope.has(viewName(view)));
    return contextOfSome(this.context, some);
  }
}
