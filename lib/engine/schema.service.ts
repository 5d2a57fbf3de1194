import type { EntityTarget, ObjectLiteral, QueryRunner } from 'typeorm';
import { type DeclaredView, declaredView } from '../definition/declared-view.js';
import type { DataSourceSelector } from '../definition/data-source-selector.js';
import { checkOptions, dataSourceOptions } from '../definition/option-rules.js';
import type { ViewTarget } from '../definition/view.registry.js';
import type { InspectedView } from '../introspection/inspected-view.js';
import type { MigrationFile, MigrationOptions } from '../schema/migration-writer.js';
import {
  alterTableOptions,
  type AlterTableServiceOptions,
  aPlan,
  dataSourceOf,
  migrationOptions,
  planOptions,
  type PlanOptions,
} from '../schema/schema-options.js';
import type { Schema, SchemaDifference } from '../schema/schema.js';
import type { SchemaPlan } from '../schema/schema-plan.js';
import type { SyncReport } from '../schema/sync-report.js';
import type { ManagedDataSources } from './managed-data-sources.js';
import {
  answerTimeoutMs,
  type DeclaredQuery,
  declaredQuery,
  type InspectQuery,
  inspectQuery,
} from './status-queries.js';

/** Compares the database with the code, and changes it. */
export class SchemaService {
  constructor(private readonly sources: ManagedDataSources) {}

  /**
   * What differs between code and database; empty when nothing does. Views that differ are locked for some
   * milliseconds while PostgreSQL is asked.
   */
  async diff(options: PlanOptions = {}): Promise<SchemaDifference[]> {
    checkOptions('SchemaService.diff', planOptions, options);
    return this.schemaOf(options).diff(options);
  }

  /**
   * What would be done to make the database as declared, step by step, whatever the policy at boot is.
   *
   * @throws UnmanagedDependentsError when something that is not the library's stands in the way
   * @throws SchemaSyncError when a declared query fails
   */
  async plan(options: PlanOptions = {}): Promise<SchemaPlan> {
    checkOptions('SchemaService.plan', planOptions, options);
    return this.schemaOf(options).plan(options);
  }

  /**
   * Carries a plan out, in one transaction: whole, or not at all.
   *
   * @throws PlanOutdatedError when database or code are not as they were when the plan was made
   */
  async apply(plan: SchemaPlan): Promise<SyncReport> {
    checkOptions('SchemaService.apply', aPlan, plan);
    return this.schemaOf(plan).apply(plan);
  }

  /** @throws SchemaDriftError naming all differences, when there are any; orphans do not count */
  async verify(options: DataSourceSelector = {}): Promise<void> {
    checkOptions('SchemaService.verify', dataSourceOptions, options);
    await this.schemaOf(options).verify();
  }

  /**
   * Writes a migration of TypeORM that makes the database as declared, with a way back that restores the
   * previous definitions with indexes, grants and comments. What has been given to the views when it runs, as a grant
   * or an index, is kept in both directions. When something that it replaces is gone by then, or was changed, it stops
   * before it changes anything, and says what it found.
   *
   * @returns `undefined` when there is nothing to do
   */
  async generateMigration(
    options: MigrationOptions & PlanOptions,
  ): Promise<MigrationFile | undefined> {
    checkOptions('SchemaService.generateMigration', migrationOptions, options);
    return this.schemaOf(options).generateMigration(options);
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
    return this.schemaOf(options).alterTable(table, work, options);
  }

  /**
   * Drops one view and forgets its state; its history stays. The next boot makes it again, unless its
   * class is gone.
   *
   * @throws SchemaSyncError naming what depends on it, declared views too, or another application that holds it
   */
  async drop(view: ViewTarget, options: DataSourceSelector = {}): Promise<void> {
    checkOptions('SchemaService.drop', dataSourceOptions, options);
    const { source, view: found } = this.sources.find(view, options.dataSource);
    await source.schema.drop(found);
  }

  /**
   * Drops all declared views of a data source, and no other. Their history stays. Views that another application holds stay too, with a
   * warning.
   *
   * @throws SchemaSyncError naming what else depends on them
   */
  async dropAll(options: DataSourceSelector = {}): Promise<void> {
    checkOptions('SchemaService.dropAll', dataSourceOptions, options);
    await this.schemaOf(options).dropAll();
  }

  /** The declared views, as `schema.name`. */
  registered(options: DataSourceSelector = {}): string[] {
    checkOptions('SchemaService.registered', dataSourceOptions, options);
    return this.schemaOf(options).registered();
  }

  /**
   * How the registered materialized views are refreshed, as their classes say. It asks no database.
   *
   * @throws UnknownViewError when the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   */
  declared(options: DeclaredQuery = {}): DeclaredView[] {
    checkOptions('SchemaService.declared', declaredQuery, options);
    const { views, dataSource, tickCount = 0 } = options;
    return this.sources
      .materialized(dataSource, views)
      .map(({ source, view }) => declaredView(view, { dataSource: source.name, tickCount }));
  }

  /** The definition that the database has of a view, as PostgreSQL writes it; `undefined` when there is none. */
  async definition(
    view: ViewTarget,
    options: DataSourceSelector = {},
  ): Promise<string | undefined> {
    checkOptions('SchemaService.definition', dataSourceOptions, options);
    const { source, view: found } = this.sources.find(view, options.dataSource);
    return source.schema.definition(found);
  }

  /** The views that a view reads directly, by the catalog. */
  async dependencies(view: ViewTarget, options: DataSourceSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.dependencies', dataSourceOptions, options);
    const { source, view: found } = this.sources.find(view, options.dataSource);
    return source.schema.dependencies(found);
  }

  /** The views that read a view directly, by the catalog: also those that nobody declares. */
  async dependents(view: ViewTarget, options: DataSourceSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.dependents', dataSourceOptions, options);
    const { source, view: found } = this.sources.find(view, options.dataSource);
    return source.schema.dependents(found);
  }

  /** The declared views that are there, each after all that it reads. */
  async order(options: DataSourceSelector = {}): Promise<string[]> {
    checkOptions('SchemaService.order', dataSourceOptions, options);
    return this.schemaOf(options).order();
  }

  /**
   * All views of the database, or of one schema, as the catalog has them: declared or not, materialized or plain, but
   * for those of extensions. Each comes after all that it reads. It takes the same few statements however many views
   * there are, waits for no refresh, and reads no rows of theirs.
   *
   * @throws UnknownViewError when no view is registered in `dataSource`
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the catalog cannot be read within `timeout` (default 5 s)
   * @example
   * ```ts
   * const views = await this.schema.inspect({ schema: 'analytics' });
   * const unused = views.flatMap(({ indexes }) => indexes.filter(({ scanCount }) => scanCount === 0));
   * ```
   */
  async inspect(options: InspectQuery = {}): Promise<InspectedView[]> {
    checkOptions('SchemaService.inspect', inspectQuery, options);
    const { catalog } = this.sources.get(dataSourceOf(options));
    return catalog.inspect(options.schema, answerTimeoutMs(options));
  }

  private schemaOf(options: DataSourceSelector): Schema {
    return this.sources.get(dataSourceOf(options)).schema;
  }
}
