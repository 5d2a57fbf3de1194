import { readCaptureNeeds } from '../freshness/capture-needs.js';
import { type CapturedTableRow, selectCapturedTables } from '../postgres/capture.sql.js';
import { rowName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { type KnownViewRow, selectKnownViews } from '../postgres/state.sql.js';
import { withCaptures } from './capture-diff.js';
import { captureSteps } from './capture-steps.js';
import { longForCaptures, patiently } from './lock-attempts.js';

/** Takes the triggers off all tables of which no view that is remembered needs to know the changes. */
export async function removeSuperfluousCaptures(
  session: Session,
  stateSchema: string,
  lockTimeoutMs: number,
): Promise<void> {
  const known = await session.query<KnownViewRow>(selectKnownViews(stateSchema));
  const byName = new Map(known.map((row) => [rowName(row), row]));
  const needs = await readCaptureNeeds(session, {
    definitions: [],
    known: byName,
    mayNarrow: true,
    gone: new Set(),
    standIns: [],
    skipsMissing: true,
  });
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  const nothing = { views: [], orphans: [], missingSchemas: [], superfluousCaptures: [] };
  const diff = withCaptures(nothing, needs, { captured, known: byName }, true);
  for (const { statements } of captureSteps(diff, stateSchema)) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, longForCaptures(lockTimeoutMs));
  }
}
