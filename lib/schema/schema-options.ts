import {
  aBoolean,
  aCount,
  aDataSource,
  anIdentifier,
  matching,
  objectOf,
  oneOf,
  type Rules,
} from '../definition/option-rules.js';
import type { DataSourceSelector } from '../definition/data-source-selector.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import { MODULE_RULES, type SyncPolicy } from '../definition/module.options.js';
import type { AlterTableOptions } from './alter-table.js';
import type { MigrationOptions } from './migration-writer.js';
import type { SchemaPlan } from './schema-plan.js';

/** What a plan may do. */
export interface PlanPolicy {
  /**
   * Whether to drop views that the library created and no class declares. @default as in the module's
   * options
   */
  prune?: boolean;
  /** @default as in the module's options */
  unmanagedDependents?: SyncPolicy['unmanagedDependents'];
  /** @default as in the module's options */
  rebuildStrategy?: SyncPolicy['rebuildStrategy'];
  /** @default as in the module's options */
  onMissingTable?: SyncPolicy['onMissingTable'];
  /** Only the views of this schema, and for a change those that read them. @default all */
  schema?: string;
}

export interface PlanOptions extends DataSourceSelector, PlanPolicy {}

const schemaRules: Rules<DataSourceSelector> = { dataSource: aDataSource };

const planRules: Rules<PlanOptions> = {
  ...schemaRules,
  prune: aBoolean,
  unmanagedDependents: MODULE_RULES.unmanagedDependents,
  rebuildStrategy: MODULE_RULES.rebuildStrategy,
  onMissingTable: MODULE_RULES.onMissingTable,
  schema: anIdentifier,
};

/** The options of `SchemaService.diff` and `plan`. */
export const planOptions = objectOf(planRules);

/** The options of `SchemaService.generateMigration`. */
export const migrationOptions = objectOf<MigrationOptions & PlanOptions>(
  {
    ...planRules,
    name: matching(
      'the name of a class, as in `ChangeDailyRevenue` or `change-daily-revenue`',
      (value) => typeof value === 'string' && /^[a-z][a-z0-9]*(?:[-_ ][a-z0-9]+)*$/i.test(value),
    ),
    timestamp: aCount(1),
    language: oneOf('ts', 'js'),
    module: oneOf('esm', 'cjs'),
  },
  ['name'],
);

/** The options of `SchemaService.alterTable`. */
export const alterTableOptions = objectOf<AlterTableServiceOptions>({
  ...schemaRules,
  unmanagedDependents: MODULE_RULES.unmanagedDependents,
});

/** What `SchemaService.alterTable` accepts. */
export type AlterTableServiceOptions = DataSourceSelector &
  Pick<AlterTableOptions, 'unmanagedDependents'>;

/**
 * Whether this looks like a result of `SchemaService.plan`. Whether it is still right is checked under the
 * lock.
 */
export const aPlan = matching('a plan that `SchemaService.plan` returned', (value) => {
  const { dataSource, policy, steps } = (value ?? {}) as Partial<SchemaPlan>;
  return typeof dataSource === 'string' && typeof policy === 'object' && Array.isArray(steps);
});

/** The data source that is meant. */
export function dataSourceOf({ dataSource = DEFAULT_DATA_SOURCE }: DataSourceSelector): string {
  return dataSource;
}
