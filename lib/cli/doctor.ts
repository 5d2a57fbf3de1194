import type { ManagedDataSource } from '../engine/managed-data-source.js';
import type { CommandOutcome } from './command-outcome.js';
import { examine } from './doctor/doctor.js';
import type { Finding } from './doctor/finding.js';

/** All that will hurt later, each with what mends it. Errors make the command fail, warnings do not. */
export async function doctor(source: ManagedDataSource): Promise<CommandOutcome> {
  const findings = await examine(source);
  return {
    text: findings.length === 0 ? 'Nothing to mend.' : findings.map(findingText).join('\n\n'),
    document: { findings },
    exitCode: findings.some(({ severity }) => severity === 'error') ? 1 : 0,
  };
}

function findingText({ severity, code, view, message, fix }: Finding): string {
  const subject = view === undefined ? '' : `${view}: `;
  return `${severity} [${code}]\n  ${subject}${message}\n  mend: ${fix}`;
}
