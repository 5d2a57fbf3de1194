import {
  type CompleteVersionRow,
  INSTALLATION_VERSION,
  type InstallationVersionRow,
  selectCompleteVersion,
  selectInstallationVersion,
} from './installation.sql.js';
import type { Session } from './session.js';

/**
 * The version of the library's own tables whose parts all exist; 0 for none. If a newer release has booted here, its
 * trigger functions stay.
 */
export async function readInstalledVersion(
  session: Pick<Session, 'query'>,
  stateSchema: string,
): Promise<number> {
  const [complete] = await session.query<CompleteVersionRow>(selectCompleteVersion(stateSchema));
  if (complete === undefined || complete.version === 0) {
    return 0;
  }
  const [row] = await session.query<InstallationVersionRow>(selectInstallationVersion(stateSchema));
  const recorded = row?.version ?? 0;
  const isOutdated = !complete.has_own_triggered && recorded <= INSTALLATION_VERSION;
  return Math.min(complete.version, recorded, isOutdated ? INSTALLATION_VERSION - 1 : Infinity);
}
