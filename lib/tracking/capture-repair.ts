import type { ViewDefinition } from '../definition/view-definition.js';
import { type CaptureNeeds, readCaptureNeeds } from './capture-needs.js';
import type { WakeUp } from '../definition/module.options.js';
import { syncLockKey } from '../postgres/advisory-lock.js';
import { tryLock, type TryLockRow } from '../postgres/advisory-lock.sql.js';
import { type CapturedTableRow, selectCapturedTables } from '../postgres/capture.sql.js';
import { type QualifiedName, rowName } from '../postgres/identifier.js';
import { INSTALLATION_VERSION } from '../postgres/installation.sql.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { type KnownViewRow, selectKnownViews } from '../postgres/state.sql.js';
import { selectWakeUpTrigger, type WakeUpTriggerRow } from '../postgres/wake-up.sql.js';
import { captureDifferences, type CaptureState, diffCaptures } from './capture-diff.js';
import { type CaptureChanges, captureStepsOf, uncapturedTables } from './capture-steps.js';
import { readInstalledVersion } from '../postgres/installed-version.js';
import {
  briefForCaptures,
  longForCaptures,
  type Patience,
  patiently,
} from '../postgres/lock-attempts.js';

/** The tables whose changes the given views need and that are not captured, or not completely. */
export async function readUncaptured(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<QualifiedName[]> {
  const isInstalled = (await readInstalledVersion(session, stateSchema)) >= INSTALLATION_VERSION;
  if (!isInstalled) {
    return [];
  }
  const { needs, state } = await readTracking(session, stateSchema);
  return uncapturedTables(views.flatMap((view) => captureDifferences(view, needs, state, false)));
}

/** Another process has the sync lock: it makes or changes views, and these triggers with them. */
export class SyncLockTaken extends Error {}

/**
 * Captures one table.
 *
 * @returns whether it did; `false` when somebody else has captured the table already
 * @throws SyncLockTaken
 */
export async function captureTable(
  session: Session,
  stateSchema: string,
  table: QualifiedName,
  lockTimeoutMs: number,
): Promise<boolean> {
  await beAlone(session);
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  const row = captured.find(
    ({ schema_name, table_name }) => schema_name === table.schema && table_name === table.name,
  );
  if (row?.is_complete) {
    return false;
  }
  const changes = row === undefined ? { missing: [table] } : { changed: [table] };
  await change(session, stateSchema, changes, [lockTimeoutMs, briefForCaptures(lockTimeoutMs)]);
  return true;
}

export interface FinishOptions {
  stateSchema: string;
  /** Whether triggers that no view needs may be dropped. */
  removes: boolean;
  wakeUp: WakeUp;
  lockTimeoutMs: number;
}

/**
 * Does what a boot put off apart from capturing tables: drops superfluous triggers, and makes or drops the one that
 * notifies.
 *
 * @throws SyncLockTaken
 */
export async function finishCaptures(
  session: Session,
  { stateSchema, removes, wakeUp, lockTimeoutMs }: FinishOptions,
): Promise<void> {
  await beAlone(session);
  const [wakeUpTrigger] = await session.query<WakeUpTriggerRow>(selectWakeUpTrigger(stateSchema));
  const { needs, state } = await readTracking(session, stateSchema);
  const diff = diffCaptures(needs, { ...state, wakeUpTrigger }, wakeUp);
  const changes = { superfluous: removes ? diff.superfluous : [], wakeUp: diff.wakeUp };
  await change(session, stateSchema, changes, [lockTimeoutMs, briefForCaptures(lockTimeoutMs)]);
}

/** Drops the triggers of all tables whose changes no remembered view needs. Waits long for their locks. */
export async function removeSuperfluousCaptures(
  session: Session,
  stateSchema: string,
  lockTimeoutMs: number,
): Promise<void> {
  const { needs, state } = await readTracking(session, stateSchema);
  const { superfluous } = diffCaptures(needs, state, 'poll');
  await change(session, stateSchema, { superfluous }, [
    lockTimeoutMs,
    longForCaptures(lockTimeoutMs),
  ]);
}

/** What is captured, and what is needed by what the database remembers of views. */
async function readTracking(
  session: Session,
  stateSchema: string,
): Promise<{ needs: CaptureNeeds; state: CaptureState }> {
  const rows = await session.query<KnownViewRow>(selectKnownViews(stateSchema));
  const known = new Map(rows.map((row) => [rowName(row), row]));
  // Not what this process declares: a newer release may need that no more, and has told the database so.
  const needs = await readCaptureNeeds(session, {
    definitions: [],
    known,
    mayNarrow: false,
    gone: new Set(),
    standIns: [],
  });
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  return { needs, state: { captured, known } };
}

async function beAlone(session: Session): Promise<void> {
  const [lock] = await session.query<TryLockRow>(tryLock(syncLockKey()));
  if (!lock?.acquired) {
    throw new SyncLockTaken();
  }
}

async function change(
  session: Session,
  stateSchema: string,
  changes: CaptureChanges,
  [lockTimeoutMs, patience]: [number, Patience],
): Promise<void> {
  for (const { statements } of captureStepsOf(changes, stateSchema)) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, patience);
  }
}
