import type { ViewDefinition } from '../definition/view-definition.js';
import { readCaptureNeeds } from '../freshness/capture-needs.js';
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
import { withCaptures, withWakeUp } from './capture-diff.js';
import { type CaptureChanges, captureStepsOf, uncapturedTables } from './capture-steps.js';
import { readInstalledVersion } from './database-state.js';
import { briefForCaptures, patiently } from './lock-attempts.js';
import type { SchemaDiff } from './schema-diff.js';

const NOTHING: SchemaDiff = {
  views: [],
  orphans: [],
  missingSchemas: [],
  superfluousCaptures: [],
};

/** The tables whose changes the given views need and that are not captured, or not completely. */
export async function readUncaptured(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<QualifiedName[]> {
  const isInstalled = (await readInstalledVersion(session, stateSchema)) >= INSTALLATION_VERSION;
  return isInstalled ? uncapturedTables(await readCaptureDiff(session, stateSchema, views)) : [];
}

/**
 * Captures one table, if the sync lock is free.
 *
 * @returns whether it did; `false` when another process has the lock, or has captured the table already
 */
export async function captureTable(
  session: Session,
  stateSchema: string,
  table: QualifiedName,
  lockTimeoutMs: number,
): Promise<boolean> {
  if (!(await isAlone(session))) {
    return false;
  }
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  const row = captured.find(
    ({ schema_name, table_name }) => schema_name === table.schema && table_name === table.name,
  );
  if (row?.is_complete) {
    return false;
  }
  const changes = row === undefined ? { missing: [table] } : { changed: [table] };
  await change(session, stateSchema, changes, lockTimeoutMs);
  return true;
}

export interface FinishOptions {
  stateSchema: string;
  views: readonly ViewDefinition[];
  /** Whether tables may be captured. */
  creates: boolean;
  /** Whether triggers that no view needs may be dropped. */
  removes: boolean;
  wakeUp: WakeUp;
  lockTimeoutMs: number;
}

/**
 * Does what a boot put off apart from capturing tables, if the sync lock is free: drops superfluous triggers, and
 * makes or drops the one that notifies.
 *
 * @returns whether nothing is left to do, tables to be captured included
 */
export async function finishCaptures(
  session: Session,
  { stateSchema, views, creates, removes, wakeUp, lockTimeoutMs }: FinishOptions,
): Promise<boolean> {
  if (!(await isAlone(session))) {
    return false;
  }
  const [trigger] = await session.query<WakeUpTriggerRow>(selectWakeUpTrigger(stateSchema));
  const diff = withWakeUp(await readCaptureDiff(session, stateSchema, views), wakeUp, trigger);
  const superfluous = removes ? diff.superfluousCaptures : [];
  await change(session, stateSchema, { superfluous, wakeUp: diff.wakeUp }, lockTimeoutMs);
  return !creates || uncapturedTables(diff).length === 0;
}

/** How the captured tables differ from those that are needed by what the database remembers of views. */
export async function readCaptureDiff(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<SchemaDiff> {
  const rows = await session.query<KnownViewRow>(selectKnownViews(stateSchema));
  const known = new Map(rows.map((row) => [rowName(row), row]));
  // Not what this process declares: a newer release may need that no more, and has told the database so.
  const needs = await readCaptureNeeds(session, {
    definitions: [],
    known,
    mayNarrow: false,
    gone: new Set(),
    standIns: [],
    skipsMissing: true,
  });
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  const diff = { ...NOTHING, views: views.map((view) => ({ view, differences: [] })) };
  return withCaptures(diff, needs, { captured, known }, false);
}

/** Whether the sync lock could be had: a process that has it makes or changes views, and these triggers with them. */
async function isAlone(session: Session): Promise<boolean> {
  const [lock] = await session.query<TryLockRow>(tryLock(syncLockKey()));
  return lock?.acquired ?? false;
}

async function change(
  session: Session,
  stateSchema: string,
  changes: CaptureChanges,
  lockTimeoutMs: number,
): Promise<void> {
  for (const { statements } of captureStepsOf(changes, stateSchema)) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, briefForCaptures(lockTimeoutMs));
  }
}
