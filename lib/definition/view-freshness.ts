import { inspect } from 'node:util';
import { type Duration, durationMs } from './duration.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { QualifiedName } from '../postgres/identifier.js';
import type { SourceTable, ViewRefreshOptions } from './materialized-view-entity.options.js';
import { splitName } from './qualified-name.js';
import { DEFAULT_DEBOUNCE_MS, defaultMaxWaitMs } from './refresh-validation.js';
import type { ViewFreshness } from './view-definition.js';
import type { ViewSite } from './view-site.js';

/** What a view's options say about changes, with entities resolved to their tables. */
export function resolveFreshness(
  subject: string,
  refresh: ViewRefreshOptions | undefined,
  site: ViewSite,
): ViewFreshness | undefined {
  const { on, debounce, maxWait, maxStaleness } = refresh ?? {};
  const skipUnchanged = refresh?.skipUnchanged ?? maxStaleness !== undefined;
  if (on === undefined && !skipUnchanged && maxStaleness === undefined) {
    return undefined;
  }
  const tables = Array.isArray(on) ? on : [];
  return {
    readsSources: on === 'sources' || skipUnchanged || maxStaleness !== undefined,
    tables: tables.map((table) => tableName(subject, table, site)),
    skipsUnchanged: skipUnchanged,
    ...(on !== undefined && { onWrite: waits(debounce, maxWait) }),
    ...(maxStaleness !== undefined && { maxStalenessMs: durationMs(maxStaleness, 1) }),
  };
}

function waits(debounce?: Duration, maxWait?: Duration): NonNullable<ViewFreshness['onWrite']> {
  const debounceMs = durationMs(debounce, 0) ?? DEFAULT_DEBOUNCE_MS;
  return { debounceMs, maxWaitMs: durationMs(maxWait, 0) ?? defaultMaxWaitMs(debounceMs) };
}

function tableName(
  subject: string,
  table: SourceTable | string,
  { defaultSchema, dataSource, schemaOf }: ViewSite,
): QualifiedName {
  if (typeof table === 'string') {
    return splitName(table, defaultSchema);
  }
  if (!dataSource.hasMetadata(table)) {
    throw new InvalidDefinitionError(
      `${subject}: expected \`refresh.on\` to name entities of the view's data source, got ${nameOf(table)}, which is not among them.`,
      {
        hint: 'Add the class to the `entities` of the data source, or give the name of its table.',
      },
    );
  }
  const metadata = dataSource.getMetadata(table);
  return { schema: schemaOf(metadata), name: metadata.tableName };
}

function nameOf(table: SourceTable): string {
  const name = typeof table === 'function' ? table.name : table.options.name;
  return name || inspect(table);
}
