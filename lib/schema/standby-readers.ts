import type { ViewDefinition } from '../definition/view-definition.js';
import type { Database } from '../postgres/database.js';
import { displayNames } from '../postgres/identifier.js';
import { selectStandbys, type StandbysRow } from '../postgres/server.sql.js';

const TIMEOUT_MS = 2_000;

/** Whether each refresh locks the view against readers, as declared. */
export function stopsReaders({ refresh }: ViewDefinition): boolean {
  return refresh.mode === 'swap' || refresh.mode === 'blocking';
}

/** Best effort: nothing depends on it. */
export async function hasStandbys(database: Database): Promise<boolean> {
  try {
    const [row] = await database.reading(TIMEOUT_MS, (session) =>
      session.query<StandbysRow>(selectStandbys()),
    );
    return row?.has_standbys === true;
  } catch {
    return false;
  }
}

/** For the log. */
export function describeStandbyReaders(views: readonly ViewDefinition[]): string {
  return `Readers on standbys wait for refreshes of ${displayNames(views.map(({ name }) => name))}, or are cancelled: \`refresh.mode\` is 'swap' or 'blocking', which locks the view, and this server has standbys that replay the lock. Where they serve reads, use 'concurrently'.`;
}
