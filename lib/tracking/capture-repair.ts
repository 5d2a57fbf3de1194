import type { ViewDefinition } from '../definition/view-definition.js';
import { readCaptureNeeds } from './capture-needs.js';
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
import { type CaptureDifference, diffCaptures } from './capture-diff.js';
import {
  type CaptureStep,
  captureSteps,
  captureStepsOf,
  uncapturedTables,
} from './capture-steps.js';
import { readInstalledVersion } from '../postgres/installed-version.js';
import { briefForCaptures, patiently } from '../postgres/lock-attempts.js';
import { wakeUpDifferences, wakeUpSteps } from './wake-up.js';

/** The tables that the given views need and whose changes are not captured, or not completely. */
export async function readUncaptured(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<QualifiedName[]> {
  const isInstalled = (await readInstalledVersion(session, stateSchema)) >= INSTALLATION_VERSION;
  if (!isInstalled) {
    return [];
  }
  return uncapturedTables(await readDifferences(session, stateSchema, views));
}

/**
 * Another process has the sync lock: it is creating or changing views, and these triggers with
 * them.
 */
export class SyncLockTaken extends Error {}

/**
 * Captures one table.
 *
 * @returns whether it did; `false` if another process has already done it
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
  const steps = captureStepsOf(changes, stateSchema);
  await carryOut(session, steps, lockTimeoutMs);
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
 * Does what a boot put off, except capturing tables: drops superfluous triggers, and creates or drops the one that
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
  const wakeUpDiff = wakeUpDifferences(wakeUp, wakeUpTrigger, stateSchema);
  const captureDiff = removes ? await readDifferences(session, stateSchema, []) : [];
  const steps = [
    ...captureSteps(captureDiff, stateSchema),
    ...wakeUpSteps(wakeUpDiff, stateSchema),
  ];
  await carryOut(session, steps, lockTimeoutMs);
}

/** Compares what is captured with what the views need according to the database. */
async function readDifferences(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<CaptureDifference[]> {
  const rows = await session.query<KnownViewRow>(selectKnownViews(stateSchema));
  // Not what this process declares: a newer release may no longer need it, and has recorded that in the
  // database.
  const needs = await readCaptureNeeds(session, {
    definitions: [],
    known: new Map(rows.map((row) => [rowName(row), row])),
    mayNarrow: false,
    gone: new Set(),
    standIns: [],
  });
  const captured = await session.query<CapturedTableRow>(selectCapturedTables(stateSchema));
  return diffCaptures(views, needs, captured);
}

async function beAlone(session: Session): Promise<void> {
  const [lock] = await session.query<TryLockRow>(tryLock(syncLockKey()));
  if (!lock?.acquired) {
    throw new SyncLockTaken();
  }
}

/** All steps or none: while it waits for a lock, it must hold no others. */
async function carryOut(
  session: Session,
  steps: CaptureStep[],
  lockTimeoutMs: number,
): Promise<void> {
  const statements = steps.flatMap((step) => step.statements);
  if (statements.length > 0) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, briefForCaptures(lockTimeoutMs));
  }
}
