import type { INestApplicationContext } from '@nestjs/common';
import type { QueryRunner } from 'typeorm';
import { DEFAULT_DATA_SOURCE, type ViewDefinition } from '../definition/view-definition.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { createView, dropView, type NewView } from '../postgres/view-ddl.sql.js';
import { PLAIN } from '../postgres/view-kind.js';

/**
 * Replaces each materialized view with a plain view in the test's transaction, so that reads see each write at once.
 * The rollback restores the materialized views. Until then other sessions can't read them, so give each test process
 * its own database.
 *
 * @param app the application, or the testing module
 * @param queryRunner in a transaction that the test rolls back
 * @param dataSource the name of the data source. Default: 'default'
 * @throws InvalidOptionsError if there is no transaction
 */
export async function useLiveViews(
  app: INestApplicationContext,
  queryRunner: QueryRunner,
  dataSource: string = DEFAULT_DATA_SOURCE,
): Promise<void> {
  if (!queryRunner.isTransactionActive) {
    throw new InvalidOptionsError('useLiveViews: expected a query runner in a transaction.', {
      hint: 'Call `await queryRunner.startTransaction()` before, and `rollbackTransaction()` after the test.',
    });
  }
  const source = app.get(ManagedDataSources, { strict: false }).get(dataSource);
  const views: { view: ViewDefinition; definition: string }[] = [];
  for (const name of await source.schema.order()) {
    const view = source.views.named(name);
    const definition = view && (await source.schema.definition(view));
    if (view !== undefined && definition !== undefined) {
      views.push({ view, definition });
    }
  }
  // The definitions name each other, so all views are dropped before the first is recreated.
  for (const { view } of views.toReversed()) {
    await queryRunner.query(dropView(view.kind, view.name).text);
  }
  for (const { view, definition } of views) {
    await queryRunner.query(createView(plainView(view, definition)).text);
  }
}

function plainView({ name }: ViewDefinition, definition: string): NewView {
  return {
    name,
    kind: PLAIN,
    query: { text: definition, isDeclared: false },
    withData: true,
    accessMethod: null,
    storage: [],
    toastStorage: [],
    tablespace: null,
  };
}
