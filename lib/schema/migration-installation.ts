import { createSchema } from '../postgres/ddl.sql.js';
import {
  INSTALLATION_VERSION,
  installAfter,
  selectCompleteVersion,
} from '../postgres/installation.sql.js';
import { selectStrangers } from '../postgres/ownership.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { STATE_LOCK } from '../postgres/lock-words.js';
import type { PlanStep } from './plan-step.js';

/*
 * The part of a migration that creates the library's own tables. The database in which it runs may have none of them,
 * or those of an older release, whatever the database had that it was generated on. So it contains all versions, and
 * checks.
 */

const NEED_TABLES: ReadonlySet<PlanStep['action']> = new Set(['install', 'record', 'capture']);

/** Whether a step needs the library's own tables, or functions. */
function needsInstallation({ action, lock }: PlanStep): boolean {
  return NEED_TABLES.has(action) || lock === STATE_LOCK;
}

export interface InstallationText {
  stateSchema: string;
  isTypeScript: boolean;
  /** Writes a call of a statement, as lines of a method. */
  call: (statement: SqlStatement) => string[];
}

/** The lines that run before anything in the state schema is used: see `refuseForeignState`. */
export function refusal(
  steps: readonly PlanStep[],
  { stateSchema, isTypeScript, call }: InstallationText,
): string[] {
  if (!steps.some(needsInstallation)) {
    return [];
  }
  const [first = ''] = call(selectStrangers(stateSchema));
  const question = first.trim().replace(/;$/, '');
  const type = '{ owner: string; description: string; role: string }[]';
  return [
    '    // Code of another role could run with the rights of this one.',
    `    const [stranger] = ${isTypeScript ? `(${question}) as ${type}` : question};`,
    '    if (stranger !== undefined) {',
    '      throw new Error(',
    '        `${this.name}: role "${stranger.owner}" owns ${stranger.description}, and role "${stranger.role}" is not a member of it. Nothing has been changed. If you know what it is, make "${stranger.role}" its owner or a member of its owner; if not, drop it.`,',
    '      );',
    '    }',
  ];
}

/** The lines that create the tables if they are missing or not as this release needs them. */
export function installation(
  steps: readonly PlanStep[],
  { stateSchema, isTypeScript, call }: InstallationText,
): string[] {
  if (!steps.some(needsInstallation)) {
    return [];
  }
  const [question = ''] = call(selectCompleteVersion(stateSchema));
  const isUpgrade = steps.some(({ action }) => action === 'install');
  const asked = question.trim().replace(/;$/, '');
  const type = '{ version: number; has_own_triggered: boolean }[]';
  return [
    "    // The library's own tables, where they are not as they have to be.",
    `    const [installed] = ${isTypeScript ? `(${asked}) as ${type}` : asked};`,
    `    if ((installed?.version ?? 0) < ${INSTALLATION_VERSION}${isUpgrade ? ' || !installed?.has_own_triggered' : ''}) {`,
    ...[createSchema(stateSchema), ...installAfter(stateSchema, 0)]
      .flatMap(call)
      .map((line) => `  ${line}`),
    '    }',
  ];
}
