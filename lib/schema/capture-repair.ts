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
  await change(session, stateSchema, changes, lockTimeoutMs);
  return true;
}

export interface FinishOptions {
  stateSchema: string;
  views: readonly ViewDefinition[];
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
  { stateSchema, views, removes, wakeUp, lockTimeoutMs }: FinishOptions,
): Promise<void> {
  await beAlone(session);
  const [trigger] = await session.query<WakeUpTriggerRow>(selectWakeUpTrigger(stateSchema));
  const diff = withWakeUp(await readCaptureDiff(session, stateSchema, views), wakeUp, trigger);
  const superfluous = removes ? diff.superfluousCaptures : [];
  await change(session, stateSchema, { superfluous, wakeUp: diff.wakeUp }, lockTimeoutMs);
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
  });
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  const diff = { ...NOTHING, views: views.map((view) => ({ view, differences: [] })) };
  return withCaptures(diff, needs, { captured, known }, false);
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
  lockTimeoutMs: number,
): Promise<void> {
  for (const { statements } of captureStepsOf(changes, stateSchema)) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, briefForCaptures(lockTimeoutMs));
  }
}
