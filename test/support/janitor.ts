import type { Client } from 'pg';
import { compactChanges, selectCrowdedSources } from '../../lib/postgres/change-log.sql.js';

/** Compacts the log of each source with more than this many rows; returns the number of sources. */
export async function compact(
  session: Client,
  stateSchema: string,
  limit: number,
): Promise<number> {
  const crowded = selectCrowdedSources(stateSchema, limit);
  const { rows } = await session.query<{ source: string }>(crowded.text, crowded.values);
  for (const { source } of rows) {
    const options = { source, fromXid: '0', batchSize: 1_000 };
    const { text, values } = compactChanges(stateSchema, options);
    await session.query(text, values);
  }
  return rows.length;
}
