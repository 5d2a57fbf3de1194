import { Inject, Injectable } from '@nestjs/common';
import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { checkOptions } from '../definition/option-rules.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaDriftError } from '../errors/schema.errors.js';
import type { SyncPolicy } from '../materialized-views.options.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { displayName } from '../postgres/identifier.js';
import { deleteKnownView } from '../postgres/state.sql.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import { WAKE_UP_TABLE } from '../postgres/wake-up.sql.js';
import { alterTable } from './alter-table.js';
import { removeSuperfluousCaptures } from './capture-removal.js';
import { describeWakeUp } from './capture-steps.js';
import type { DatabaseState } from './database-state.js';
import { type MigrationFile, type MigrationOptions, writeMigration } from './migration-writer.js';
import { inOldOrder } from './replacement.js';
import type { Difference, WakeUpDifference } from './schema-diff.js';
import {
  alterTableOptions,
  type AlterTableServiceOptions,
  aPlan,
  dataSourceOf,
  migrationOptions,
  planOptions,
  type PlanOptions,
  schemaOptions,
  type SchemaOptions,
} from './schema-options.js';
import type { SchemaPlan } from './schema-plan.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import { describeDifference } from './sync-policy.js';
import type { SyncReport } from './sync-report.js';

/** One way in which the database is not what the code declares. */
export interface SchemaDifference {
  /** `schema.name`; that of a table where its capture is superfluous, or how it wakes processes up is not as set. */
  view: string;
  kind: Difference['kind'] | 'orphan' | 'capture-superfluous' | 'wake-up';
  /** The same in words. */
  description: string;
}

/** Compares the database with the code, and changes it. */
@Injectable()
export class SchemaService {
  constructor(
    @Inject(SchemaSynchronizer) private readonly synchronizer: SchemaSynchronizer,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  /**
   * What differs between code and database; empty when nothing does. Views that differ are locked for some
   * milliseconds while PostgreSQL is asked.
   */
  async diff(options: PlanOptions = {}): Promise<SchemaDifference[]> {
    checkOptions('SchemaService.diff', planOptions, options);
    const { diff } = await this.synchronizer.inspect(dataSourceOf(options), this.policy(options));
    return [
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
        description: 'no class declares it any more',
      })),
      ...diff.superfluousCaptures.map((table) => ({
        view: displayName(table),
        kind: 'capture-superfluous' as const,
        description: 'its changes are captured, and no view needs them any more',
      })),
      ...(diff.wakeUp === undefined ? [] : [this.wakeUpDifference(diff.wakeUp)]),
    ];
  }

  /**
   * What would be done to make the database as declared, step by step, whatever the policy at boot is.
   *
   * @throws UnmanagedDependentsError when something that is not the library's stands in the way
   * @throws SchemaSyncError when a declared query fails
   */
  async plan(options: PlanOptions = {}): Promise<SchemaPlan> {
    checkOptions('SchemaService.plan', planOptions, options);
    const { plan } = await this.synchronizer.inspect(dataSourceOf(options), this.policy(options));
    return plan;
  }

  /**
   * Carries a plan out, in one transaction: whole, or not at all.
   *
   * @throws PlanOutdatedError when database or code are not as they were when the plan was made
   */
  async apply(plan: SchemaPlan): Promise<SyncReport> {
    checkOptions('SchemaService.apply', aPlan, plan);
    const { report } = await this.synchronizer.carryOut(plan.dataSource, plan.policy, plan);
    return report;
  }

  /** @throws SchemaDriftError naming all differences, when there are any; orphans do not count */
  async verify(options: SchemaOptions = {}): Promise<void> {
    checkOptions('SchemaService.verify', schemaOptions, options);
    const differences = (await this.diff(options)).filter(({ kind }) => kind !== 'orphan');
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

  /**
   * Writes a migration of TypeORM that makes the database as declared, with a way back that restores the
   * previous definitions with indexes, grants and comments.
   *
   * @returns `undefined` when there is nothing to do
   */
  async generateMigration(
    options: MigrationOptions & PlanOptions,
  ): Promise<MigrationFile | undefined> {
    checkOptions('SchemaService.generateMigration', migrationOptions, options);
    const { name, timestamp, language, module, ...planned } = options;
    const plan = await this.plan(planned);
    return plan.steps.length === 0
      ? undefined
      : writeMigration(plan, { name, timestamp, language, module });
  }

  /**
   * Changes a table in a way that PostgreSQL forbids while views read it: see `alterTable`, which does the
   * same with a query runner, in a migration.
   *
   * @param work runs on a query runner of the application's own pool, in the one transaction
   */
  async alterTable<T>(
    table: EntityTarget<ObjectLiteral>,
    work: (queryRunner: QueryRunner) => Promise<T>,
    options: AlterTableServiceOptions = {},
  ): Promise<T> {
    checkOptions('SchemaService.alterTable', alterTableOptions, options);
    const { stateSchema, syncPolicy } = this.registrations.options;
    const { unmanagedDependents = syncPolicy.unmanagedDependents } = options;
    const queryRunner = this.dataSources.typeOrm(dataSourceOf(options)).createQueryRunner();
    try {
      return await alterTable(queryRunner, table, () => work(queryRunner), {
        unmanagedDependents,
        stateSchema,
      });
    } finally {
      await queryRunner.release();
    }
  }

  /**
   * Drops one view and forgets its state; its history stays. The next boot makes it again, unless its
   * class is gone.
   *
   * @throws SchemaSyncError when anything depends on it
   */
  async drop(view: ViewTarget, options: SchemaOptions = {}): Promise<void> {
    checkOptions('SchemaService.drop', schemaOptions, options);
    const definition = this.definitions.get(view, options.dataSource);
    await this.dropAll(definition.dataSourceName, [definition]);
  }

  /** Drops all declared views of a data source, and no other. Their history stays. */
  async clear(options: SchemaOptions = {}): Promise<void> {
    checkOptions('SchemaService.clear', schemaOptions, options);
    const dataSource = dataSourceOf(options);
    await this.dropAll(dataSource, this.viewsOf(dataSource));
  }

  /** The declared views, as `schema.name`. */
  registered(options: SchemaOptions = {}): string[] {
    checkOptions('SchemaService.registered', schemaOptions, options);
    return this.viewsOf(dataSourceOf(options)).map(viewName);
  }

  /** The definition that the database has of a view, as PostgreSQL writes it; `undefined` when there is none. */
  async definition(view: ViewTarget, options: SchemaOptions = {}): Promise<string | undefined> {
    checkOptions('SchemaService.definition', schemaOptions, options);
    const { name, state } = await this.lookUp(view, options);
    return state.views.get(name)?.row.definition;
  }

  /** The views that a view reads directly, by the catalog. */
  async dependencies(view: ViewTarget, options: SchemaOptions = {}): Promise<string[]> {
    checkOptions('SchemaService.dependencies', schemaOptions, options);
    const { name, state } = await this.lookUp(view, options);
    return [...state.dependents]
      .filter(([, dependents]) => dependents.includes(name))
      .map(([source]) => source);
  }

  /** The views that read a view directly, by the catalog: also those that nobody declares. */
  async dependents(view: ViewTarget, options: SchemaOptions = {}): Promise<string[]> {
    checkOptions('SchemaService.dependents', schemaOptions, options);
    const { name, state } = await this.lookUp(view, options);
    return state.dependents.get(name) ?? [];
  }

  /** The declared views that are there, each after all that it reads. */
  async order(options: SchemaOptions = {}): Promise<string[]> {
    checkOptions('SchemaService.order', schemaOptions, options);
    const dataSource = dataSourceOf(options);
    const state = await this.synchronizer.read(dataSource);
    const declared = new Set(this.viewsOf(dataSource).map(viewName));
    const all = [...state.views.values()].map((deployed) => ({ deployed }));
    return inOldOrder(all, state)
      .map(({ deployed }) => displayName(deployed.name))
      .filter((name) => declared.has(name));
  }

  private wakeUpDifference({ wanted }: WakeUpDifference): SchemaDifference {
    const { stateSchema } = this.registrations.options;
    return {
      view: displayName({ schema: stateSchema, name: WAKE_UP_TABLE }),
      kind: 'wake-up',
      description: describeWakeUp(wanted),
    };
  }

  private viewsOf(dataSource: string): ViewDefinition[] {
    this.dataSources.require(dataSource);
    return this.synchronizer.viewsOf(dataSource);
  }

  private policy(options: PlanOptions): SyncPolicy {
    const { syncPolicy } = this.registrations.options;
    return {
      synchronize: true,
      onChange: 'apply',
      onMissingTable: options.onMissingTable ?? syncPolicy.onMissingTable,
      unmanagedDependents: options.unmanagedDependents ?? syncPolicy.unmanagedDependents,
      changeStrategy: options.changeStrategy ?? syncPolicy.changeStrategy,
      prune: options.prune ?? syncPolicy.prune,
    };
  }

  private async lookUp(
    view: ViewTarget,
    options: SchemaOptions,
  ): Promise<{ name: string; state: DatabaseState }> {
    const definition = this.definitions.get(view, options.dataSource);
    const state = await this.synchronizer.read(definition.dataSourceName);
    return { name: viewName(definition), state };
  }

  private async dropAll(dataSource: string, views: ViewDefinition[]): Promise<void> {
    const { stateSchema, lockTimeoutMs } = this.registrations.options;
    const state = await this.synchronizer.read(dataSource);
    await this.synchronizer.locked(dataSource, async (session) => {
      const deployed = views.map((view) => ({ view, deployed: state.views.get(viewName(view)) }));
      for (const { member } of inOldOrder(deployed, state).reverse()) {
        await session.query(dropView('m', member.view.name));
        await session.query(deleteKnownView(stateSchema, member.view.name));
      }
      await removeSuperfluousCaptures(session, stateSchema, lockTimeoutMs);
    });
  }
}
