import type { DataSource } from 'typeorm';
import type { ManagedDataSource } from '../../engine/managed-data-source.js';
import { selectBackendPid } from '../../postgres/doctor.sql.js';
import type { Finding } from './finding.js';

/**
 * Waking by NOTIFY needs a dedicated session, which a pooler doesn't give. A pooler invents the process ID that a client
 * sees, which reveals it.
 */
export async function poolerFindings(
  { typeOrm, options }: ManagedDataSource,
  hasWakeUpTrigger: boolean,
): Promise<Finding[]> {
  const isNotified = hasWakeUpTrigger || options.wakeUp === 'notify';
  return isNotified && (await isBehindPooler(typeOrm))
    ? [
        {
          severity: 'warning',
          code: 'pooler',
          message:
            "a pooler stands between the application and the server, and `wakeUp: 'notify'` needs a connection that the pooler does not share: in transaction mode, notifications do not arrive.",
          fix: "Connect to the server itself, or set wakeUp: 'poll' in MaterializedViewsModule.forRoot and in package.json#matviews, and run: matviews sync",
        },
      ]
    : [];
}

async function isBehindPooler(typeOrm: DataSource): Promise<boolean> {
  const runner = typeOrm.createQueryRunner();
  try {
    const client = (await runner.connect()) as { processID?: number | null };
    const [row] = (await runner.query(selectBackendPid().text)) as { backend_pid: number }[];
    return Boolean(client.processID) && client.processID !== row?.backend_pid;
  } finally {
    await runner.release();
  }
}
