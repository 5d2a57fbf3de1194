import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { readCaptureDiff } from './capture-repair.js';
import { captureStepsOf } from './capture-steps.js';
import { longForCaptures, patiently } from './lock-attempts.js';

/** Drops the triggers of all tables whose changes no remembered view needs. */
export async function removeSuperfluousCaptures(
  session: Session,
  stateSchema: string,
  lockTimeoutMs: number,
): Promise<void> {
  const { superfluousCaptures: superfluous } = await readCaptureDiff(session, stateSchema, []);
  for (const { statements } of captureStepsOf({ superfluous }, stateSchema)) {
    const work = (): Promise<unknown> => session.query(script(statements));
    await patiently(session, lockTimeoutMs, work, longForCaptures(lockTimeoutMs));
  }
}
