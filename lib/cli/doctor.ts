import type { ManagedDataSource } from '../engine/managed-data-source.js';
import type { CommandResult } from './cli-command.js';
import { ExitCode } from './exit-code.js';
import { examine } from './doctor/doctor.js';
import { type SchemaFlag, viewsIn } from './schema-option.js';
import type { Finding } from './doctor/finding.js';

/** Everything that will fail later, each with its fix. Errors make the command fail, warnings don't. */
export async function doctor(
  source: ManagedDataSource,
  { schema }: SchemaFlag = {},
): Promise<CommandResult> {
  viewsIn(source.views.all(), { schema });
  const findings = await examine(source, schema);
  return {
    text: findings.length === 0 ? 'No problems found.' : findings.map(findingText).join('\n\n'),
    json: { findings },
    exitCode: findings.some(({ severity }) => severity === 'error') ? ExitCode.error : ExitCode.ok,
  };
}

function findingText({ severity, code, view, message, fix }: Finding): string {
  const subject = view === undefined ? '' : `${view}: `;
  return `${severity} [${code}]\n  ${subject}${message}\n  mend: ${fix}`;
}
