import { Command } from 'commander';
import type { RunningRefresh } from '../../refresh/refresh.control.js';
import type { Cli, CliCommand, CommandResult } from '../cli-command.js';
import { shownInstant } from '../../definition/format.js';

const HEAD = ['VIEW', 'SINCE', 'SERVER PROCESS', 'ROLE', 'APPLICATION'];

/** The refreshes that are running. */
export const runningCommand: CliCommand = {
  define: () => new Command('running').description('list the running refreshes, in any process'),

  async run(cli: Cli): Promise<CommandResult> {
    const { refreshes } = await cli.open();
    const running = await refreshes.running();
    const text =
      running.length === 0
        ? 'No view is being refreshed.'
        : cli.output.table(HEAD, running.map(row));
    return { json: { running }, text };
  },
};

function row(refresh: RunningRefresh): string[] {
  const { view, startedAt, backendPid, preparedTransaction, role, applicationName } = refresh;
  return [
    view,
    startedAt === undefined ? '' : shownInstant(startedAt),
    String(backendPid ?? preparedTransaction ?? ''),
    role ?? '',
    applicationName,
  ];
}
